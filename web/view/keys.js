// @ts-check
// The keys of the picture. No bare letter does anything: letters are words, and belong into descriptions.

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

/** @type {Record<string, [number, number]>} */
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
const LARGE_STEP_PX = 10

export class Keys {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
  }

  /**
   * The action of a key, or nothing if the editor does not use it.
   * @param {KeyboardEvent} event
   * @returns {(() => unknown) | null | undefined}
   */
  action(event) {
    const { actions, state } = this.editor
    const command = event.ctrlKey || event.metaKey
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    if (key in ARROWS && !command) {
      const [dx, dy] = ARROWS[key].map((part) => part * this.step(event))
      return () => (event.altKey ? actions.stretch(dx, dy) : actions.nudge(dx, dy))
    }
    if (key === 'Tab' && !command && !event.altKey) return this.tab(event.shiftKey)
    /** @type {Record<string, () => unknown>} */
    const commands = {
      z: () => (event.shiftKey ? actions.redo() : actions.undo()),
      y: () => actions.redo(),
      a: () => actions.selectAll(),
      d: () => actions.duplicate()
    }
    if (command) return commands[key]
    if (event.altKey) return null
    /** @type {Record<string, () => unknown>} */
    const plain = {
      Delete: () => actions.removeSelected(),
      Backspace: () => actions.removeSelected(),
      ' ': () => this.editor.zoom.hold(true),
      Enter: () => state.active && this.editor.inline.open(state.active.id),
      '[': () => actions.depth('backward'),
      ']': () => actions.depth('forward'),
      '{': () => actions.depth('back'),
      '}': () => actions.depth('front')
    }
    return plain[key]
  }

  /**
   * Pixels of the picture that an arrow key moves a box by.
   * @param {KeyboardEvent} event
   */
  step(event) {
    if (!event.shiftKey) return 1
    return this.editor.host.preference('snap') ? this.editor.gridPx : LARGE_STEP_PX
  }

  /**
   * Tab selects the next box; null after the last one, so that the focus leaves the picture.
   * @param {boolean} back with Shift
   */
  tab(back) {
    const { state } = this.editor
    const ids = state.layout.boxes.filter((box) => !box.hidden).map((box) => box.id)
    const at = ids.indexOf(state.selection.at(-1) ?? '')
    const target = ids[at < 0 ? (back ? -1 : 0) : at + (back ? -1 : 1)]
    return target ? () => this.editor.select([target]) : null
  }

  /**
   * Escape ends the innermost thing: a gesture, typing, a panel, full screen, the selection.
   * @param {KeyboardEvent} event
   */
  escape(event) {
    const { editor } = this
    const field = /** @type {HTMLElement} */ (event.target)
    if (editor.gestures.active) editor.gestures.cancel()
    else if (editor.menu.isOpen) editor.menu.close()
    else if (editor.inline.isOpen) editor.inline.close()
    else if (editor.panel.isOpen) editor.panel.close()
    else if (field !== editor.focus.sink && field.matches('input, textarea, select')) editor.focus.toPicture()
    else if (editor.fullScreen.isOn) editor.fullScreen.leave()
    else if (editor.state.selection.length) editor.select([], false)
    else return
    event.preventDefault()
    event.stopPropagation()
  }
}
