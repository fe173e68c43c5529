// @ts-check
// The layout editor: puts its parts together and renders them. It knows the page and the layout, but not
// ComfyUI: everything of the host comes in through an EditorHost.

import * as layoutFormats from '../layout_formats.js'
import * as geometry from '../layout_geometry.js'
import * as model from '../layout_model.js'
import { LayoutState } from '../layout_state.js'
import { Actions } from './actions.js'
import { Clipboard } from './clipboard.js'
import { element } from './dom.js'
import { Fields } from './fields.js'
import { Focus } from './focus.js'
import { FullScreen } from './full_screen.js'
import { Keys } from './keys.js'
import { BoxList } from './list.js'
import { Notices } from './notices.js'
import { Panel } from './panels/panel.js'
import { Results } from './results.js'
import { useStyle } from './style/style.js'
import { Gestures } from './surface/gestures.js'
import { Inline } from './surface/inline.js'
import { BoxMenu } from './surface/menu.js'
import { Surface } from './surface/surface.js'
import { Zoom } from './surface/zoom.js'
import { Toolbar } from './toolbar.js'
import { t } from './strings.js'

/** @typedef {import('../layout_model.js').Layout} Layout */

const OFFSET_PX = 16 // of copies, in pixels of the picture
const FLASH_MS = { least: 4000, each: 60 } // at least, and for each character

export class LayoutEditor {
  /** @param {EditorHost} host */
  constructor(host) {
    this.host = host
    this.state = new LayoutState(host)
    /** @type {string | null} */
    this.backgroundUrl = null
    /** @type {{ key: string, boxes: model.Box[] | null }} */
    this.linked = { key: '', boxes: null } // memoised, see linkedBoxes()
    this.actions = new Actions(this)
    this.keys = new Keys(this)
    this.clipboard = new Clipboard(this)
    this.focus = new Focus(this)
    this.toolbar = new Toolbar(this)
    this.notices = new Notices(this)
    this.gestures = new Gestures(this)
    this.zoom = new Zoom(this)
    this.surface = new Surface(this)
    this.inline = new Inline(this)
    this.menu = new BoxMenu(this)
    this.results = new Results(this)
    this.list = new BoxList(this)
    this.fields = new Fields(this)
    this.panel = new Panel(this)
    this.fullScreen = new FullScreen(this)
    this.live = element('div', { class: 'ifa-live', 'aria-live': 'polite' })
    this.root = this.build()
    this.focus.attach(this.root)
    this.clipboard.attach(this.root)
    this.observer = new ResizeObserver(() => this.surface.fit())
    this.observer.observe(this.surface.stage)
    this.render()
  }

  /** The editor's elements, made once. */
  build() {
    useStyle()
    this.surface.stage.append(this.inline.root, this.focus.sink)
    const side = element(
      'div',
      { class: 'ifa-side' },
      ...this.fields.caption,
      element('span', { class: 'ifa-label' }, t('Boxes, front on top')),
      this.results.root,
      this.list.root,
      this.fields.align,
      this.fields.exact
    )
    return element(
      'div',
      { class: 'ifa-editor', 'data-testid': 'ifa-editor' },
      this.fullScreen.bar,
      this.toolbar.root,
      ...this.notices.roots,
      element('div', { class: 'ifa-main' }, this.surface.stage, side),
      this.panel.root,
      this.menu.root,
      this.live
    )
  }

  // The value

  get value() {
    return this.state.value
  }

  /** @param {unknown} value JSON, parsed or not */
  set value(value) {
    this.gestures.cancel()
    if (this.state.replace(value)) this.render()
  }

  /** The value for a run, without the keys that only the editor uses. */
  get runValue() {
    return this.state.runValue
  }

  /** The user has set another size of the picture. */
  canvasChanged() {
    this.state.pin()
    this.render()
  }

  /**
   * Shows what was repaired or left out, until the next edit.
   * @param {string[]} notices
   */
  tell(notices) {
    this.state.notices = notices
    this.render()
  }

  /**
   * Shows the error of a run, at the box that it names.
   * @param {string | null} message
   */
  fail(message) {
    if (this.state.failure === message) return
    this.state.failure = message
    this.render()
    const box = this.state.layout.boxes[(this.state.faultyBox ?? 0) - 1]
    if (message && box) this.list.scrollTo(box.id)
  }

