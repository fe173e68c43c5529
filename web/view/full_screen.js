// @ts-check
// The editor over the whole page, with the controls of a run.

import { element, setHidden, textButton } from './dom.js'
import { explained, t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

// Of the pointer, which would act on the node around the editor.
const KEPT_EVENTS = [
  'pointerdown',
  'pointermove',
  'pointerup',
  'mousedown',
  'mouseup',
  'click',
  'dblclick',
  'contextmenu'
]

export class FullScreen {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {HTMLElement | null} */
    this.overlay = null
    /** Keeps the wheel from the graph, which takes it before any element. @param {WheelEvent} event */
    this.keepWheel = (event) => {
      const target = /** @type {Node} */ (event.target)
      if (!this.overlay?.contains(target)) return
      if (editor.surface.stage.contains(target)) editor.zoom.onWheel(event)
      else event.stopImmediatePropagation()
    }
    this.run = textButton(t('Run'), () => editor.host.run.start())
    this.run.classList.add('ifa-primary')
    this.cancel = textButton(t('Cancel'), () => editor.host.run.cancel())
    this.size = textButton('', () => editor.panel.toggle('size'))
    this.size.title = t('Size of the picture')
    this.progress = element('progress', { max: 1, 'aria-label': t('Progress of the run') })
    this.step = element('span', { class: 'ifa-note' })
    this.error = element('span', { class: 'ifa-warning', role: 'alert' })
    this.bar = element(
      'div',
      { class: 'ifa-run', hidden: true },
      ...[this.run, this.cancel, this.size, this.progress, this.step, this.error]
    )
  }

  get isOn() {
    return this.overlay !== null
  }

  toggle() {
    if (this.isOn) this.leave()
    else this.enter()
  }

  enter() {
    const { root, toolbar, focus } = this.editor
    // A popover is above everything of the page, whatever the z-index of its menus and messages, and the
    // editor stays where it is in the document.
    this.overlay = element('div', {
      class: 'ifa-overlay',
      role: 'dialog',
      'aria-label': t('Layout editor'),
      popover: 'manual'
    })
    for (const name of KEPT_EVENTS) this.overlay.addEventListener(name, (event) => event.stopPropagation())
    root.replaceWith(this.overlay)
    this.overlay.append(root)
    this.overlay.showPopover()
    window.addEventListener('wheel', this.keepWheel, { capture: true, passive: false })
    toolbar.expand.setAttribute('aria-pressed', 'true')
    this.bar.hidden = false
    this.editor.render()
    this.editor.surface.fit()
    focus.toPicture()
  }

  leave() {
    if (!this.overlay) return
    this.editor.panel.close()
    window.removeEventListener('wheel', this.keepWheel, { capture: true })
    this.overlay.replaceWith(this.editor.root)
    this.overlay = null
    this.bar.hidden = true
    this.editor.toolbar.expand.setAttribute('aria-pressed', 'false')
    this.editor.zoom.to(1)
    this.editor.surface.fit()
    this.editor.focus.toPicture()
  }

  renderRun() {
    if (!this.isOn) return
    const { running, progress, step, error } = this.editor.host.run.state()
    const { width, height } = this.editor.host.canvas()
    this.size.textContent = `${width} x ${height}`
    this.cancel.disabled = !running
    setHidden(this.progress, !running)
    if (progress === null) this.progress.removeAttribute('value')
    else this.progress.value = progress
    this.step.textContent = running ? step : ''
    this.error.textContent = explained(error ?? '')
  }
}
