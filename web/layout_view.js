// @ts-check
// The editor's view: the surface with the boxes, the list of boxes by depth, and the tools.
// It knows the page and the model, but not ComfyUI: everything of the host comes in through an EditorHost.

import * as layoutFormats from './layout_formats.js'
import * as model from './layout_model.js'

import { CONTEXT_TOKENS } from './token_estimate.js'

/** @typedef {import('./layout_model.js').Box} Box */
/** @typedef {import('./layout_model.js').Frame} Frame */
/** @typedef {import('./layout_model.js').Handle} Handle */
/** @typedef {import('./layout_model.js').Layout} Layout */
/** @typedef {import('./layout_model.js').Point} Point */
/** @typedef {import('./layout_model.js').Size} Size */

/** @typedef {{ count: number, exact: boolean }} TokenCount start and end included; an estimate if not exact */

/**
 * Named layouts that the user keeps.
 * @typedef {object} Presets
 * @property {() => Promise<string[]>} list names
 * @property {(name: string) => Promise<string>} load a layout as JSON
 * @property {(name: string, text: string) => Promise<void>} save
 * @property {(name: string) => Promise<void>} remove
 */

/**
 * What the editor needs from its host.
 * @typedef {object} EditorHost
 * @property {() => import('./layout_model.js').Canvas} canvas size of the picture in pixels
 * @property {() => string | null} units of numbers in texts that state none; null: as their format says
 * @property {() => void} changed the value has changed; called often
 * @property {() => void} committed a change is complete: a gesture, or a text field that lost the focus
 * @property {(text: string) => TokenCount} tokens of a local description
 * @property {Presets} presets
 * @property {() => string | null} lastResult URL of the last generated picture
 * @property {() => string | null} livePicture URL of the latest preview or result of a run
 * @property {() => string | null} background URL of the linked background picture
 * @property {() => { boxes: string | null } | null} linked boxes of the last run as JSON; null without a link
 * @property {() => void} unlink removes the links to boxes
 * @property {(name: string, ...value: unknown[]) => any} preference reads or writes a setting of this editor
 * @property {(event: MouseEvent) => void} forward sends a wheel or middle-button event to the graph
 */

/**
 * A text and what it was read for. pinned: a new canvas does not change the meaning of its pixels.
 * @typedef {{ value: unknown, canvas: import('./layout_model.js').Canvas, units: string | null, pinned: boolean }} Given
 */

/**
 * A pointer gesture on the surface. Points are fractions of the picture.
 * @typedef {object} Gesture
 * @property {Handle | 'move' | 'draw' | 'marquee'} kind a handle resizes
 * @property {string[]} ids of the boxes that it changes
 * @property {string | null} click id of the box that a click without movement selects
 * @property {Point} at start
 * @property {Point} to current end
 * @property {[number, number]} from start in client pixels
 * @property {boolean} started the pointer has moved far enough
 * @property {Layout} layout before the gesture
 * @property {Frame | null} frame being drawn
 */

/** @typedef {{ shown?: unknown[] }} Shown elements, with the values they show */
/**
 * Elements of a box on the surface.
 * @typedef {Shown & { root: HTMLElement, number: HTMLElement, words: HTMLElement }} BoxParts
 */
/**
 * Elements of a box's row in the list.
 * @typedef {Shown & {
 *   root: HTMLElement, number: HTMLElement, color: HTMLInputElement, caption: HTMLTextAreaElement,
 *   grip: HTMLElement, eye: HTMLButtonElement, lock: HTMLButtonElement, up: HTMLButtonElement,
 *   down: HTMLButtonElement, note: HTMLElement
 * }} RowParts
 */
/**
 * Attributes, properties and event listeners of an element.
 * @typedef {{
 *   [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => unknown
 * } & Record<string, unknown>} Attributes
 */

const DRAG_PX = 3 // a shorter movement is a click
const SNAP_PX = 6 // distance at which edges snap to alignment lines
const GRID_PX = 64 // default grid size, in pixels of the picture
const EDGE_PX = 3 // space around the surface, for its outline
const OFFSET_PX = 16 // of copies, in pixels of the picture
const FLASH_MS = 4000

/** @type {string | null} */
let clipboard = null // copied boxes as JSON, shared by all editors of the page

/**
 * Creates an HTML element. Strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), /** @type {EventListener} */ (value))
    else if (key in made && typeof value !== 'string') Object.assign(made, { [key]: value })
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(key, value === true ? '' : String(value))
  }
  made.append(...children)
  return made
}

/**
 * Creates an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[K]}
 */
function svgElement(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  made.append(...children)
  return made
}

const ICONS = {
  add: 'M8 2v12M2 8h12',
  full: 'M2 2h12v12H2z',
  undo: 'M6 3 2.5 6.5 6 10M3 6.5h6.5a4 4 0 0 1 0 8H6',
  redo: 'M10 3l3.5 3.5L10 10M13 6.5H6.5a4 4 0 0 0 0 8H10',
  copy: 'M5 5h9v9H5zM11 5V2H2v9h3',
  remove: 'M3 4h10M6 4V2h4v2M4.5 4l.7 10h5.6l.7-10',
  grid: 'M2 2h12v12H2zM6 2v12M10 2v12M2 6h12M2 10h12',
  guides: 'M8 1v14M3 4h10M5 12h6',
  thirds: 'M2 2h12v12H2zM2 2l12 12M14 2 2 14',
  picture: 'M2 3h12v10H2zM2 11l4-4 3 3 2-2 3 3',
  exchange: 'M5 2v9M2 8l3 3 3-3M11 14V5M8 8l3-3 3 3',
  star: 'M3 2h10v12l-5-4-5 4z',
  expand: 'M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4',
  eye: 'M1 8s2.5-5 7-5 7 5 7 5-2.5 5-7 5-7-5-7-5zM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4',
  hidden: 'M1 8s2.5-5 7-5 7 5 7 5-2.5 5-7 5-7-5-7-5zM2 14 14 2',
  lock: 'M3 7h10v7H3zM5 7V5a3 3 0 0 1 6 0v2',
  unlock: 'M3 7h10v7H3zM5 7V5a3 3 0 0 1 5.8-1',
  up: 'M3 10l5-5 5 5',
  down: 'M3 6l5 5 5-5',
  grip: 'M5 4h6M5 8h6M5 12h6',
  close: 'M3 3l10 10M13 3 3 13'
}

/** @param {keyof typeof ICONS} name */
function icon(name) {
  const path = svgElement('path', { d: ICONS[name] })
  return svgElement('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true', class: 'ifa-icon' }, path)
}

export class LayoutEditor {
  // Elements, made by build()
  /** @type {HTMLElement} the whole editor */ root
  /** @type {Record<string, HTMLButtonElement>} buttons of the toolbar, by name */ tools
  /** @type {HTMLInputElement} grid size in pixels */ gridSize
  /** @type {HTMLElement} toolbar */ toolbar
  /** @type {HTMLElement} around the surface */ stage
  /** @type {HTMLElement} the picture's area, with the shape of the picture */ surface
  /** @type {HTMLTextAreaElement} invisible; receives the keys of the surface */ keys
  /** @type {HTMLImageElement} background picture */ image
  /** @type {SVGSVGElement} grid, composition guides and alignment lines */ lines
  /** @type {HTMLElement} drawn boxes */ boxLayer
  /** @type {HTMLElement} linked boxes */ ghosts
  /** @type {HTMLElement} hatches */ overlapLayer
  /** @type {HTMLElement} rectangle being drawn */ marquee
  /** @type {HTMLElement} text on an empty surface */ hint
  /** @type {HTMLTextAreaElement} description inside a box */ inline
  /** @type {string} id of the box whose description is edited inside it */ inlineId
  /** @type {HTMLElement} column beside the stage */ side
  /** @type {HTMLTextAreaElement} global caption */ global
  /** @type {HTMLElement} rows of the boxes */ list
  /** @type {HTMLElement} numbers of the active box */ exact
  /** @type {Record<'x' | 'y' | 'w' | 'h', HTMLInputElement>} position and size in pixels */ numbers
  /** @type {HTMLInputElement} strength of the active box */ strength
  /** @type {HTMLElement} error of an unreadable value */ notice
  /** @type {HTMLElement} quiet line about what was repaired or left out */ remark
  /** @type {HTMLElement} its text */ remarkText
  /** @type {HTMLElement} note about linked boxes */ link
  /** @type {HTMLButtonElement} replaces the drawn boxes by the linked ones */ takeOverButton
  /** @type {HTMLElement} the open panel, if any */ panel
  /** @type {HTMLElement} announcements to screen readers */ live

  /** @param {EditorHost} host */
  constructor(host) {
    this.host = host
    this.history = new model.History(layoutFormats.parse('', this.host.canvas()))
    /** @type {Layout | null} */
    this.draft = null // the layout during a gesture
    /** @type {string[]} */
    this.selection = [] // ids; the last one is the active box
    /** @type {Gesture | null} */
    this.gesture = null
    /** @type {{ text: string, message: string } | null} */
    this.unreadable = null // a value that is no layout and why: kept until it is replaced
    /** @type {Given | null} */
    this.given = null // what the layout was read from, until the user edits it
    /** @type {string[]} */
    this.notices = [] // what was repaired or left out while reading, here or in the last run
    /** @type {import('./layout_model.js').Guide[]} */
    this.guides = []
    /** @type {string | null} */
    this.backgroundUrl = null
    /** @type {Map<string, RowParts>} */
    this.rows = new Map() // by id
    /** @type {Map<string, BoxParts>} */
    this.boxes = new Map() // by id
    /** @type {(Shown & { root: HTMLElement })[]} */
    this.hatches = [] // of the overlaps
    /** @type {Shown} */
    this.linkedParts = {}
    this.frameRequest = 0
    /** @type {HTMLElement | null} */
    this.overlay = null // full screen
    /** @type {HTMLElement | null} */
    this.home = null // placeholder of the editor during full screen
    this.build()
    this.observer = new ResizeObserver(() => this.fit())
    this.observer.observe(this.stage)
    this.render()
  }

