// @ts-check
// The panel over the editor: its frame, and which panel is open.

import { element } from '../dom.js'
import { icon } from '../icons.js'
import { t } from '../strings.js'
import { backgroundPanel } from './background.js'
import { exchangePanel } from './exchange.js'
import { presetsPanel } from './presets.js'
import { resultPanel } from './result.js'
import { sizePanel } from './size.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/**
 * first: gets the focus. enter: what Enter does in a field; without it, Enter closes the panel.
 * @typedef {{ title: string, body: HTMLElement, first: HTMLElement, enter?: () => unknown }} PanelContent
 */

const PANELS = {
  background: backgroundPanel,
  presets: presetsPanel,
  exchange: exchangePanel,
  result: resultPanel,
  size: sizePanel
}

export class Panel {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.root = element('div', { class: 'ifa-panel', role: 'dialog', 'aria-modal': 'false', hidden: true })
    /** @type {PanelContent | null} */
    this.content = null
  }

  get isOpen() {
    return !this.root.hidden
  }

  /** @param {Node | null} node */
  contains(node) {
    return this.root.contains(node)
  }

  /**
   * Opens a panel, or closes it if it is open.
   * @param {keyof typeof PANELS} name
   */
  toggle(name) {
    if (this.isShowing(name)) this.close()
    else this.open(name)
  }

  /** @param {keyof typeof PANELS} name */
  isShowing(name) {
    return this.isOpen && this.root.dataset.name === name
  }

  /** @param {keyof typeof PANELS} name */
  open(name) {
    this.show(name)
    this.focus()
  }

  /** Shows the open panel as it is now. */
  refresh() {
    if (this.isOpen) this.show(/** @type {keyof typeof PANELS} */ (this.root.dataset.name))
  }

  /** @param {keyof typeof PANELS} name */
  show(name) {
    this.content = PANELS[name](this.editor)
    const { title, body } = this.content
    const close = element(
      'button',
      {
        type: 'button',
        class: 'ifa-small',
        'aria-label': t('Close'),
        title: t('Close'),
        onclick: () => this.close()
      },
      icon('close')
    )
    this.root.dataset.name = name
    this.root.setAttribute('aria-label', title)
    const head = element('div', { class: 'ifa-panel-head' }, element('strong', {}, title), close)
    this.root.replaceChildren(head, body)
    const { offsetTop, offsetHeight } = this.editor.toolbar.root
    this.root.style.setProperty('--ifa-top', `${offsetTop + offsetHeight + 4}px`)
    this.root.hidden = false
  }

  /** Gives the focus to the panel's first field. */
  focus() {
    this.content?.first.focus({ preventScroll: true })
  }

  /**
   * The action of a key in a field of the panel, or null where the key edits the text.
   * @param {KeyboardEvent} event
   * @returns {(() => unknown) | null}
   */
  action(event) {
    if (event.key !== 'Enter' || /** @type {Element} */ (event.target).matches('textarea, select'))
      return null
    return this.content?.enter ?? (() => this.close())
  }

  close() {
    if (!this.isOpen) return
    this.root.hidden = true
    this.root.replaceChildren()
    this.editor.focus.toPicture()
  }
}
