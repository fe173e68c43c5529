// @ts-check
// The stage with the surface: the picture's area, in the shape of the picture.

import { element, isShown, place, setHidden } from '../dom.js'
import { t } from '../strings.js'
import { Boxes } from './boxes.js'
import { Lines } from './lines.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../../layout_geometry.js').Frame} Frame */
/** @typedef {import('../../layout_geometry.js').Point} Point */
/** @typedef {import('../../layout_model.js').Layout} Layout */

const LIST_PX = 240 // height of the list and the fields in App mode
const SHORT_PX = 500 // height of an editor without the exact numbers, where they would be below the picture
const WIDE = 1.8 // width by height of a picture above its list, whatever the width of the editor

export class Surface {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.image = element('img', { class: 'ifa-background', alt: '', draggable: false })
    this.ownership = element('img', {
      class: 'ifa-background ifa-ownership',
      alt: '',
      draggable: false,
      hidden: true
    })
    this.lines = new Lines(editor)
    this.boxes = new Boxes(editor)
    this.ghosts = element('div', { class: 'ifa-boxes ifa-ghosts', 'aria-hidden': 'true' })
    /** @type {import('../dom.js').Shown} */
    this.shownGhosts = {}
    /** @type {import('../dom.js').Shown} */
    this.shownSize = {} // of the picture
    this.marquee = element('div', { class: 'ifa-marquee', hidden: true })
    this.hint = element('div', { class: 'ifa-hint' }, t('Drag to draw a box, or press + Add'))
    this.unseen = false // the boxes are hidden from the eyes, and stay in the run
    const { gestures } = editor
    this.root = element(
      'div',
      {
        class: 'ifa-surface',
        'data-testid': 'ifa-surface',
        onpointerdown: (event) => gestures.onDown(event),
        onpointermove: (event) => gestures.onMove(event),
        onpointerup: (event) => gestures.onUp(event),
        onpointercancel: (event) => gestures.onLost(event),
        onlostpointercapture: (event) => gestures.onLost(event),
        ondblclick: (event) => gestures.onDoubleClick(event),
        onwheel: (event) => editor.zoom.onWheel(event),
        oncontextmenu: (event) => editor.menu.onContextMenu(event)
      },
      this.image,
      this.ownership,
      this.lines.root,
      this.ghosts,
      this.boxes.root,
      this.boxes.overlaps,
      this.marquee,
      this.hint
    )
    this.stage = element('div', { class: 'ifa-stage' }, this.root)
    editor.zoom.attach(this.stage)
  }

  /** @param {Layout} layout */
  render(layout) {
    const { editor } = this
    this.root.classList.toggle('ifa-unseen', this.unseen)
    this.renderGhosts()
    this.boxes.render(layout)
    this.lines.render()
    const isEmpty = !layout.boxes.length && !editor.state.unreadable
    setHidden(this.hint, !isEmpty || editor.gestures.active)
    const { picture } = editor
    setHidden(this.image, !picture)
    if (picture && this.image.getAttribute('src') !== picture) this.image.src = picture
    this.image.style.opacity = String(editor.host.preference('dim'))
    const ownership = editor.host.ownership()
    setHidden(this.ownership, !ownership)
    this.root.classList.toggle('ifa-previewing', ownership !== null)
    this.root.classList.toggle('ifa-pictured', Boolean(picture))
    if (ownership && this.ownership.getAttribute('src') !== ownership) this.ownership.src = ownership
    this.root.style.setProperty('--ifa-fill', `${100 * editor.host.preference('fill')}%`)
    this.root.style.setProperty('--ifa-words', `${editor.host.preference('words')}px`)
    const { width, height } = editor.host.canvas()
    if (!isShown(this.shownSize, width, height)) this.fit()
  }

  /** Hides the boxes from the eyes, or shows them. A hidden box cannot be changed by a key or the pointer. */
  toggleBoxes() {
    this.unseen = !this.unseen
    this.editor.select([], false)
  }

  /** Linked boxes, which a run uses in place of the drawn ones. */
  renderGhosts() {
    const { width, height } = this.editor.host.canvas()
    const linked = this.editor.host.linked()
    if (isShown(this.shownGhosts, linked === null, linked?.boxes, width, height)) return
    const ghosts = (this.editor.linkedBoxes() ?? []).map((box, index) => {
      const tag = element('span', { class: 'ifa-number-tag' }, String(index + 1))
      const ghost = element('div', { class: 'ifa-ghost' }, tag)
      place(ghost, box)
      return ghost
    })
    this.ghosts.replaceChildren(...ghosts)
  }

  /**
   * Fits the surface into the stage, with the aspect ratio of the picture. It reads the layout of the page:
   * called when sizes change, not in every frame.
   */
  fit() {
    const { width, height } = this.editor.host.canvas()
    const { root } = this.editor
    this.stage.style.setProperty('--ifa-aspect', String(width / height))
    this.stage.parentElement?.classList.toggle('ifa-column', width / height >= WIDE)
    this.claimHeight(width / height)
    root.classList.toggle('ifa-short', root.clientHeight < SHORT_PX)
    this.editor.zoom.apply()
    this.editor.toolbar.renderZoom()
  }

  /**
   * Outside of nodes and full screen, as in App mode, nothing sets the editor's height: it takes what the
   * picture needs in the given width.
   * @param {number} aspect width by height of the picture
   */
  claimHeight(aspect) {
    const { root, toolbar } = this.editor
    const isFree = root.isConnected && !root.closest('.lg-node, .dom-widget, .ifa-overlay')
    if (!isFree && !root.style.minHeight) return
    const needed = () => root.clientWidth / aspect + toolbar.root.offsetHeight + LIST_PX
    root.style.minHeight = isFree ? `${Math.round(needed())}px` : ''
  }

  /**
   * The position of the pointer as fractions of the picture.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  point(event) {
    const area = this.root.getBoundingClientRect()
    return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height }
  }

  /**
   * A length in pixels of the screen as fractions of the picture.
   * @param {number} px
   * @returns {Point}
   */
  fractions(px) {
    const area = this.root.getBoundingClientRect()
    return { x: px / area.width, y: px / area.height }
  }

  /** @param {Frame | null} frame being drawn */
  showMarquee(frame) {
    setHidden(this.marquee, frame === null)
    if (frame) place(this.marquee, frame)
  }
}
