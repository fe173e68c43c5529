// @ts-check
// The editor over the whole page.

import { element } from './dom.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

export class FullScreen {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {HTMLElement | null} */
    this.overlay = null
    /** @type {HTMLElement | null} */
    this.home = null // placeholder of the editor during full screen
  }

  get isOn() {
    return this.overlay !== null
  }

  toggle() {
    if (this.isOn) this.leave()
    else this.enter()
  }

  enter() {
    const { root, toolbar, surface, focus } = this.editor
    this.home = element('div', { class: 'ifa-home' })
    root.replaceWith(this.home)
    this.overlay = element(
      'div',
      { class: 'ifa-overlay', role: 'dialog', 'aria-label': t('Layout editor') },
      root
    )
    document.body.append(this.overlay)
    toolbar.expand.setAttribute('aria-pressed', 'true')
    surface.fit()
    focus.toPicture()
  }

  leave() {
    if (!this.overlay) return
    this.home?.replaceWith(this.editor.root)
    this.overlay.remove()
    this.overlay = this.home = null
    this.editor.toolbar.expand.setAttribute('aria-pressed', 'false')
    this.editor.surface.fit()
    this.editor.focus.toPicture()
  }
}