  /**
   * Records a change by the user.
   * @param {Layout} layout
   * @param {string | null} key consecutive changes with the same key are one step of the history
   */
  record(layout, key = null) {
    this.state.record(layout, key)
    this.host.dropOwnership()
    this.host.changed()
    if (key === null) this.host.committed()
    this.render()
  }

  /** Ends a step of the history, such as typing. */
  closeStep() {
    if (this.state.history.key === null) return
    this.state.history.close()
    this.host.committed()
  }

  /** Releases timers and observers. The host removes the root element. */
  destroy() {
    this.state.keep()
    this.fullScreen.leave()
    this.observer.disconnect()
    this.zoom.detach()
    this.gestures.destroy()
  }

  // The selection

  /**
   * @param {string[]} ids
   * @param {boolean} announce to screen readers
   */
  select(ids, announce = true) {
    this.state.selection = ids
    if (ids.length) this.surface.unseen = false
    this.render()
    if (ids.length === 1) this.list.scrollTo(ids[0])
    if (!announce) return
    this.announce(
      ids.length === 1 ? this.describe(ids[0]) : t('{count} boxes selected', { count: ids.length })
    )
  }

  /**
   * A box in words.
   * @param {string} id
   */
  describe(id) {
    return model.describe(this.state.layout, id, this.host.canvas(), t)
  }

  // The picture

  /** The URL of the picture behind the boxes, or null. */
  get picture() {
    if (this.host.preference('background') === false) return null
    const live = this.host.preference('live') ? this.host.livePicture() : null
    return this.host.background() ?? live ?? this.backgroundUrl
  }

  /** @param {string | null} url */
  setBackground(url) {
    this.backgroundUrl = url
    this.render()
  }

  /**
   * The linked boxes of the last run, or null. Invalid ones are ignored here: the run itself reports the
   * error.
   */
  linkedBoxes() {
    const text = this.host.linked()?.boxes
    if (!text) return null
    const { width, height } = this.host.canvas()
    const key = `${width} ${height} ${text}`
    if (this.linked.key !== key) this.linked = { key, boxes: boxesOf(text, { width, height }) }
    return this.linked.boxes
  }

  /** @returns {number} grid size in pixels of the picture */
  get gridPx() {
    return this.host.preference('grid')
  }

  /** The grid size as fractions of the picture. */
  get gridStep() {
    const { width, height } = this.host.canvas()
    return { x: Math.min(this.gridPx / width, 1), y: Math.min(this.gridPx / height, 1) }
  }

  /** The offset of copies from their originals. */
  get copyOffset() {
    const { width, height } = this.host.canvas()
    return { x: OFFSET_PX / width, y: OFFSET_PX / height }
  }

  /** The smallest width and height of a box. */
  get minimum() {
    return geometry.minSides(this.host.canvas())
  }

  // Rendering

  render() {
    this.state.refresh()
    this.state.cleanSelection()
    const { layout } = this.state
    this.notices.render()
    this.results.render()
    this.toolbar.render(layout)
    this.surface.render(layout)
    this.list.render(layout)
    this.fields.render(layout)
    this.fullScreen.renderRun()
    this.root.classList.toggle('ifa-dragging', this.gestures.active)
  }

  /**
   * @param {string} name of a preference
   * @param {unknown} value
   */
  setPreference(name, value) {
    this.host.preference(name, value)
    this.render()
  }

  /** @param {string} text for screen readers */
  announce(text) {
    this.live.textContent = text
  }

  /**
   * Shows a short message for a few seconds.
   * @param {string} text
   */
  flash(text) {
    this.announce(text)
    this.root.querySelector('.ifa-flash')?.remove()
    const note = element('div', { class: 'ifa-flash' }, text)
    this.root.append(note)
    setTimeout(() => note.remove(), Math.max(FLASH_MS.least, FLASH_MS.each * text.length))
  }
}

/**
 * The boxes of a layout as JSON, or null if it is invalid.
 * @param {string} text
 * @param {geometry.Canvas} canvas
 */
function boxesOf(text, canvas) {
  try {
    return layoutFormats.parse(text, canvas).boxes
  } catch {
    return null
  }
}