  // The value

  get layout() {
    return this.draft ?? this.history.present
  }

  /**
   * The layout as JSON, as stored in a workflow. An unreadable value is returned unchanged.
   * @returns {string}
   */
  get value() {
    this.refresh()
    return this.unreadable ? this.unreadable.text : layoutFormats.serialize(this.history.present)
  }

  /** The value for a run, without the keys that only the editor uses. */
  get runValue() {
    this.refresh()
    return this.unreadable ? this.unreadable.text : layoutFormats.serializeForRun(this.history.present)
  }

  /** @param {unknown} value JSON, parsed or not */
  set value(value) {
    this.cancel()
    const same =
      !this.unreadable && typeof value === 'string' && value === layoutFormats.serialize(this.history.present)
    if (same) return
    this.history = new model.History(layoutFormats.parse('', this.host.canvas()))
    this.read(value, this.host.canvas(), this.host.units())
    this.selection = []
    this.render()
  }

  /**
   * Takes a text as the layout. An unreadable one is kept as it is.
   * @param {unknown} value JSON, parsed or not
   * @param {import('./layout_model.js').Canvas} canvas for formats in pixels
   * @param {string | null} units of the numbers, if the text states none
   */
  read(value, canvas, units) {
    this.given = { value, canvas, units, pinned: false }
    try {
      const { layout, notices } = layoutFormats.readLayout(value, canvas, units)
      this.history.present = layout
      this.notices = notices
      this.unreadable = null
    } catch (error) {
      this.unreadable = { text: textOf(value), message: messageOf(error) }
      this.notices = []
    }
  }

  /** Reads the text again if the node's size or units have changed: a workflow sets them after the text. */
  refresh() {
    if (!this.given) return
    const { value, units, pinned } = this.given
    const canvas = pinned ? this.given.canvas : this.host.canvas()
    const { width, height } = this.given.canvas
    if (units === this.host.units() && canvas.width === width && canvas.height === height) return
    this.read(value, canvas, this.host.units())
    this.given.pinned = pinned
  }

  /** The user has set another size of the picture. A layout that could be read keeps its proportions. */
  canvasChanged() {
    if (this.given && !this.unreadable) this.given.pinned = true
    this.render()
  }

  /**
   * Shows what was repaired or left out, until the next edit.
   * @param {string[]} notices
   */
  tell(notices) {
    this.notices = notices
    this.render()
  }

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

  /** Releases timers and observers. The host removes the root element. */
  destroy() {
    this.leaveFullScreen()
    this.observer.disconnect()
    cancelAnimationFrame(this.frameRequest)
  }

  /**
   * Records a change by the user.
   * @param {Layout} layout
   * @param {string | null} key consecutive changes with the same key are one step of the history
   */
  record(layout, key = null) {
    this.history.record(layout, key)
    this.unreadable = this.given = null
    this.notices = []
    this.host.changed()
    if (key === null) this.host.committed()
    this.render()
  }

  /** Ends a step of the history, such as typing. */
  closeStep() {
    if (this.history.key === null) return
    this.history.close()
    this.host.committed()
  }

  /** The active box, or null. */
  get active() {
    return this.layout.boxes.find((box) => box.id === this.selection.at(-1)) ?? null
  }

  /**
   * @param {string[]} ids
   * @param {boolean} announce to screen readers
   */
  select(ids, announce = true) {
    this.selection = ids
    this.render()
    if (ids.length === 1) this.scrollTo(ids[0])
    if (!announce) return
    this.announce(ids.length === 1 ? this.describe(ids[0]) : `${ids.length} boxes selected`)
  }

  /**
   * A box in words.
   * @param {string} id
   */
  describe(id) {
    return model.describe(this.layout, id, this.host.canvas())
  }

  /**
   * Scrolls the list, and no element around it, to a row.
   * @param {string} id
   */
  scrollTo(id) {
    const root = this.rows.get(id)?.root
    if (!root) return
    const [row, list] = [root, this.list].map((part) => part.getBoundingClientRect())
    const scale = list.height / this.list.offsetHeight || 1 // the graph may be zoomed
    const [above, below] = [(row.top - list.top) / scale, (row.bottom - list.bottom) / scale]
    if (above < 0) this.list.scrollTop += above
    else if (below > 0) this.list.scrollTop += Math.min(below, above)
  }

  /** @param {string} text for screen readers */
  announce(text) {
    this.live.textContent = text
  }

  // Building the elements, once

