// @ts-check
// The description of a box, edited inside the box.

import { element } from '../dom.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */

const LEAST_PX = { width: 120, height: 120 } // of the longest text

export class Inline {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.id = ''
    /** @type {HTMLTextAreaElement} */
    this.root = element('textarea', {
      class: 'ifa-inline',
      hidden: true,
      rows: 2,
      dir: 'auto',
      'aria-label': t('Description of the box'),
      oninput: () => editor.actions.setCaption(this.id, this.root.value),
      onblur: () => this.close(false)
    })
  }

  get isOpen() {
    return !this.root.hidden
  }

  /**
   * The action of a key, or null where the key edits the text. While nothing is written, Delete and Ctrl+Z
   * mean the new box.
   * @param {KeyboardEvent} event
   * @returns {(() => void) | null}
   */
  action(event) {
    const command = event.ctrlKey || event.metaKey
    if (event.key === 'Enter' && !event.shiftKey) return () => this.close()
    if (this.root.value || event.repeat) return null
    const { actions } = this.editor
    if (event.key === 'Delete') return () => this.closeBefore(() => actions.removeSelected())
    if (command && event.key.toLowerCase() === 'z') return () => this.closeBefore(() => actions.undo())
    return null
  }

  /** @param {() => void} act */
  closeBefore(act) {
    this.close()
    act()
  }

  /** @param {string} id of a box */
  open(id) {
    const { editor } = this
    editor.select([id], false)
    const box = editor.state.active
    const part = editor.surface.boxes.parts.get(id)?.root
    if (!box || !part) return
    const frame = editor.surface.stage
    const [area, stage] = [part, frame].map((each) => each.getBoundingClientRect())
    const scale = stage.width / frame.clientWidth || 1 // the graph may be zoomed
    this.id = id
    this.root.hidden = false
    this.root.value = box.caption
    // Inside the stage, also where the box is small or partly out of sight.
    const { clientWidth, clientHeight } = frame
    const width = Math.min(Math.max(area.width / scale, LEAST_PX.width), clientWidth)
    const left = Math.min(Math.max((area.left - stage.left) / scale, 0), clientWidth - width)
    const least = Math.min(LEAST_PX.height, clientHeight)
    const top = Math.min(Math.max((area.top - stage.top) / scale, 0), clientHeight - least)
    const maxHeight = Math.min(Math.max(area.height / scale, least), clientHeight - top)
    const frameOf = { left, top, width, maxHeight }
    for (const [name, px] of Object.entries(frameOf)) Object.assign(this.root.style, { [name]: `${px}px` })
    this.root.focus({ preventScroll: true })
    this.root.select()
  }

  /** @param {boolean} refocus the picture */
  close(refocus = true) {
    if (!this.isOpen) return
    this.root.hidden = true
    this.editor.closeStep()
    if (refocus) this.editor.focus.toPicture()
  }
}
