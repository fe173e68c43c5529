// @ts-check
// The menu of a box: a right-click or a long press on it.

import { boxesAt } from '../../layout_hits.js'
import { element } from '../dom.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */

export class BoxMenu {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.root = element('div', {
      class: 'ifa-menu',
      role: 'menu',
      'aria-label': t('Box'),
      hidden: true,
      onkeydown: (event) => this.onKey(event),
      onfocusout: (event) => {
        if (!this.root.contains(/** @type {Node | null} */ (event.relatedTarget))) this.root.hidden = true
      }
    })
  }

  get isOpen() {
    return !this.root.hidden
  }

  /** @param {MouseEvent} event a right-click on the surface */
  onContextMenu(event) {
    event.preventDefault()
    event.stopPropagation()
    const { editor } = this
    const { state, surface } = editor
    if (state.unreadable || surface.unseen) return
    editor.gestures.cancel()
    const at = surface.point(event)
    const under = boxesAt(state.layout, at.x, at.y)
    const id = under.find((each) => state.selection.includes(each)) ?? under[0]
    if (!id) return
    if (!state.selection.includes(id)) editor.select([id])
    this.open(id, event)
  }

  /**
   * @param {string} id
   * @param {MouseEvent} event
   */
  open(id, { clientX, clientY }) {
    const { actions, inline, state, root, surface } = this.editor
    const locked = state.selected.every((box) => box.locked)
    /** @param {string} text @param {() => unknown} act */
    const item = (text, act) =>
      element(
        'button',
        { type: 'button', role: 'menuitem', tabIndex: -1, onclick: () => this.choose(act) },
        text
      )
    this.root.replaceChildren(
      item(t('Edit the description'), () => inline.open(id)),
      item(t('Bring to the front'), () => actions.depth('front')),
      item(t('Send to the back'), () => actions.depth('back')),
      item(t('Duplicate'), () => actions.duplicate()),
      item(t('Full width'), () => actions.fullWidth()),
      item(locked ? t('Unlock') : t('Lock'), () => actions.lockSelected()),
      item(t('Delete'), () => actions.removeSelected())
    )
    this.root.hidden = false
    const area = root.getBoundingClientRect()
    const scale = area.width / root.offsetWidth || 1 // the graph may be zoomed
    const { offsetWidth, offsetHeight } = this.root
    const left = Math.min((clientX - area.left) / scale, root.offsetWidth - offsetWidth - 4)
    const top = Math.min((clientY - area.top) / scale, root.offsetHeight - offsetHeight - 4)
    Object.assign(this.root.style, {
      left: `${Math.max(left, 4)}px`,
      top: `${Math.max(top, surface.stage.offsetTop)}px`
    })
    this.focus(0)
  }

  /** @param {() => unknown} act */
  choose(act) {
    this.close()
    act()
  }

  close() {
    if (!this.isOpen) return
    this.root.hidden = true
    this.editor.focus.toPicture()
  }

  /** @param {number} index of an item, cyclically */
  focus(index) {
    const items = /** @type {HTMLElement[]} */ ([...this.root.children])
    items.at(index % items.length)?.focus({ preventScroll: true })
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const at = [...this.root.children].indexOf(/** @type {Element} */ (document.activeElement))
    /** @type {Record<string, () => void>} */
    const moves = {
      ArrowDown: () => this.focus(at + 1),
      ArrowUp: () => this.focus(at - 1),
      Home: () => this.focus(0),
      End: () => this.focus(-1),
      Tab: () => this.close()
    }
    if (event.key === 'Enter' || event.key === ' ') return event.stopPropagation()
    const move = moves[event.key]
    if (!move) return
    event.preventDefault()
    event.stopPropagation()
    move()
  }
}