  build() {
    /** @param {keyof typeof ICONS} name @param {string} label @param {() => unknown} act */
    const button = (name, label, act) => {
      const attributes = {
        type: 'button',
        class: 'ifa-button',
        title: label,
        'aria-label': label,
        'data-tool': name
      }
      return element('button', { ...attributes, onclick: act }, icon(name))
    }
    /** @param {keyof typeof ICONS} name @param {string} label @param {string} preference */
    const toggle = (name, label, preference) =>
      button(name, label, () => {
        this.host.preference(preference, !this.host.preference(preference))
        this.render()
      })
    this.tools = {
      add: element(
        'button',
        {
          type: 'button',
          class: 'ifa-button ifa-add',
          title: 'Add a box',
          'data-tool': 'add',
          onclick: () => this.addBox()
        },
        icon('add'),
        'Add'
      ),
      full: button('full', 'Add a box that fills the picture', () => this.addBox({ x: 0, y: 0, w: 1, h: 1 })),
      undo: button('undo', 'Undo (Ctrl+Z)', () => this.undo()),
      redo: button('redo', 'Redo (Ctrl+Shift+Z)', () => this.redo()),
      copy: button('copy', 'Duplicate the selected boxes (Ctrl+D)', () => this.duplicate()),
      remove: button('remove', 'Delete the selected boxes (Del)', () => this.removeSelected()),
      grid: toggle('grid', 'Snap to the grid', 'snap'),
      guides: toggle('guides', 'Snap to other boxes', 'guides'),
      thirds: toggle('thirds', 'Composition lines: thirds, centre, diagonals', 'thirds'),
      picture: button('picture', 'Background picture', () => this.openPanel('background')),
      star: button('star', 'Presets: named layouts', () => this.openPanel('presets')),
      exchange: button('exchange', 'Import and export', () => this.openPanel('exchange')),
      expand: button('expand', 'Full screen (Esc leaves it)', () => this.toggleFullScreen())
    }
    this.gridSize = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '2',
      max: '1024',
      step: '1',
      title: 'Grid size in pixels',
      'aria-label': 'Grid size in pixels',
      onchange: () => {
        this.host.preference('grid', Math.max(2, Math.round(Number(this.gridSize.value)) || GRID_PX))
        this.render()
      }
    })
    const { add, full, undo, redo, copy, remove, grid, guides, thirds, picture, star, exchange, expand } =
      this.tools
    const gap = () => element('span', { class: 'ifa-gap' })
    this.toolbar = element(
      'div',
      { class: 'ifa-toolbar', role: 'toolbar', 'aria-label': 'Layout tools' },
      add,
      full,
      gap(),
      undo,
      redo,
      copy,
      remove,
      gap(),
      grid,
      this.gridSize,
      guides,
      thirds,
      picture,
      gap(),
      star,
      exchange,
      expand
    )
    // An invisible text field receives the keys: ComfyUI disables its own shortcuts while a text field has
    // the focus.
    this.keys = element('textarea', {
      class: 'ifa-keys',
      readOnly: true,
      tabIndex: 0,
      'data-testid': 'ifa-keys',
      'aria-label':
        'Layout canvas. Tab selects the next box, arrow keys move it, Alt with arrow keys resizes it, ' +
        'Enter edits its description, brackets change its depth, Delete removes it.',
      onkeydown: (event) => this.onKey(event),
      oncopy: (event) => this.onCopy(event),
      oncut: (event) => this.onCopy(event) && this.removeSelected(),
      onpaste: (event) => this.onPaste(event),
      onfocus: () => this.root.classList.add('ifa-focused'),
      onblur: () => this.root.classList.remove('ifa-focused')
    })
    this.image = element('img', { class: 'ifa-background', alt: '', draggable: false })
    const unitSquare = { preserveAspectRatio: 'none', viewBox: '0 0 1 1' }
    this.lines = svgElement('svg', { class: 'ifa-lines', 'aria-hidden': 'true', ...unitSquare })
    this.overlapLayer = element('div', { class: 'ifa-boxes ifa-overlaps', 'aria-hidden': 'true' })
    this.ghosts = element('div', { class: 'ifa-boxes ifa-ghosts', 'aria-hidden': 'true' })
    this.boxLayer = element('div', {
      class: 'ifa-boxes',
      role: 'listbox',
      'aria-label': 'Boxes, back to front',
      'aria-multiselectable': 'true'
    })
    this.marquee = element('div', { class: 'ifa-marquee', hidden: true })
    this.hint = element('div', { class: 'ifa-hint' }, 'Drag to draw a box, or press + Add')
    this.surface = element(
      'div',
      {
        class: 'ifa-surface',
        'data-testid': 'ifa-surface',
        onpointerdown: (event) => this.onPointerDown(event),
        onpointermove: (event) => this.onPointerMove(event),
        onpointerup: (event) => this.onPointerUp(event),
        onpointercancel: () => this.cancel(),
        onlostpointercapture: () => this.gesture && this.cancel(),
        ondblclick: (event) => this.onDoubleClick(event),
        onwheel: (event) => this.host.forward(event),
        oncontextmenu: (event) => event.preventDefault()
      },
      this.image,
      this.lines,
      this.ghosts,
      this.boxLayer,
      this.overlapLayer,
      this.marquee,
      this.hint
    )
    this.inlineId = '' // of the box whose description is edited inside it
    this.inline = element('textarea', {
      class: 'ifa-inline',
      hidden: true,
      'aria-label': 'Description of the box',
      oninput: () => this.setCaption(this.inlineId, this.inline.value),
      onkeydown: (event) => this.onTextKey(event, () => this.closeInline()),
      onblur: () => this.closeInline(false)
    })
    this.stage = element('div', { class: 'ifa-stage' }, this.surface, this.inline, this.keys)
    this.global = element('textarea', {
      class: 'ifa-text',
      rows: 2,
      placeholder: 'The whole picture: "a cat and a teapot on a wooden table"',
      'aria-label': 'Global caption: the whole picture',
      oninput: () => this.record({ ...this.layout, caption: this.global.value }, 'global caption'),
      onblur: () => this.closeStep(),
      onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
    })
    this.list = element('ol', {
      class: 'ifa-list',
      'aria-label': 'Boxes, front first',
      'data-capture-wheel': 'true'
    })
    /** @param {string} name */
    const pixelField = (name) =>
      element('input', {
        type: 'number',
        class: 'ifa-number',
        step: '1',
        'aria-label': `${name} of the box in pixels`,
        title: `${name} in pixels`,
        onchange: () => this.setNumbers(),
        onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
      })
    this.numbers = {
      x: pixelField('left'),
      y: pixelField('top'),
      w: pixelField('width'),
      h: pixelField('height')
    }
    this.strength = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '0',
      max: '3',
      step: '0.05',
      'aria-label': 'strength of the box',
      title: 'Strength of the adapter in this box: 1 as trained, 0 off',
      onchange: () => this.setStrength(),
      onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
    })
    this.exact = element(
      'div',
      { class: 'ifa-exact', role: 'group', 'aria-label': 'Exact position and size of the active box' },
      ...Object.entries({ ...this.numbers, strength: this.strength }).map(([key, input]) =>
        element(
          'span',
          { class: 'ifa-pair' },
          element('span', { 'aria-hidden': 'true' }, key.length === 1 ? key.toUpperCase() : key),
          input
        )
      )
    )
    this.side = element(
      'div',
      { class: 'ifa-side' },
      element('label', { class: 'ifa-label' }, 'Global caption'),
      this.global,
      element('label', { class: 'ifa-label' }, 'Boxes, front on top'),
      this.list,
      this.exact
    )
    this.notice = element('div', { class: 'ifa-notice', role: 'alert', hidden: true })
    this.remarkText = element('span')
    this.remark = element(
      'div',
      { class: 'ifa-remark', role: 'status', hidden: true },
      this.remarkText,
      textButton('Dismiss', () => this.tell([]))
    )
    this.takeOverButton = element(
      'button',
      { type: 'button', class: 'ifa-text-button', onclick: () => this.takeOver() },
      'Edit them here'
    )
    this.link = element(
      'div',
      { class: 'ifa-link', role: 'status', hidden: true },
      'The boxes come from a linked input. ',
      'The boxes drawn here only give their descriptions, in the same order. ',
      this.takeOverButton
    )
    this.panel = element('div', { class: 'ifa-panel', role: 'dialog', 'aria-modal': 'false', hidden: true })
    this.live = element('div', { class: 'ifa-live', 'aria-live': 'polite' })
    this.root = element(
      'div',
      {
        class: 'ifa-editor',
        'data-testid': 'ifa-editor',
        onkeydown: (event) => event.key === 'Escape' && this.onEscape(event)
      },
      element('style', {}, STYLE),
      this.toolbar,
      this.notice,
      this.remark,
      this.link,
      element('div', { class: 'ifa-main' }, this.stage, this.side),
      this.panel,
      this.live
    )
  }

  // Rendering

  render() {
    this.refresh()
    const layout = this.layout
    const known = new Set(layout.boxes.map((box) => box.id))
    this.selection = this.selection.filter((id) => known.has(id))
    dropGone(this.boxes, known)
    dropGone(this.rows, known)
    this.renderNotice()
    this.renderTools(layout)
    this.renderLinked()
    this.renderBoxes(layout)
    this.renderOverlaps(layout)
    this.renderLines()
    this.renderList(layout)
    this.renderExact()
    setText(this.global, layout.caption)
    this.root.classList.toggle('ifa-dragging', this.gesture !== null)
    this.hint.hidden = layout.boxes.length > 0 || this.unreadable !== null || this.gesture !== null
    const picture = this.picture
    this.image.hidden = !picture
    if (picture && this.image.getAttribute('src') !== picture) this.image.src = picture
    this.image.style.opacity = String(this.host.preference('dim') ?? 0.5)
    this.fit()
  }

  renderNotice() {
    this.remark.hidden = this.notices.length === 0
    this.remarkText.textContent = this.notices.join(' ')
    this.notice.hidden = !this.unreadable
    if (!this.unreadable) return
    const start = textButton('Start an empty layout', () =>
      this.record(layoutFormats.parse('', this.host.canvas()))
    )
    const edit = textButton('Show the text', () => this.openPanel('exchange'))
    this.notice.replaceChildren(this.unreadable.message, element('div', {}, edit, start))
  }

  /** Linked boxes, which a run uses in place of the drawn ones. */
  renderLinked() {
    const { width, height } = this.host.canvas()
    const linked = this.host.linked()
    if (isShown(this.linkedParts, linked === null, linked?.boxes, width, height)) return
    const boxes = this.linkedBoxes()
    this.link.hidden = !linked
    this.takeOverButton.disabled = !boxes
    this.takeOverButton.title = boxes
      ? 'Copy the linked boxes into the editor and remove the link'
      : 'Run the workflow once to load the linked boxes'
    this.ghosts.replaceChildren(
      ...(boxes ?? []).map((box, index) => {
        const ghost = element(
          'div',
          { class: 'ifa-ghost' },
          element('span', { class: 'ifa-number-tag' }, String(index + 1))
        )
        place(ghost, box)
        return ghost
      })
    )
  }

  /**
   * The linked boxes of the last run, or null. Invalid ones are ignored here: the run itself reports the
   * error.
   */
  linkedBoxes() {
    const text = this.host.linked()?.boxes
    if (!text) return null
    try {
      return layoutFormats.parse(text, this.host.canvas()).boxes
    } catch {
      return null
    }
  }

  /** Replaces the drawn boxes by the linked ones. */
  takeOver() {
    const boxes = this.linkedBoxes()
    if (!boxes) return
    this.host.unlink()
    this.record(model.takenOver(this.layout, boxes))
  }

  /** @param {Layout} layout */
  renderTools(layout) {
    const { undo, redo, copy, remove, grid, guides, thirds } = this.tools
    undo.disabled = !this.history.canUndo
    redo.disabled = !this.history.canRedo
    copy.disabled = remove.disabled = this.selection.length === 0
    grid.setAttribute('aria-pressed', String(Boolean(this.host.preference('snap'))))
    guides.setAttribute('aria-pressed', String(Boolean(this.host.preference('guides'))))
    thirds.setAttribute('aria-pressed', String(Boolean(this.host.preference('thirds'))))
    this.gridSize.hidden = !this.host.preference('snap')
    if (document.activeElement !== this.gridSize) this.gridSize.value = String(this.gridPx)
    for (const tool of [this.tools.add, this.tools.full])
      tool.disabled = layout.boxes.length >= model.MAX_BOXES
  }

  /** @param {Layout} layout */
  renderBoxes(layout) {
    const { width, height } = this.host.canvas()
    layout.boxes.forEach((box, index) => {
      const parts = this.boxes.get(box.id) ?? this.newBox(box.id)
      const selected = this.selection.includes(box.id)
      if (isShown(parts, box, index, selected, this.selection.at(-1) === box.id, width, height)) return
      const { root, number, words } = parts
      root.className = 'ifa-box'
      root.classList.toggle('ifa-selected', selected)
      root.classList.toggle('ifa-active', this.selection.at(-1) === box.id)
      root.classList.toggle('ifa-locked', box.locked)
      root.classList.toggle('ifa-empty', !box.caption.trim())
      root.hidden = box.hidden
      place(root, box)
      root.style.zIndex = String(index + 1 + (selected ? model.MAX_BOXES : 0))
      root.style.setProperty('--box', box.color)
      root.style.background = `${box.color}38`
      root.setAttribute('aria-selected', String(selected))
      root.setAttribute('aria-label', model.describe(layout, box.id, { width, height }))
      number.textContent = String(index + 1)
      words.textContent = box.caption.trim() || 'no caption'
    })
  }

  /** @param {string} id */
  newBox(id) {
    const number = element('span', { class: 'ifa-number-tag' })
    const words = element('span', { class: 'ifa-words' })
    const handles = model.HANDLES.map((handle) =>
      element('span', { class: `ifa-handle ifa-${handle}`, 'data-handle': handle, 'aria-hidden': 'true' })
    )
    const root = element('div', { role: 'option', 'data-box': id }, number, words, ...handles)
    this.boxLayer.append(root)
    /** @type {BoxParts} */
    const parts = { root, number, words }
    this.boxes.set(id, parts)
    return parts
  }

  /**
   * Hatches the areas where boxes overlap.
   * @param {Layout} layout
   */
  renderOverlaps(layout) {
    const frames = model
      .overlappingPairs(layout)
      .map(([a, b]) => model.intersection(layout.boxes[a], layout.boxes[b]))
    for (const surplus of this.hatches.splice(frames.length)) surplus.root.remove()
    while (this.hatches.length < frames.length) {
      const root = element('div', { class: 'ifa-overlap' })
      this.overlapLayer.append(root)
      this.hatches.push({ root })
    }
    frames.forEach((frame, index) => {
      const hatch = this.hatches[index]
      if (!isShown(hatch, frame.x, frame.y, frame.w, frame.h)) place(hatch.root, frame)
    })
  }

  /** The grid, the composition guides, and the lines that the moving box is snapped to. */
  renderLines() {
    const shapes = []
    const canvas = this.host.canvas()
    if (this.host.preference('snap')) {
      const { x, y } = this.gridStep
      for (let at = x; at < 1 - 1e-9 && x * canvas.width >= 2; at += x)
        shapes.push(line(at, 0, at, 1, 'ifa-grid-line'))
      for (let at = y; at < 1 - 1e-9 && y * canvas.height >= 2; at += y)
        shapes.push(line(0, at, 1, at, 'ifa-grid-line'))
    }
    if (this.host.preference('thirds')) {
      for (const at of [1 / 3, 1 / 2, 2 / 3])
        shapes.push(line(at, 0, at, 1, 'ifa-thirds'), line(0, at, 1, at, 'ifa-thirds'))
      shapes.push(line(0, 0, 1, 1, 'ifa-thirds'), line(0, 1, 1, 0, 'ifa-thirds'))
    }
    for (const { axis, at } of this.guides) {
      shapes.push(axis === 'x' ? line(at, 0, at, 1, 'ifa-guide') : line(0, at, 1, at, 'ifa-guide'))
    }
    this.lines.replaceChildren(...shapes)
  }

  /** @param {Layout} layout */
  renderList(layout) {
    const overlaps = model.overlaps(layout)
    const count = layout.boxes.length
    const frontFirst = [...layout.boxes].reverse()
    frontFirst.forEach((box, position) => {
      const row = this.rows.get(box.id) ?? this.newRow(box.id)
      if (this.list.children[position] !== row.root)
        this.list.insertBefore(row.root, this.list.children[position] ?? null)
      this.renderRow(row, box, count - position, count, overlaps.get(box.id) ?? [])
    })
  }

  /**
   * @param {RowParts} row
   * @param {Box} box
   * @param {number} number of the box, from 1 at the back
   * @param {number} count of all boxes
   * @param {number[]} overlapped numbers of the boxes that it overlaps
   */
  renderRow(row, box, number, count, overlapped) {
    const lacksCaption = !box.caption.trim()
    const tokens = lacksCaption ? null : this.host.tokens(box.caption)
    const selected = this.selection.includes(box.id)
    if (isShown(row, box, number, overlapped.join(), count, selected, tokens?.count, tokens?.exact)) return
    const name = `box ${number}`
    row.root.classList.toggle('ifa-selected', selected)
    row.root.style.setProperty('--box', box.color)
    row.number.textContent = String(number)
    setText(row.caption, box.caption)
    row.caption.setAttribute('aria-label', `Description of ${name}`)
    row.color.value = box.color
    row.color.setAttribute('aria-label', `Colour of ${name}`)
    setToggle(row.eye, box.hidden ? 'hidden' : 'eye', box.hidden, `${box.hidden ? 'Show' : 'Hide'} ${name}`)
    setToggle(
      row.lock,
      box.locked ? 'lock' : 'unlock',
      box.locked,
      `${box.locked ? 'Unlock' : 'Lock'} ${name}`
    )
    label(row.up, `Bring ${name} forward (])`)
    label(row.down, `Send ${name} backward ([)`)
    row.up.disabled = number === count
    row.down.disabled = number === 1
    row.grip.setAttribute('title', `Drag ${name} to another depth`)
    const notes = [
      lacksCaption && !box.hidden ? 'needs a caption' : '',
      box.hidden ? 'hidden: not part of the run' : '',
      overlapped.length ? `overlaps ${overlapped.join(', ')}` : '',
      tokens ? `${tokens.exact ? '' : 'about '}${tokens.count} of ${CONTEXT_TOKENS} tokens` : ''
    ]
    row.note.textContent = notes.filter(Boolean).join(' - ')
    row.note.classList.toggle(
      'ifa-warning',
      (lacksCaption && !box.hidden) || (tokens?.count ?? 0) > CONTEXT_TOKENS
    )
  }

  /** @param {string} id */
  newRow(id) {
    /** @param {keyof typeof ICONS} name @param {() => unknown} act */
    const small = (name, act) =>
      element('button', { type: 'button', class: 'ifa-small', onclick: act }, icon(name))
    /** @param {'hidden' | 'locked'} key */
    const flip = (key) => () => this.record(model.change(this.layout, [id], (box) => ({ [key]: !box[key] })))
    /** @type {HTMLInputElement} */
    const color = element('input', {
      type: 'color',
      class: 'ifa-color',
      oninput: () =>
        this.record(
          model.change(this.layout, [id], () => ({ color: color.value })),
          `color ${id}`
        ),
      onchange: () => this.closeStep()
    })
    /** @type {HTMLTextAreaElement} */
    const caption = element('textarea', {
      class: 'ifa-text',
      rows: 2,
      placeholder: 'What appears in this box, in detail',
      oninput: () => this.setCaption(id, caption.value),
      onfocus: () => this.selection.at(-1) !== id && this.select([id], false),
      onblur: () => this.closeStep(),
      onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
    })
    const grip = element('span', { class: 'ifa-grip', 'aria-hidden': 'true' }, icon('grip'))
    grip.addEventListener('pointerdown', (event) => this.onGripDown(event, grip, id))
    const row = {
      number: element('span', { class: 'ifa-number-tag' }),
      color,
      caption,
      grip,
      eye: small('eye', flip('hidden')),
      lock: small('unlock', flip('locked')),
      up: small('up', () => this.record(model.reorder(this.layout, [id], 'forward'))),
      down: small('down', () => this.record(model.reorder(this.layout, [id], 'backward'))),
      note: element('span', { class: 'ifa-note' })
    }
    const fill = element('span', { class: 'ifa-fill' })
    const root = element(
      'li',
      {
        class: 'ifa-row',
        'data-row': id,
        onpointerdown: (event) => {
          if (/** @type {Element} */ (event.target).closest('button, input, textarea, .ifa-grip')) return
          event.preventDefault()
          this.select(event.shiftKey ? toggled(this.selection, id) : [id])
          this.keys.focus()
        }
      },
      element(
        'div',
        { class: 'ifa-row-head' },
        grip,
        row.number,
        color,
        fill,
        row.eye,
        row.lock,
        row.up,
        row.down
      ),
      caption,
      row.note
    )
    /** @type {RowParts} */
    const parts = { ...row, root }
    this.rows.set(id, parts)
    return parts
  }

  /** The exact numbers of the active box. */
  renderExact() {
    const box = this.active
    this.exact.classList.toggle('ifa-off', !box)
    const pixels = box ? model.toPixels(box, this.host.canvas()) : null
    for (const key of /** @type {const} */ (['x', 'y', 'w', 'h'])) {
      const input = this.numbers[key]
      input.disabled = !box || box.locked
      if (document.activeElement !== input || !box) input.value = pixels ? String(pixels[key]) : ''
    }
    this.strength.disabled = !box
    if (document.activeElement !== this.strength || !box)
      this.strength.value = box ? String(box.strength) : ''
  }

  /** Fits the surface into the stage, with the aspect ratio of the picture. */
  fit() {
    const { width, height } = this.host.canvas()
    const [room, tall] = [this.stage.clientWidth, this.stage.clientHeight]
    if (!room || !tall) return
    const scale = Math.min((room - 2 * EDGE_PX) / width, (tall - 2 * EDGE_PX) / height)
    this.surface.style.width = `${width * scale}px`
    this.surface.style.height = `${height * scale}px`
  }

  // Changes

  /** @returns {number} grid size in pixels of the picture */
  get gridPx() {
    return this.host.preference('grid') ?? GRID_PX
  }

  /** The offset of copies from their originals. */
  get copyOffset() {
    const { width, height } = this.host.canvas()
    return { x: OFFSET_PX / width, y: OFFSET_PX / height }
  }

  /** The grid size as fractions of the picture. */
  get gridStep() {
    const { width, height } = this.host.canvas()
    return { x: Math.min(this.gridPx / width, 1), y: Math.min(this.gridPx / height, 1) }
  }

  /** The smallest width and height of a box. */
  get minimum() {
    return model.minSides(this.host.canvas())
  }

  addBox(frame = model.freePlace(this.layout)) {
    const { layout, ids } = model.add(this.layout, [frame])
    this.record(layout)
    this.select(ids)
    this.rows.get(ids[0])?.caption.focus({ preventScroll: true })
  }

  duplicate() {
    if (!this.selection.length) return
    const { layout, ids } = model.duplicate(this.layout, this.selection, this.copyOffset)
    this.record(layout)
    this.select(ids)
  }

  removeSelected() {
    if (!this.selection.length) return
    const count = this.selection.length
    this.record(model.remove(this.layout, this.selection))
    this.announce(count === 1 ? 'Box deleted' : `${count} boxes deleted`)
  }

  undo() {
    this.cancel()
    this.history.undo()
    this.afterHistory('Undo')
  }

  redo() {
    this.history.redo()
    this.afterHistory('Redo')
  }

  /** @param {string} announcement */
  afterHistory(announcement) {
    this.given = null
    this.host.changed()
    this.host.committed()
    this.render()
    this.announce(announcement)
  }

  /**
   * @param {string} id
   * @param {string} caption
   */
  setCaption(id, caption) {
    this.record(
      model.change(this.layout, [id], () => ({ caption })),
      `caption ${id}`
    )
  }

  /** Takes the exact position and size from the number fields. */
  setNumbers() {
    const box = this.active
    if (!box) return
    const canvas = this.host.canvas()
    /** @param {HTMLInputElement} input */
    const number = (input) => Math.round(Number(input.value)) || 0
    const { x, y, w, h } = this.numbers
    const pixels = { x: number(x), y: number(y), w: Math.max(number(w), 1), h: Math.max(number(h), 1) }
    this.record(model.change(this.layout, [box.id], () => model.clamp(model.fromPixels(pixels, canvas))))
    this.renderExact()
  }

  setStrength() {
    if (!this.active) return
    const strength = Math.min(Math.max(Number(this.strength.value) || 0, 0), 3)
    this.record(model.change(this.layout, [this.active.id], () => ({ strength })))
  }

  /**
   * Moves the selected boxes.
   * @param {number} dx in pixels of the picture
   * @param {number} dy in pixels of the picture
   */
  nudge(dx, dy) {
    const { width, height } = this.host.canvas()
    const free = this.unlocked(this.selection)
    if (!free.length) return
    const from = model.bounds(free)
    const to = model.moved(from, dx / width, dy / height)
    this.transform(free, from, to, `nudge ${free.map((box) => box.id)}`)
  }

  /**
   * Moves the right and lower sides of the active box.
   * @param {number} dx in pixels of the picture
   * @param {number} dy in pixels of the picture
   */
  stretch(dx, dy) {
    const { width, height } = this.host.canvas()
    const free = this.unlocked(this.selection.slice(-1))
    if (!free.length) return
    const from = model.bounds(free)
    this.transform(
      free,
      from,
      model.resized(from, 'se', dx / width, dy / height, this.minimum),
      `stretch ${free[0].id}`
    )
  }

  /**
   * The unlocked boxes among these.
   * @param {string[]} ids
   */
  unlocked(ids) {
    return this.layout.boxes.filter((box) => ids.includes(box.id) && !box.locked)
  }

  /**
   * Moves and scales boxes as a group.
   * @param {Box[]} boxes
   * @param {Frame} from the group's bounds before
   * @param {Frame} to the group's bounds after
   * @param {string} key of the history step
   */
  transform(boxes, from, to, key) {
    const ids = boxes.map((box) => box.id)
    this.record(
      model.change(this.layout, ids, (box) => model.clamp(model.movedWithGroup(box, from, to))),
      key
    )
    this.host.committed()
    if (ids.length === 1) this.announce(this.describe(ids[0]))
  }

  // Gestures. The surface captures the pointer and has all listeners: in Nodes 2.0 no pointer event reaches
  // the document.

  /**
   * The position of the pointer as fractions of the picture.
   * @param {MouseEvent} event
   * @returns {Point}
   */
  point(event) {
    const area = this.surface.getBoundingClientRect()
    return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height }
  }

  /** @param {PointerEvent} event */
  onPointerDown(event) {
    if (event.button === 1) this.host.forward(event)
    if (event.button !== 0 || this.unreadable) return
    event.stopPropagation()
    event.preventDefault()
    this.closeInline()
    this.keys.focus({ preventScroll: true })
    const at = this.point(event)
    const gesture = this.beginGesture(event, at)
    if (!gesture) return
    this.surface.setPointerCapture(event.pointerId)
    const from = /** @type {[number, number]} */ ([event.clientX, event.clientY])
    this.gesture = {
      ids: [],
      click: null,
      frame: null,
      ...gesture,
      at,
      to: at,
      from,
      started: false,
      layout: this.history.present
    }
  }

  /**
   * The gesture that a press starts, or null if the press only selects.
   * @param {PointerEvent} event
   * @param {Point} at
   * @returns {Pick<Gesture, 'kind'> & Partial<Gesture> | null}
   */
  beginGesture(event, at) {
    const layout = this.layout
    const handle = /** @type {Handle | undefined} */ (
      /** @type {HTMLElement} */ (event.target).dataset?.handle
    )
    const selected = this.unlocked(this.selection).map((box) => box.id)
    if (handle && selected.length) return { kind: handle, ids: selected }
    if (event.altKey) {
      const below = model.boxBelow(layout, at.x, at.y, this.selection.at(-1) ?? null)
      if (!below) return null
      this.select([below])
      return this.unlocked([below]).length ? { kind: 'move', ids: [below] } : null
    }
    if (event.ctrlKey || event.metaKey) return { kind: 'draw' }
    const under = this.unlocked(model.boxesAt(layout, at.x, at.y))
      .map((box) => box.id)
      .reverse() // front first
    const hit = under.find((id) => this.selection.includes(id)) ?? under[0]
    if (!hit) return { kind: event.shiftKey ? 'marquee' : 'draw' }
    if (event.shiftKey) {
      this.select(toggled(this.selection, hit))
      return this.selection.includes(hit)
        ? { kind: 'move', ids: this.unlocked(this.selection).map((box) => box.id) }
        : null
    }
    const click = under[0]
    if (!this.selection.includes(hit)) this.select([hit])
    return { kind: 'move', ids: this.unlocked(this.selection).map((box) => box.id), click }
  }

  /** @param {PointerEvent} event */
  onPointerMove(event) {
    if (!this.gesture) return
    event.stopPropagation()
    this.gesture.to = this.point(event)
    const [x, y] = this.gesture.from
    if (!this.gesture.started && Math.hypot(event.clientX - x, event.clientY - y) < DRAG_PX) return
    this.gesture.started = true
    if (!this.frameRequest) {
      this.frameRequest = requestAnimationFrame(() => {
        this.frameRequest = 0
        if (this.gesture) this.applyGesture()
      })
    }
  }

  /** Shows the gesture's effect up to the pointer's last position. */
  applyGesture() {
    if (!this.gesture) return
    const { kind, at, to, layout, ids } = this.gesture
    this.guides = []
    if (kind === 'marquee') {
      const frame = model.spanned(at, to)
      this.showMarquee(frame)
      this.selection = model.boxesIn(layout, frame)
    } else if (kind === 'draw') {
      const corner = to.x >= at.x ? (to.y >= at.y ? 'se' : 'ne') : to.y >= at.y ? 'sw' : 'nw'
      const frame = this.snapped(model.spanned(at, to), corner, layout.boxes)
      this.gesture.frame = frame
      this.showMarquee(frame)
    } else {
      const boxes = layout.boxes.filter((box) => ids.includes(box.id))
      const others = layout.boxes.filter((box) => !ids.includes(box.id) && !box.hidden)
      const from = model.bounds(boxes)
      const [dx, dy] = [to.x - at.x, to.y - at.y]
      const minimum = this.minimumOf(boxes, from)
      const dragged = kind === 'move' ? model.moved(from, dx, dy) : model.resized(from, kind, dx, dy, minimum)
      const frame = this.snapped(dragged, kind, others, minimum)
      this.draft = model.change(layout, ids, (box) => model.movedWithGroup(box, from, frame))
    }
    this.render()
  }

  /**
   * The smallest size of a group at which none of its members is too small.
   * @param {Box[]} boxes
   * @param {Frame} from the group's bounds
   * @returns {Size}
   */
  minimumOf(boxes, from) {
    return {
      w: Math.min(Math.max(...boxes.map((box) => (this.minimum.w * from.w) / box.w)), from.w),
      h: Math.min(Math.max(...boxes.map((box) => (this.minimum.h * from.h) / box.h)), from.h)
    }
  }

  /**
   * A frame snapped to the grid or to other boxes, whichever is switched on.
   * @param {Frame} frame
   * @param {Handle | 'move'} handle
   * @param {Box[]} others
   * @param {Size} minimum
   */
  snapped(frame, handle, others, minimum = this.minimum) {
    if (this.host.preference('snap')) return model.snappedToGrid(frame, handle, this.gridStep, minimum)
    if (!this.host.preference('guides')) return frame
    const area = this.surface.getBoundingClientRect()
    const result = model.aligned(
      frame,
      handle,
      others,
      { x: SNAP_PX / area.width, y: SNAP_PX / area.height },
      minimum
    )
    this.guides = result.guides
    return result.frame
  }

  /** @param {PointerEvent} event */
  onPointerUp(event) {
    if (!this.gesture) return
    event.stopPropagation()
    if (this.gesture.started) this.applyGesture()
    const { draft } = this
    const { kind, started, frame, click } = this.gesture
    this.endGesture()
    if (!started) {
      if (kind === 'draw' || kind === 'marquee') this.select([], false)
      else if (click && (this.selection.length > 1 || click !== this.selection[0])) this.select([click])
    } else if (kind === 'marquee') this.select(this.selection)
    else if (kind === 'draw' && frame && frame.w >= this.minimum.w && frame.h >= this.minimum.h) {
      const { layout, ids } = model.add(this.history.present, [frame])
      this.record(layout)
      this.select(ids)
    } else if (draft) this.record(draft)
    this.render()
  }

  /** Cancels the gesture: the layout stays as it was before. */
  cancel() {
    if (!this.gesture) return
    this.endGesture()
    this.render()
  }

  endGesture() {
    this.gesture = null
    this.draft = null
    this.guides = []
    this.marquee.hidden = true
  }

  /** @param {Frame} frame */
  showMarquee(frame) {
    this.marquee.hidden = false
    place(this.marquee, frame)
  }

  /** @param {MouseEvent} event */
  onDoubleClick(event) {
    const at = this.point(event)
    const under = model.boxesAt(this.layout, at.x, at.y)
    const id = under.find((each) => this.selection.includes(each)) ?? under[0]
    if (id) this.openInline(id)
  }

  /**
   * Starts dragging a row to another depth.
   * @param {PointerEvent} event
   * @param {HTMLElement} grip
   * @param {string} id
   */
  onGripDown(event, grip, id) {
    if (event.button !== 0) return
    event.preventDefault()
    event.stopPropagation()
    grip.setPointerCapture(event.pointerId)
    this.select([id], false)
    /** @param {PointerEvent} next */
    const move = (next) => {
      next.stopPropagation()
      const rows = [...this.list.children]
      const over = rows.findIndex((row) => next.clientY < row.getBoundingClientRect().bottom)
      const position = rows.length - 1 - (over < 0 ? rows.length - 1 : over) // from the back
      if (this.layout.boxes[position]?.id !== id) {
        this.draft = model.moveTo(this.layout, id, position)
        this.render()
      }
    }
    /** @param {PointerEvent} last */
    const end = (last) => {
      grip.removeEventListener('pointermove', move)
      grip.removeEventListener('pointerup', end)
      grip.removeEventListener('pointercancel', end)
      const draft = this.draft
      this.draft = null
      if (draft && last.type === 'pointerup') this.record(draft)
      else this.render()
    }
    grip.addEventListener('pointermove', move)
    grip.addEventListener('pointerup', end)
    grip.addEventListener('pointercancel', end)
  }

  // Keys

  /** @param {KeyboardEvent} event */
  onKey(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) return // ComfyUI: runs the graph
    const act = this.keyAction(event)
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }

  /**
   * The action of a key, or nothing if the editor does not use it.
   * @param {KeyboardEvent} event
   * @returns {(() => unknown) | null | undefined}
   */
  keyAction(event) {
    const command = event.ctrlKey || event.metaKey
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    /** @type {Record<string, [number, number]>} */
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
    if (key in arrows && !command) {
      const step = event.shiftKey ? (this.host.preference('snap') ? this.gridPx : 10) : 1
      const [dx, dy] = arrows[key].map((part) => part * step)
      return () => (event.altKey ? this.stretch(dx, dy) : this.nudge(dx, dy))
    }
    if (key === 'Tab' && !command && !event.altKey) return this.tabAction(event.shiftKey)
    /** @type {Record<string, () => unknown>} */
    const commands = {
      z: () => (event.shiftKey ? this.redo() : this.undo()),
      y: () => this.redo(),
      a: () => this.select(this.layout.boxes.filter((box) => !box.hidden).map((box) => box.id)),
      d: () => this.duplicate()
    }
    if (command) return commands[key]
    if (event.altKey) return null
    /** @type {Record<string, () => unknown>} */
    const plain = {
      Delete: () => this.removeSelected(),
      Backspace: () => this.removeSelected(),
      Enter: () => this.active && this.openInline(this.active.id),
      '[': () => this.depth('backward'),
      ']': () => this.depth('forward'),
      '{': () => this.depth('back'),
      '}': () => this.depth('front'),
      h: () => this.hideAll(),
      l: () => this.lockSelected(),
      n: () => this.addBox()
    }
    return plain[key]
  }

  /**
   * Tab selects the next box; null after the last one, so that the focus leaves the editor.
   * @param {boolean} back with Shift
   */
  tabAction(back) {
    const ids = this.layout.boxes.filter((box) => !box.hidden).map((box) => box.id)
    const at = ids.indexOf(this.selection.at(-1) ?? '')
    const next = at < 0 ? (back ? -1 : 0) : at + (back ? -1 : 1)
    const target = ids[next]
    return target ? () => this.select([target]) : null
  }

  /** @param {import('./layout_model.js').DepthMove} where */
  depth(where) {
    if (!this.selection.length) return
    this.record(model.reorder(this.layout, this.selection, where))
    if (this.active) this.announce(this.describe(this.active.id))
  }

  /** Hides all boxes, or shows them if all are hidden. */
  hideAll() {
    const { boxes } = this.layout
    const hidden = boxes.some((box) => !box.hidden)
    const ids = boxes.map((box) => box.id)
    this.record(model.change(this.layout, ids, () => ({ hidden })))
  }

  /** Locks the selected boxes, or unlocks them if all are locked. */
  lockSelected() {
    const boxes = this.layout.boxes.filter((box) => this.selection.includes(box.id))
    if (!boxes.length) return
    const lock = boxes.some((box) => !box.locked)
    this.record(model.change(this.layout, this.selection, () => ({ locked: lock })))
  }

  /**
   * Keeps keys in a text field from ComfyUI, except Ctrl+Enter, which runs the graph.
   * @param {KeyboardEvent} event
   * @param {() => unknown} leave on Escape
   */
  onTextKey(event, leave) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) return
    event.stopPropagation()
    if (event.key === 'Escape') {
      event.preventDefault()
      leave()
    }
  }

  /** @param {KeyboardEvent} event */
  onEscape(event) {
    if (this.gesture) this.cancel()
    else if (!this.panel.hidden) this.closePanel()
    else if (this.fullScreen) this.leaveFullScreen()
    else if (this.selection.length) this.select([], false)
    else return
    event.preventDefault()
    event.stopPropagation()
  }

  // Clipboard

  /**
   * @param {ClipboardEvent} event
   * @returns {boolean} whether boxes were copied
   */
  onCopy(event) {
    event.stopPropagation()
    event.preventDefault()
    const boxes = this.layout.boxes.filter((box) => this.selection.includes(box.id))
    if (!boxes.length) return false
    clipboard = layoutFormats.serialize({ caption: '', boxes })
    event.clipboardData?.setData('text/plain', clipboard)
    this.announce(boxes.length === 1 ? 'Box copied' : `${boxes.length} boxes copied`)
    return true
  }

  /** @param {ClipboardEvent} event */
  onPaste(event) {
    event.stopPropagation()
    event.preventDefault()
    const text = event.clipboardData?.getData('text/plain') || clipboard
    if (!text) return
    try {
      const { layout: read, notices } = layoutFormats.readLayout(text, this.host.canvas(), this.host.units())
      const pasted = read.boxes
      const taken = new Set(this.layout.boxes.map(frameKey))
      const { x, y } = this.copyOffset
      const shifted = pasted.map((box) => (taken.has(frameKey(box)) ? model.moved(box, x, y) : box))
      const { layout, ids } = model.add(this.layout, shifted)
      this.record(layout)
      this.tell(notices)
      this.select(ids)
    } catch (error) {
      this.flash(messageOf(error))
    }
  }

  // Editing a description inside its box

  /** @param {string} id */
  openInline(id) {
    const box = this.layout.boxes.find((each) => each.id === id)
    this.select([id], false)
    const root = this.boxes.get(id)?.root
    if (!box || !root) return
    const [area, stage] = [root, this.stage].map((part) => part.getBoundingClientRect())
    const scale = stage.width / this.stage.clientWidth || 1 // the graph may be zoomed
    this.inline.hidden = false
    this.inlineId = id
    this.inline.value = box.caption
    Object.assign(this.inline.style, {
      left: `${(area.left - stage.left) / scale}px`,
      top: `${(area.top - stage.top) / scale}px`,
      width: `${Math.max(area.width / scale, 120)}px`,
      height: `${Math.max(area.height / scale, 48)}px`
    })
    this.inline.focus({ preventScroll: true })
    this.inline.select()
  }

  /** @param {boolean} refocus the surface */
  closeInline(refocus = true) {
    if (this.inline.hidden) return
    this.inline.hidden = true
    this.closeStep()
    if (refocus) this.keys.focus({ preventScroll: true })
  }

  // Panels

  /** @param {'background' | 'presets' | 'exchange'} name */
  openPanel(name) {
    if (!this.panel.hidden && this.panel.dataset.name === name) return this.closePanel()
    const panels = {
      background: () => this.backgroundPanel(),
      presets: () => this.presetsPanel(),
      exchange: () => this.exchangePanel()
    }
    const [title, content] = panels[name]()
    const close = element(
      'button',
      {
        type: 'button',
        class: 'ifa-small',
        'aria-label': 'Close',
        title: 'Close',
        onclick: () => this.closePanel()
      },
      icon('close')
    )
    this.panel.dataset.name = name
    this.panel.setAttribute('aria-label', title)
    this.panel.replaceChildren(
      element('div', { class: 'ifa-panel-head' }, element('strong', {}, title), close),
      content
    )
    this.panel.hidden = false
    const first = /** @type {HTMLElement | null} */ (this.panel.querySelector('textarea, input, button'))
    first?.focus({ preventScroll: true })
  }

  closePanel() {
    this.panel.hidden = true
    this.panel.replaceChildren()
    this.keys.focus({ preventScroll: true })
  }

  /** @returns {[title: string, content: HTMLElement]} */
  backgroundPanel() {
    /** @type {HTMLInputElement} */
    const show = element('input', {
      type: 'checkbox',
      onchange: () => this.setPreference('background', show.checked)
    })
    show.checked = this.host.preference('background') !== false
    /** @type {HTMLInputElement} */
    const live = element('input', {
      type: 'checkbox',
      onchange: () => this.setPreference('live', live.checked)
    })
    live.checked = Boolean(this.host.preference('live'))
    /** @type {HTMLInputElement} */
    const dim = element('input', {
      type: 'range',
      min: '0.1',
      max: '1',
      step: '0.05',
      oninput: () => this.setPreference('dim', Number(dim.value))
    })
    dim.value = String(this.host.preference('dim') ?? 0.5)
    const last = textButton('Use the last result', () => this.takeLastResult())
    const clear = textButton('Remove', () => this.setBackground(null))
    const text =
      'The picture linked to "background" is shown behind the boxes. Without a link, the editor can show the ' +
      'pictures of a run. The background does not affect the result.'
    const rows = [
      element('label', {}, show, ' Show the background'),
      element('label', {}, live, ' Follow the run: its previews, then its result'),
      element('label', {}, 'Brightness ', dim),
      element('div', {}, last, clear)
    ]
    return [
      'Background picture',
      element('div', { class: 'ifa-panel-body' }, element('p', {}, text), ...rows)
    ]
  }

  /**
   * @param {string} name
   * @param {unknown} value
   */
  setPreference(name, value) {
    this.host.preference(name, value)
    this.render()
  }

  takeLastResult() {
    const url = this.host.lastResult()
    if (url) this.setBackground(url)
    else this.flash('There is no result in this session yet.')
  }

  /** @returns {[title: string, content: HTMLElement]} */
  exchangePanel() {
    const canvas = this.host.canvas()
    /** @type {Record<string, () => string>} */
    const formats = {
      'This pack': () => JSON.stringify(JSON.parse(layoutFormats.serialize(this.layout)), null, 2),
      "IFAdapter's release": () => layoutFormats.toRelease(this.layout, canvas),
      "ComfyUI's box elements": () => layoutFormats.toElements(this.layout)
    }
    const text = element('textarea', {
      class: 'ifa-text ifa-code',
      rows: 8,
      spellcheck: 'false',
      'aria-label': 'The layout as JSON',
      onkeydown: (event) => this.onTextKey(event, () => this.closePanel())
    })
    /** @type {HTMLSelectElement} */
    const format = element(
      'select',
      { 'aria-label': 'Format', onchange: () => (text.value = formats[format.value]()) },
      ...Object.keys(formats).map((name) => element('option', { value: name }, name))
    )
    text.value = this.unreadable ? this.unreadable.text : formats['This pack']()
    /** @param {string} given */
    const take = (given) => {
      try {
        const units = this.host.units()
        const { layout, notices } = layoutFormats.readLayout(given, canvas, units)
        this.closePanel()
        this.record(layout)
        this.given = { value: given, canvas, units, pinned: false }
        this.tell(notices)
        this.flash(`${layout.boxes.length} boxes imported. Undo restores the previous layout.`)
      } catch (error) {
        this.flash(messageOf(error))
      }
    }
    /** @type {HTMLInputElement} */
    const file = element('input', {
      type: 'file',
      accept: '.json,application/json',
      hidden: true,
      onchange: async () => file.files?.[0] && take(await file.files[0].text())
    })
    const buttons = [
      textButton('Use this text', () => take(text.value)),
      textButton('Open a file', () => file.click()),
      textButton('Copy', () => this.copyText(text)),
      textButton('Save as a file', () => saveFile('layout.json', text.value))
    ]
    const label = element('label', {}, 'Format ', format)
    const body = element(
      'div',
      { class: 'ifa-panel-body' },
      label,
      text,
      element('div', {}, ...buttons),
      file
    )
    return ['Import and export', body]
  }

  /** @param {HTMLTextAreaElement} field */
  async copyText(field) {
    field.select()
    try {
      await navigator.clipboard.writeText(field.value)
    } catch {
      document.execCommand('copy') // the only clipboard of pages without https
    }
    this.flash('Copied.')
  }

  /** @returns {[title: string, content: HTMLElement]} */
  presetsPanel() {
    const names = element('div', { class: 'ifa-presets' })
    const name = element('input', {
      type: 'text',
      class: 'ifa-text',
      placeholder: 'Name of this layout',
      'aria-label': 'Name of this layout',
      onkeydown: (event) => this.onTextKey(event, () => this.closePanel())
    })
    /** Runs an action and shows its error. @param {() => Promise<void>} act */
    const attempt = async (act) => {
      try {
        await act()
      } catch (error) {
        this.flash(messageOf(error))
      }
    }
    /** @type {string | null} */
    let pending = null // the irreversible action that was asked for once
    /**
     * Whether this action is asked for the second time in a row.
     * @param {string} action
     * @param {string} question for the first time
     */
    const confirmed = (action, question) => {
      const again = pending === action
      pending = again ? null : action
      if (!again) this.flash(question)
      return again
    }
    /** @param {string} preset */
    const remove = async (preset) => {
      if (!confirmed(`delete ${preset}`, `Press again to delete ${preset}.`)) return
      await this.host.presets.remove(preset)
      await show()
    }
    /** @param {string} preset */
    const row = (preset) => {
      const title = `Delete the preset ${preset}`
      const attributes = { type: 'button', class: 'ifa-small', 'aria-label': title, title }
      return element(
        'div',
        { class: 'ifa-preset' },
        textButton(preset, () => attempt(() => this.loadPreset(preset))),
        element('button', { ...attributes, onclick: () => attempt(() => remove(preset)) }, icon('remove'))
      )
    }
    const show = async () => {
      const known = await this.host.presets.list()
      names.replaceChildren(...(known.length ? known.map(row) : ['No presets yet.']))
    }
    const save = async () => {
      const chosen = name.value.trim()
      if (!chosen) throw new Error('Give the preset a name first.')
      const known = await this.host.presets.list()
      const question = `The preset ${chosen} exists. Press again to replace it.`
      if (known.includes(chosen) && !confirmed(`replace ${chosen}`, question)) return
      await this.host.presets.save(chosen, layoutFormats.serialize(this.layout))
      name.value = ''
      await show()
    }
    attempt(show)
    const button = textButton('Save', () => attempt(save))
    const body = element(
      'div',
      { class: 'ifa-panel-body' },
      names,
      element('div', { class: 'ifa-preset' }, name, button)
    )
    return ['Presets', body]
  }

  /** @param {string} name */
  async loadPreset(name) {
    const layout = layoutFormats.parse(await this.host.presets.load(name), this.host.canvas())
    this.closePanel()
    this.record(layout)
  }

  /**
   * Shows a short message for a few seconds.
   * @param {string} text
   */
  flash(text) {
    this.announce(text)
    const note = element('div', { class: 'ifa-flash' }, text)
    this.root.append(note)
    setTimeout(() => note.remove(), FLASH_MS)
  }

  // Full screen

  get fullScreen() {
    return this.overlay !== null
  }

  toggleFullScreen() {
    if (this.fullScreen) this.leaveFullScreen()
    else this.enterFullScreen()
  }

  enterFullScreen() {
    this.home = element('div', { class: 'ifa-home' })
    this.root.replaceWith(this.home)
    this.overlay = element(
      'div',
      { class: 'ifa-overlay', role: 'dialog', 'aria-label': 'Layout editor' },
      this.root
    )
    document.body.append(this.overlay)
    this.tools.expand.setAttribute('aria-pressed', 'true')
    this.fit()
    this.keys.focus({ preventScroll: true })
  }

  leaveFullScreen() {
    if (!this.overlay) return
    this.home?.replaceWith(this.root)
    this.overlay.remove()
    this.overlay = this.home = null
    this.tools.expand.setAttribute('aria-pressed', 'false')
    this.fit()
  }
}

/**
 * Removes the elements of boxes that no longer exist.
 * @param {Map<string, { root: HTMLElement }>} parts by id
 * @param {Set<string>} known ids
 */
function dropGone(parts, known) {
  for (const [id, { root }] of parts) {
    if (known.has(id)) continue
    root.remove()
    parts.delete(id)
  }
}

/**
 * Whether elements already show these values; records that they do from now on.
 * @param {Shown} parts
 * @param {...unknown} values
 */
function isShown(parts, ...values) {
  const same = parts.shown?.every((value, index) => value === values[index]) ?? false
  parts.shown = values
  return same
}

/**
 * Puts an element over a frame of the surface.
 * @param {HTMLElement} part
 * @param {Frame} frame
 */
function place(part, { x, y, w, h }) {
  Object.assign(part.style, {
    left: `${x * 100}%`,
    top: `${y * 100}%`,
    width: `${w * 100}%`,
    height: `${h * 100}%`
  })
}

/**
 * @param {number} x1
 * @param {number} y1
 * @param {number} x2
 * @param {number} y2
 * @param {string} name class
 */
function line(x1, y1, x2, y2, name) {
  return svgElement('line', { x1, y1, x2, y2, class: name })
}

/**
 * @param {string} text
 * @param {() => unknown} act
 */
function textButton(text, act) {
  return element('button', { type: 'button', class: 'ifa-text-button', onclick: act }, text)
}

/**
 * @param {string[]} ids
 * @param {string} id
 */
function toggled(ids, id) {
  return ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id]
}

/**
 * A key that is equal for frames at the same position with the same size.
 * @param {Frame} frame
 */
function frameKey({ x, y, w, h }) {
  return [x, y, w, h].map((value) => value.toFixed(4)).join(' ')
}

/**
 * A value as text; an empty text if it cannot be written.
 * @param {unknown} value
 */
function textOf(value) {
  try {
    return typeof value === 'string' ? value : (JSON.stringify(value) ?? '')
  } catch {
    return '' // nested too deeply
  }
}

/** @param {unknown} error */
function messageOf(error) {
  return error instanceof Error ? error.message : String(error)
}

/**
 * Sets a field's text. Leaves an equal text alone, so that the cursor stays.
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 */
function setText(field, text) {
  if (field.value !== text) field.value = text
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
function label(button, text) {
  button.setAttribute('aria-label', text)
  button.title = text
}

/**
 * @param {HTMLElement} button with an icon
 * @param {keyof typeof ICONS} name of its icon
 * @param {boolean} pressed
 * @param {string} text
 */
function setToggle(button, name, pressed, text) {
  label(button, text)
  button.setAttribute('aria-pressed', String(pressed))
  button.querySelector('path')?.setAttribute('d', ICONS[name])
}

/**
 * @param {string} name
 * @param {string} text of JSON
 */
function saveFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  element('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), 1000)
}

const STYLE = `
.ifa-editor { --ifa-fg: var(--input-text, var(--fg-color, #ddd)); --ifa-bg: var(--comfy-input-bg, #222); --ifa-line: var(--border-color, #4e4e4e);
  --ifa-menu: var(--comfy-menu-bg, #353535); --ifa-soft: var(--descrip-text, #999); --ifa-error: var(--error-text, #ff6b6b); --ifa-accent: #4c9aff;
  box-sizing: border-box; display: flex; flex-direction: column; gap: 6px; width: 100%; height: 100%; min-height: 340px; min-width: 0; padding: 4px;
  color: var(--ifa-fg); font: 12px/1.35 system-ui, sans-serif; position: relative; }
.ifa-editor *, .ifa-overlay * { box-sizing: border-box; }
.ifa-editor [hidden] { display: none !important; }
.ifa-toolbar { display: flex; flex-wrap: wrap; gap: 3px; align-items: center; }
.ifa-gap { width: 6px; }
.ifa-button, .ifa-small, .ifa-text-button { color: inherit; background: var(--ifa-menu); border: 1px solid var(--ifa-line); border-radius: 4px; cursor: pointer;
  display: inline-flex; align-items: center; justify-content: center; gap: 4px; font: inherit; }
.ifa-button { height: 26px; min-width: 26px; padding: 0 5px; }
.ifa-small { height: 20px; width: 20px; padding: 0; flex: none; }
.ifa-text-button { padding: 3px 8px; margin: 2px 4px 2px 0; }
.ifa-add { font-weight: 600; padding: 0 8px; }
.ifa-button:hover:not(:disabled), .ifa-small:hover:not(:disabled), .ifa-text-button:hover { border-color: var(--ifa-accent); }
.ifa-button:disabled, .ifa-small:disabled { opacity: .4; cursor: default; }
.ifa-button[aria-pressed=true], .ifa-small[aria-pressed=true] { border-color: var(--ifa-accent); box-shadow: inset 0 0 0 1px var(--ifa-accent); }
.ifa-editor :focus-visible { outline: 2px solid var(--ifa-accent); outline-offset: 1px; }
.ifa-icon { width: 14px; height: 14px; fill: none; stroke: currentColor; stroke-width: 1.5; stroke-linejoin: round; stroke-linecap: round; }
.ifa-number { width: 52px; color: inherit; background: var(--ifa-bg); border: 1px solid var(--ifa-line); border-radius: 4px; font: inherit; padding: 2px 4px; }
.ifa-main { flex: 1; min-height: 0; display: flex; gap: 6px; }
.ifa-stage { flex: 1 1 60%; min-width: 0; min-height: 120px; position: relative; display: flex; align-items: center; justify-content: center; overflow: hidden; }
.ifa-surface { position: relative; background: var(--ifa-bg); outline: 1px solid var(--ifa-line); touch-action: none; cursor: crosshair; user-select: none; flex: none; z-index: 0; }
.ifa-focused .ifa-surface { outline: 2px solid var(--ifa-accent); }
.ifa-background, .ifa-lines, .ifa-boxes { position: absolute; inset: 0; width: 100%; height: 100%; }
.ifa-background { object-fit: contain; pointer-events: none; }
.ifa-lines { pointer-events: none; }
.ifa-lines * { vector-effect: non-scaling-stroke; }
.ifa-grid-line { stroke: var(--ifa-soft); stroke-opacity: .25; }
.ifa-thirds { stroke: var(--ifa-accent); stroke-opacity: .5; }
.ifa-guide { stroke: #ff4fd8; stroke-dasharray: 4 3; }
.ifa-overlaps, .ifa-ghosts { pointer-events: none; }
.ifa-ghost { position: absolute; border: 2px dashed var(--ifa-fg); opacity: .8; --box: var(--ifa-soft); }
.ifa-overlap { position: absolute; z-index: 500; background: repeating-linear-gradient(45deg, color-mix(in srgb, var(--ifa-fg) 32%, transparent) 0 1px, transparent 1px 6px); }
.ifa-surface, .ifa-list, .ifa-row, .ifa-box { contain: layout style; }
.ifa-dragging .ifa-surface, .ifa-dragging .ifa-list { will-change: transform; } /* painted apart from the nodes around them */
.ifa-box { position: absolute; border: 2px solid var(--box); overflow: hidden; cursor: move;
  display: flex; gap: 4px; align-items: flex-start; min-width: 0; }
.ifa-box.ifa-selected { overflow: visible; box-shadow: 0 0 0 1px var(--ifa-fg); }
.ifa-box.ifa-locked { border-style: dashed; cursor: crosshair; }
.ifa-box.ifa-empty .ifa-words { font-style: italic; opacity: .75; }
.ifa-number-tag { flex: none; background: var(--box); color: #111; font-weight: 700; padding: 0 5px; border-radius: 2px; min-width: 16px; text-align: center; }
.ifa-words { overflow: hidden; overflow-wrap: anywhere; max-height: 100%; color: var(--ifa-fg); text-shadow: 0 0 2px var(--ifa-bg), 0 0 4px var(--ifa-bg); pointer-events: none; padding-top: 1px; }
.ifa-handle { display: none; position: absolute; width: 14px; height: 14px; z-index: 2; }
.ifa-handle::after { content: ''; position: absolute; inset: 3px; background: #fff; border: 1px solid #111; border-radius: 2px; }
.ifa-selected:not(.ifa-locked) > .ifa-handle { display: block; }
.ifa-nw { left: -8px; top: -8px; cursor: nwse-resize; } .ifa-n { left: calc(50% - 7px); top: -8px; cursor: ns-resize; }
.ifa-ne { right: -8px; top: -8px; cursor: nesw-resize; } .ifa-e { right: -8px; top: calc(50% - 7px); cursor: ew-resize; }
.ifa-se { right: -8px; bottom: -8px; cursor: nwse-resize; } .ifa-s { left: calc(50% - 7px); bottom: -8px; cursor: ns-resize; }
.ifa-sw { left: -8px; bottom: -8px; cursor: nesw-resize; } .ifa-w { left: -8px; top: calc(50% - 7px); cursor: ew-resize; }
@media (pointer: coarse) { .ifa-handle { width: 26px; height: 26px; } .ifa-handle::after { inset: 8px; } .ifa-small { width: 28px; height: 28px; } }
.ifa-marquee { position: absolute; border: 1px dashed var(--ifa-accent); background: color-mix(in srgb, var(--ifa-accent) 18%, transparent); pointer-events: none; z-index: 999; }
.ifa-hint { position: absolute; inset: 0; display: flex; align-items: center; justify-content: center; text-align: center; color: var(--ifa-soft); pointer-events: none; padding: 8px; font-size: 13px; }
.ifa-keys { position: absolute; width: 1px; height: 1px; padding: 0; border: 0; opacity: 0; left: 50%; top: 50%; resize: none; pointer-events: none; }
.ifa-live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.ifa-inline { position: absolute; z-index: 1000; color: var(--ifa-fg); background: var(--ifa-bg); border: 2px solid var(--ifa-accent); font: inherit; resize: none; padding: 4px; }
.ifa-side { flex: 0 1 260px; min-width: 170px; display: flex; flex-direction: column; gap: 4px; min-height: 0; }
.ifa-label { color: var(--ifa-soft); }
.ifa-text { width: 100%; color: inherit; background: var(--ifa-bg); border: 1px solid var(--ifa-line); border-radius: 4px; font: inherit; padding: 3px 5px; resize: vertical; }
.ifa-side > .ifa-text { flex: none; border-left: 3px solid var(--ifa-accent); }
.ifa-code { font-family: ui-monospace, monospace; }
.ifa-list { flex: 1 1 0; height: 0; min-height: 60px; overflow-y: auto; margin: 0; padding: 0; list-style: none; display: flex; flex-direction: column; gap: 4px; }
.ifa-row { border: 1px solid var(--ifa-line); border-left: 4px solid var(--box); border-radius: 4px; padding: 3px; display: flex; flex-direction: column; gap: 3px; }
.ifa-row.ifa-selected { border-color: var(--ifa-accent); border-left-color: var(--box); }
.ifa-row-head { display: flex; align-items: center; gap: 3px; }
.ifa-grip { cursor: ns-resize; touch-action: none; display: inline-flex; flex: none; }
.ifa-color { width: 20px; height: 20px; padding: 0; border: 1px solid var(--ifa-line); background: none; flex: none; cursor: pointer; }
.ifa-fill { flex: 1; }
.ifa-note { color: var(--ifa-soft); font-size: 11px; }
.ifa-note:empty { display: none; }
.ifa-warning { color: var(--ifa-error); }
.ifa-exact { display: flex; flex-wrap: wrap; gap: 3px 6px; }
.ifa-pair { display: inline-flex; align-items: center; gap: 3px; flex: 1 1 54px; }
.ifa-exact .ifa-number { flex: 1 1 0; width: 0; min-width: 36px; appearance: textfield; text-align: right; }
.ifa-exact .ifa-number::-webkit-inner-spin-button { display: none; }
.ifa-exact.ifa-off { opacity: .5; }
.ifa-notice { color: var(--ifa-error); border: 1px solid var(--ifa-error); border-radius: 4px; padding: 6px; }
.ifa-link, .ifa-remark { border: 1px solid var(--ifa-line); border-radius: 4px; padding: 4px 6px; color: var(--ifa-soft); }
.ifa-panel { position: absolute; right: 6px; top: 38px; z-index: 1001; width: min(420px, calc(100% - 12px)); max-height: calc(100% - 48px); overflow: auto;
  background: var(--ifa-menu); border: 1px solid var(--ifa-line); border-radius: 6px; padding: 8px; box-shadow: 0 4px 16px #0008; }
.ifa-panel-head { display: flex; justify-content: space-between; align-items: center; margin-bottom: 6px; }
.ifa-panel-body { display: flex; flex-direction: column; gap: 6px; }
.ifa-panel-body p { margin: 0; color: var(--ifa-soft); }
.ifa-preset { display: flex; gap: 4px; align-items: center; }
.ifa-flash { position: absolute; left: 50%; bottom: 10px; transform: translateX(-50%); max-width: 90%; background: var(--ifa-menu); border: 1px solid var(--ifa-line); border-radius: 4px; padding: 5px 10px; z-index: 1002; }
.ifa-overlay { position: fixed; inset: 0; z-index: 10000; background: var(--comfy-menu-bg, #222); padding: 12px; }
.ifa-overlay .ifa-side { flex-basis: 340px; }
`
