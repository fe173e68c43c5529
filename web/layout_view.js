// The editor as people see and touch it: the picture's surface with its boxes, the list of them by depth, and the tools.
// It knows the page and the model, not ComfyUI: what belongs to the host comes in through `host`.
//
// host = {
//   canvas()                    { width, height } of the picture in pixels
//   changed()                   the value is another now; called often
//   committed()                 a change is complete: a gesture, or a caption that was left
//   countTokens(texts)          promise of one number for each text, or null where it is not known
//   presets                     { list(), load(name), save(name, text), remove(name) }, all promises
//   lastResult()                URL of the last picture that was made, or null
//   livePicture()               URL of what the run shows at the moment: a preview or a result, or null
//   background()                URL of the picture that is linked to stand under the boxes, or null
//   linked()                    null, or, when boxes come from a link, { boxes }: those of the last run as text of JSON, or null
//   unlink()                    takes these links away
//   preference(name, value?)    reads or keeps a setting of this editor
//   forward(event)              gives a wheel or middle-button event to the graph
// }

import * as model from './layout_model.js'

const DRAG_PX = 3 // a shorter movement is a click
const REACH_PX = 6 // of alignment lines
const MOST_TOKENS = 77
const TOKENS_AFTER_MS = 300
const GRID_PX = 64
const EDGE_PX = 3 // around the surface, for its outline

let clipboard = null // boxes that were copied, for all editors of the page

/** An element with attributes, event listeners ("onclick") and children. Text is always text, never markup. */
function element(name, attributes = {}, ...children) {
  const svg = ['svg', 'path', 'line', 'rect', 'pattern', 'defs'].includes(name)
  const made = svg ? document.createElementNS('http://www.w3.org/2000/svg', name) : document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), value)
    else if (key in made && !svg && typeof value !== 'string') made[key] = value
    else if (value !== false && value !== null && value !== undefined) made.setAttribute(key, value === true ? '' : value)
  }
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

function icon(name) {
  return element('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true', class: 'ifa-icon' }, element('path', { d: ICONS[name] }))
}

export class LayoutEditor {
  constructor(host) {
    this.host = host
    this.history = new model.History(model.parse(''))
    this.draft = null // the layout during a gesture
    this.selection = [] // ids; the last one is the active box
    this.gesture = null
    this.unreadable = null // { text, message } of a value that is no layout: it is kept until it is replaced
    this.guides = []
    this.backgroundUrl = null
    this.tokens = new Map() // caption -> number
    this.rows = new Map() // id -> parts of its row in the list
    this.boxes = new Map() // id -> parts of it on the surface
    this.hatches = [] // parts of the overlaps
    this.ghostParts = {} // of the linked boxes
    this.frameRequest = 0
    this.tokenTimer = 0
    this.build()
    this.observer = new ResizeObserver(() => this.fit())
    this.observer.observe(this.stage)
    this.render()
  }

  // The value

  get layout() {
    return this.draft ?? this.history.present
  }

  /** Text of JSON, as it is stored. What could not be read is given back untouched. */
  get value() {
    return this.unreadable ? this.unreadable.text : model.serialize(this.history.present)
  }

  /** What a run depends on. */
  get runValue() {
    return this.unreadable ? this.unreadable.text : model.serializeForRun(this.history.present)
  }

  set value(value) {
    this.cancel()
    const same = !this.unreadable && typeof value === 'string' && value === model.serialize(this.history.present)
    if (same) return
    try {
      this.history = new model.History(model.parse(value, this.host.canvas()))
      this.unreadable = null
    } catch (error) {
      const text = typeof value === 'string' ? value : JSON.stringify(value)
      this.unreadable = { text, message: error.message }
    }
    this.selection = []
    this.render()
  }

  /** The URL of what stands under the boxes, or null. */
  get picture() {
    if (this.host.preference('background') === false) return null
    return this.host.background() ?? (this.host.preference('live') ? this.host.livePicture() : null) ?? this.backgroundUrl
  }

  set background(url) {
    this.backgroundUrl = url
    this.render()
  }

  /** The element stays where it is: whoever put it there takes it away, or puts another in its place. */
  destroy() {
    this.leaveFullScreen()
    this.observer.disconnect()
    clearTimeout(this.tokenTimer)
    cancelAnimationFrame(this.frameRequest)
  }

  /** A change by the user. key: changes with the same key that follow each other are one step of the history. */
  record(layout, key = null) {
    this.history.record(layout, key)
    this.unreadable = null
    this.host.changed()
    if (key === null) this.host.committed()
    this.render()
  }

  /** Typing has ended. */
  closeStep() {
    if (this.history.key === null) return
    this.history.close()
    this.host.committed()
  }

  get active() {
    return this.layout.boxes.find((box) => box.id === this.selection.at(-1)) ?? null
  }

  select(ids, announce = true) {
    this.selection = ids
    this.render()
    if (ids.length === 1) this.scrollTo(ids[0])
    if (announce) this.announce(ids.length === 1 ? model.describe(this.layout, ids[0], this.host.canvas()) : `${ids.length} boxes selected`)
  }

  /** The list, and nothing around it, so that a row is seen. */
  scrollTo(id) {
    const [row, list] = [this.rows.get(id).root, this.list].map((part) => part.getBoundingClientRect())
    const scale = list.height / this.list.offsetHeight || 1 // the graph may be zoomed
    const [above, below] = [(row.top - list.top) / scale, (row.bottom - list.bottom) / scale]
    if (above < 0) this.list.scrollTop += above
    else if (below > 0) this.list.scrollTop += Math.min(below, above)
  }

  announce(text) {
    this.live.textContent = text
  }

  // Building the page's parts, once

  build() {
    const button = (name, label, act, extra = {}) =>
      element('button', { type: 'button', class: 'ifa-button', title: label, 'aria-label': label, 'data-tool': name, onclick: act, ...extra }, icon(name))
    const toggle = (name, label, preference) =>
      button(name, label, () => {
        this.host.preference(preference, !this.host.preference(preference))
        this.render()
      })
    this.tools = {
      add: element(
        'button',
        { type: 'button', class: 'ifa-button ifa-add', title: 'Add a box', 'data-tool': 'add', onclick: () => this.addBox() },
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
      thirds: toggle('thirds', 'Composition lines: thirds, middle, diagonals', 'thirds'),
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
    const { add, full, undo, redo, copy, remove, grid, guides, thirds, picture, star, exchange, expand } = this.tools
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
    // Keys come to a text field that nobody sees: ComfyUI leaves its own keys alone while one has the focus.
    this.keys = element('textarea', {
      class: 'ifa-keys',
      readOnly: true,
      tabIndex: 0,
      'data-testid': 'ifa-keys',
      'aria-label':
        'Layout canvas. Tab goes from box to box, arrow keys move a box, Alt with arrow keys resizes it, Enter edits its words, brackets change its depth, Delete removes it.',
      onkeydown: (event) => this.onKey(event),
      oncopy: (event) => this.onCopy(event),
      oncut: (event) => this.onCopy(event) && this.removeSelected(),
      onpaste: (event) => this.onPaste(event),
      onfocus: () => this.root.classList.add('ifa-focused'),
      onblur: () => this.root.classList.remove('ifa-focused')
    })
    this.image = element('img', { class: 'ifa-background', alt: '', draggable: false })
    this.lines = element('svg', { class: 'ifa-lines', 'aria-hidden': 'true', preserveAspectRatio: 'none', viewBox: '0 0 1 1' })
    this.overlapLayer = element('div', { class: 'ifa-boxes ifa-overlaps', 'aria-hidden': 'true' })
    this.ghosts = element('div', { class: 'ifa-boxes ifa-ghosts', 'aria-hidden': 'true' })
    this.boxLayer = element('div', { class: 'ifa-boxes', role: 'listbox', 'aria-label': 'Boxes, from back to front', 'aria-multiselectable': 'true' })
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
    this.inline = element('textarea', {
      class: 'ifa-inline',
      hidden: true,
      'aria-label': 'Words of the box',
      oninput: () => this.setCaption(this.inline.dataset.box, this.inline.value),
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
    this.list = element('ol', { class: 'ifa-list', 'aria-label': 'Boxes, the nearest first', 'data-capture-wheel': 'true' })
    this.numbers = Object.fromEntries(
      [
        ['x', 'left'],
        ['y', 'top'],
        ['w', 'width'],
        ['h', 'height']
      ].map(([key, name]) => [
        key,
        element('input', {
          type: 'number',
          class: 'ifa-number',
          step: '1',
          'aria-label': `${name} of the box in pixels`,
          title: `${name} in pixels`,
          onchange: () => this.setNumbers(),
          onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
        })
      ])
    )
    this.strength = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '0',
      max: '3',
      step: '0.05',
      'aria-label': 'strength of the box',
      title: 'How strongly the adapter acts on this box: 1 as trained, 0 not at all',
      onchange: () => this.setStrength(),
      onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
    })
    this.exact = element(
      'div',
      { class: 'ifa-exact', role: 'group', 'aria-label': 'Exact place of the active box' },
      ...Object.entries({ ...this.numbers, strength: this.strength }).map(([key, input]) =>
        element('span', { class: 'ifa-pair' }, element('span', { 'aria-hidden': 'true' }, key.length === 1 ? key.toUpperCase() : key), input)
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
    this.takeOverButton = element('button', { type: 'button', class: 'ifa-text-button', onclick: () => this.takeOver() }, 'Edit them here')
    this.link = element(
      'div',
      { class: 'ifa-link', role: 'status', hidden: true },
      'The boxes come from a link. Those drawn here only lend their words, in the same order. ',
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
      this.link,
      element('div', { class: 'ifa-main' }, this.stage, this.side),
      this.panel,
      this.live
    )
  }

  // Showing what is there

  render() {
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
    this.askForTokens(layout)
  }

  renderNotice() {
    this.notice.hidden = !this.unreadable
    if (!this.unreadable) return
    const start = element('button', { type: 'button', class: 'ifa-text-button', onclick: () => this.record(model.parse('')) }, 'Start an empty layout')
    const edit = element('button', { type: 'button', class: 'ifa-text-button', onclick: () => this.openPanel('exchange') }, 'Show the text')
    this.notice.replaceChildren(this.unreadable.message, element('div', {}, edit, start))
  }

  /** Boxes from a link, which take the place of those that are drawn. */
  renderLinked() {
    const { width, height } = this.host.canvas()
    const linked = this.host.linked()
    if (isShown(this.ghostParts, linked === null, linked?.boxes, width, height)) return
    const boxes = this.linkedBoxes()
    this.link.hidden = !linked
    this.takeOverButton.disabled = !boxes
    this.takeOverButton.title = boxes ? 'Copies the linked boxes into the editor and takes the link away' : 'Run once: then the boxes are known'
    this.ghosts.replaceChildren(
      ...(boxes ?? []).map((box, index) => {
        const ghost = element('div', { class: 'ifa-ghost' }, element('span', { class: 'ifa-number-tag' }, String(index + 1)))
        place(ghost, box)
        return ghost
      })
    )
  }

  /** The boxes that the last run got from a link, or null. What is no layout stops the run with an error of its own. */
  linkedBoxes() {
    const text = this.host.linked()?.boxes
    if (!text) return null
    try {
      return model.parse(text, this.host.canvas()).boxes
    } catch {
      return null
    }
  }

  takeOver() {
    const boxes = this.linkedBoxes()
    this.host.unlink()
    this.record(model.takenOver(this.layout, boxes))
  }

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
    for (const tool of [this.tools.add, this.tools.full]) tool.disabled = layout.boxes.length >= model.MAX_BOXES
  }

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

  newBox(id) {
    const number = element('span', { class: 'ifa-number-tag' })
    const words = element('span', { class: 'ifa-words' })
    const handles = model.HANDLES.map((handle) => element('span', { class: `ifa-handle ifa-${handle}`, 'data-handle': handle, 'aria-hidden': 'true' }))
    const root = element('div', { role: 'option', 'data-box': id }, number, words, ...handles)
    this.boxLayer.append(root)
    const parts = { root, number, words }
    this.boxes.set(id, parts)
    return parts
  }

  /** Where boxes overlap: hatched. */
  renderOverlaps(layout) {
    const frames = model.overlappingPairs(layout).map(([a, b]) => model.shared(layout.boxes[a], layout.boxes[b]))
    while (this.hatches.length > frames.length) this.hatches.pop().root.remove()
    frames.forEach((frame, index) => {
      if (!this.hatches[index]) {
        this.hatches.push({ root: element('div', { class: 'ifa-overlap' }) })
        this.overlapLayer.append(this.hatches[index].root)
      }
      if (!isShown(this.hatches[index], frame.x, frame.y, frame.w, frame.h)) place(this.hatches[index].root, frame)
    })
  }

  /** The grid, the composition lines, and the lines that a box clings to. */
  renderLines() {
    const shapes = []
    const canvas = this.host.canvas()
    if (this.host.preference('snap')) {
      const { x, y } = this.gridStep
      for (let at = x; at < 1 - 1e-9 && x * canvas.width >= 2; at += x) shapes.push(line(at, 0, at, 1, 'ifa-grid-line'))
      for (let at = y; at < 1 - 1e-9 && y * canvas.height >= 2; at += y) shapes.push(line(0, at, 1, at, 'ifa-grid-line'))
    }
    if (this.host.preference('thirds')) {
      for (const at of [1 / 3, 1 / 2, 2 / 3]) shapes.push(line(at, 0, at, 1, 'ifa-thirds'), line(0, at, 1, at, 'ifa-thirds'))
      shapes.push(line(0, 0, 1, 1, 'ifa-thirds'), line(0, 1, 1, 0, 'ifa-thirds'))
    }
    for (const { axis, at } of this.guides) shapes.push(axis === 'x' ? line(at, 0, at, 1, 'ifa-guide') : line(0, at, 1, at, 'ifa-guide'))
    this.lines.replaceChildren(...shapes)
  }

  renderList(layout) {
    const overlaps = model.overlaps(layout)
    const lacking = model.withoutCaption(layout)
    const order = [...layout.boxes].reverse()
    order.forEach((box, place) => {
      const row = this.rows.get(box.id) ?? this.newRow(box.id)
      if (this.list.children[place] !== row.root) this.list.insertBefore(row.root, this.list.children[place] ?? null)
      this.renderRow(row, box, layout.boxes.length - place, layout.boxes.length, overlaps.get(box.id), lacking.includes(box.id))
    })
  }

  renderRow(row, box, number, count, overlapped, lacksCaption) {
    const tokens = this.tokens.get(box.caption)
    if (isShown(row, box, number, overlapped.join(), count, this.selection.includes(box.id), tokens)) return
    const name = `box ${number}`
    row.root.classList.toggle('ifa-selected', this.selection.includes(box.id))
    row.root.style.setProperty('--box', box.color)
    row.number.textContent = String(number)
    setText(row.caption, box.caption)
    row.caption.setAttribute('aria-label', `Words of ${name}`)
    row.color.value = box.color
    row.color.setAttribute('aria-label', `Colour of ${name}`)
    setToggle(row.eye, box.hidden ? 'hidden' : 'eye', box.hidden, `${box.hidden ? 'Show' : 'Hide'} ${name}`)
    setToggle(row.lock, box.locked ? 'lock' : 'unlock', box.locked, `${box.locked ? 'Unlock' : 'Lock'} ${name}`)
    label(row.up, `Bring ${name} forward (])`)
    label(row.down, `Send ${name} backward ([)`)
    row.up.disabled = number === count
    row.down.disabled = number === 1
    row.grip.setAttribute('title', `Drag ${name} to another depth`)
    const notes = [
      lacksCaption ? 'needs a caption' : '',
      box.hidden ? 'hidden: not part of the run' : '',
      overlapped.length ? `overlaps ${overlapped.join(', ')}` : '',
      tokens === undefined || tokens === null ? '' : `${tokens}/${MOST_TOKENS} tokens`
    ]
    row.note.textContent = notes.filter(Boolean).join(' - ')
    row.note.classList.toggle('ifa-warning', lacksCaption || tokens > MOST_TOKENS)
  }

  newRow(id) {
    const small = (name, act) => element('button', { type: 'button', class: 'ifa-small', onclick: act }, icon(name))
    const flip = (key) => () => this.record(model.change(this.layout, [id], (box) => ({ [key]: !box[key] })))
    const row = {
      number: element('span', { class: 'ifa-number-tag' }),
      color: element('input', {
        type: 'color',
        class: 'ifa-color',
        oninput: (event) => this.record(model.change(this.layout, [id], () => ({ color: event.target.value })), `color ${id}`),
        onchange: () => this.closeStep()
      }),
      caption: element('textarea', {
        class: 'ifa-text',
        rows: 2,
        placeholder: 'What appears here, in detail',
        oninput: (event) => this.setCaption(id, event.target.value),
        onfocus: () => this.selection.at(-1) !== id && this.select([id], false),
        onblur: () => this.closeStep(),
        onkeydown: (event) => this.onTextKey(event, () => this.keys.focus())
      }),
      grip: element('span', { class: 'ifa-grip', 'aria-hidden': 'true', onpointerdown: (event) => this.onGripDown(event, id) }, icon('grip')),
      eye: small('eye', flip('hidden')),
      lock: small('unlock', flip('locked')),
      up: small('up', () => this.record(model.reorder(this.layout, [id], 'forward'))),
      down: small('down', () => this.record(model.reorder(this.layout, [id], 'backward'))),
      note: element('span', { class: 'ifa-note' })
    }
    row.root = element(
      'li',
      {
        class: 'ifa-row',
        'data-row': id,
        onpointerdown: (event) => {
          if (event.target.closest('button, input, textarea, .ifa-grip')) return
          event.preventDefault()
          this.select(event.shiftKey ? toggled(this.selection, id) : [id])
          this.keys.focus()
        }
      },
      element('div', { class: 'ifa-row-head' }, row.grip, row.number, row.color, element('span', { class: 'ifa-fill' }), row.eye, row.lock, row.up, row.down),
      row.caption,
      row.note
    )
    this.rows.set(id, row)
    return row
  }

  renderExact() {
    const box = this.active
    this.exact.classList.toggle('ifa-off', !box)
    const pixels = box ? model.toPixels(box, this.host.canvas()) : {}
    for (const [key, input] of Object.entries(this.numbers)) {
      input.disabled = !box || box.locked
      if (document.activeElement !== input || !box) input.value = box ? String(pixels[key]) : ''
    }
    this.strength.disabled = !box
    if (document.activeElement !== this.strength || !box) this.strength.value = box ? String(box.strength) : ''
  }

  /** The surface as large as the stage allows, in the shape of the picture. */
  fit() {
    const { width, height } = this.host.canvas()
    const [room, tall] = [this.stage.clientWidth, this.stage.clientHeight]
    if (!room || !tall) return
    const scale = Math.min((room - 2 * EDGE_PX) / width, (tall - 2 * EDGE_PX) / height)
    this.surface.style.width = `${width * scale}px`
    this.surface.style.height = `${height * scale}px`
  }

  askForTokens(layout) {
    const unknown = [...new Set(layout.boxes.map((box) => box.caption))].filter((text) => text.trim() && !this.tokens.has(text))
    clearTimeout(this.tokenTimer)
    if (!unknown.length) return
    this.tokenTimer = setTimeout(async () => {
      const counts = await this.host.countTokens(unknown)
      if (!counts) return
      unknown.forEach((text, index) => this.tokens.set(text, counts[index]))
      this.render()
    }, TOKENS_AFTER_MS)
  }

  // Changes

  get gridPx() {
    return this.host.preference('grid') ?? GRID_PX
  }

  get gridStep() {
    const { width, height } = this.host.canvas()
    return { x: Math.min(this.gridPx / width, 1), y: Math.min(this.gridPx / height, 1) }
  }

  get least() {
    return model.minSides(this.host.canvas())
  }

  addBox(frame = model.freePlace(this.layout)) {
    const { layout, ids } = model.add(this.layout, [frame])
    this.record(layout)
    this.select(ids)
    this.rows.get(ids[0]).caption.focus({ preventScroll: true })
  }

  duplicate() {
    if (!this.selection.length) return
    const { width, height } = this.host.canvas()
    const { layout, ids } = model.duplicate(this.layout, this.selection, { x: 16 / width, y: 16 / height })
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
    this.afterHistory('Undone')
  }

  redo() {
    this.history.redo()
    this.afterHistory('Done again')
  }

  afterHistory(words) {
    this.host.changed()
    this.host.committed()
    this.render()
    this.announce(words)
  }

  setCaption(id, caption) {
    this.record(model.change(this.layout, [id], () => ({ caption })), `caption ${id}`)
  }

  setNumbers() {
    const box = this.active
    if (!box) return
    const canvas = this.host.canvas()
    const pixels = Object.fromEntries(Object.entries(this.numbers).map(([key, input]) => [key, Math.round(Number(input.value)) || 0]))
    pixels.w = Math.max(pixels.w, 1)
    pixels.h = Math.max(pixels.h, 1)
    this.record(model.change(this.layout, [box.id], () => model.clamp(model.fromPixels(pixels, canvas))))
    this.renderExact()
  }

  setStrength() {
    if (!this.active) return
    const strength = Math.min(Math.max(Number(this.strength.value) || 0, 0), 3)
    this.record(model.change(this.layout, [this.active.id], () => ({ strength })))
  }

  /** Moves the selected boxes by pixels. */
  nudge(dx, dy) {
    const { width, height } = this.host.canvas()
    const free = this.free(this.selection)
    if (!free.length) return
    const from = model.bounds(free)
    const to = model.moved(from, dx / width, dy / height)
    this.transform(free, from, to, `nudge ${free.map((box) => box.id)}`)
  }

  /** Moves the right and lower sides of the active box by pixels. */
  stretch(dx, dy) {
    const { width, height } = this.host.canvas()
    const free = this.free(this.selection.slice(-1))
    if (!free.length) return
    const from = model.bounds(free)
    this.transform(free, from, model.resized(from, 'se', dx / width, dy / height, this.least), `stretch ${free[0].id}`)
  }

  free(ids) {
    return this.layout.boxes.filter((box) => ids.includes(box.id) && !box.locked)
  }

  transform(boxes, from, to, key) {
    const ids = boxes.map((box) => box.id)
    this.record(model.change(this.layout, ids, (box) => model.clamp(model.carried(box, from, to))), key)
    this.host.committed()
    if (ids.length === 1) this.announce(model.describe(this.layout, ids[0], this.host.canvas()))
  }

  // Gestures. All listeners sit on the surface, which captures the pointer: the page may never see these events.

  point(event) {
    const area = this.surface.getBoundingClientRect()
    return { x: (event.clientX - area.left) / area.width, y: (event.clientY - area.top) / area.height }
  }

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
    this.gesture = { ...gesture, at, from: [event.clientX, event.clientY], started: false, layout: this.history.present }
  }

  /** What a press begins: { kind, .. }, or null when it is done already. */
  beginGesture(event, at) {
    const layout = this.layout
    const handle = event.target.dataset?.handle
    if (handle && this.free(this.selection).length) return { kind: handle, ids: this.free(this.selection).map((box) => box.id) }
    if (event.altKey) {
      const below = model.boxBelow(layout, at.x, at.y, this.selection.at(-1) ?? null)
      if (below) this.select([below])
      return this.free(below ? [below] : []).length ? { kind: 'move', ids: [below], click: null } : null
    }
    if (event.ctrlKey || event.metaKey) return { kind: 'draw' }
    const under = model.boxesAt(layout, at.x, at.y).filter((id) => !layout.boxes.find((box) => box.id === id).locked)
    const hit = under.find((id) => this.selection.includes(id)) ?? under[0]
    if (!hit) return { kind: event.shiftKey ? 'marquee' : 'draw' }
    if (event.shiftKey) {
      this.select(toggled(this.selection, hit))
      return this.selection.includes(hit) ? { kind: 'move', ids: this.free(this.selection).map((box) => box.id), click: null } : null
    }
    const click = under[0] // a click without a movement takes the nearest box
    if (!this.selection.includes(hit)) this.select([hit])
    return { kind: 'move', ids: this.free(this.selection).map((box) => box.id), click }
  }

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

  applyGesture() {
    const { kind, at, to, layout, ids } = this.gesture
    this.guides = []
    if (kind === 'marquee') {
      const frame = model.spanned(at, to)
      this.showMarquee(frame)
      this.selection = model.boxesIn(layout, frame)
    } else if (kind === 'draw') {
      const frame = this.snapped(model.spanned(at, to), to.x >= at.x ? (to.y >= at.y ? 'se' : 'ne') : to.y >= at.y ? 'sw' : 'nw', layout.boxes)
      this.gesture.frame = frame
      this.showMarquee(frame)
    } else {
      const boxes = layout.boxes.filter((box) => ids.includes(box.id))
      const others = layout.boxes.filter((box) => !ids.includes(box.id) && !box.hidden)
      const from = model.bounds(boxes)
      const [dx, dy] = [to.x - at.x, to.y - at.y]
      const least = this.leastOf(boxes, from)
      const free = kind === 'move' ? model.moved(from, dx, dy) : model.resized(from, kind, dx, dy, least)
      const frame = this.snapped(free, kind, others, least)
      this.draft = model.change(layout, ids, (box) => model.carried(box, from, frame))
    }
    this.render()
  }

  /** The smallest that a group may become, so that none of its members gets too small. */
  leastOf(boxes, from) {
    return {
      w: Math.min(Math.max(...boxes.map((box) => (this.least.w * from.w) / box.w)), from.w),
      h: Math.min(Math.max(...boxes.map((box) => (this.least.h * from.h) / box.h)), from.h)
    }
  }

  snapped(frame, handle, others, least = this.least) {
    if (this.host.preference('snap')) return model.snappedToGrid(frame, handle, this.gridStep, least)
    if (!this.host.preference('guides')) return frame
    const area = this.surface.getBoundingClientRect()
    const result = model.aligned(frame, handle, others, { x: REACH_PX / area.width, y: REACH_PX / area.height }, least)
    this.guides = result.guides
    return result.frame
  }

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
    else if (kind === 'draw' && frame && frame.w >= this.least.w && frame.h >= this.least.h) {
      const { layout, ids } = model.add(this.history.present, [frame])
      this.record(layout)
      this.select(ids)
    } else if (draft) this.record(draft)
    this.render()
  }

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

  showMarquee(frame) {
    this.marquee.hidden = false
    place(this.marquee, frame)
  }

  onDoubleClick(event) {
    const at = this.point(event)
    const id = model.boxesAt(this.layout, at.x, at.y).find((each) => this.selection.includes(each)) ?? model.boxesAt(this.layout, at.x, at.y)[0]
    if (id) this.openInline(id)
  }

  /** A row dragged to another depth. */
  onGripDown(event, id) {
    if (event.button !== 0) return
    event.preventDefault()
    event.stopPropagation()
    const grip = event.currentTarget
    grip.setPointerCapture(event.pointerId)
    this.select([id], false)
    const move = (next) => {
      next.stopPropagation()
      const rows = [...this.list.children]
      const over = rows.findIndex((row) => next.clientY < row.getBoundingClientRect().bottom)
      const place = rows.length - 1 - (over < 0 ? rows.length - 1 : over)
      if (this.layout.boxes[place]?.id !== id) {
        this.draft = model.moveTo(this.layout, id, place)
        this.render()
      }
    }
    const end = (last) => {
      for (const [name, act] of listeners) grip.removeEventListener(name, act)
      const draft = this.draft
      this.draft = null
      if (draft && last.type === 'pointerup') this.record(draft)
      else this.render()
    }
    const listeners = [
      ['pointermove', move],
      ['pointerup', end],
      ['pointercancel', end]
    ]
    for (const [name, act] of listeners) grip.addEventListener(name, act)
  }

  // Keys

  onKey(event) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) return // runs the graph
    const act = this.keyAction(event)
    if (!act) return
    event.preventDefault()
    event.stopPropagation()
    act()
  }

  keyAction(event) {
    const command = event.ctrlKey || event.metaKey
    const key = event.key.length === 1 ? event.key.toLowerCase() : event.key
    const arrows = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }
    if (key in arrows && !command) {
      const step = event.shiftKey ? (this.host.preference('snap') ? this.gridPx : 10) : 1
      const [dx, dy] = arrows[key].map((part) => part * step)
      return () => (event.altKey ? this.stretch(dx, dy) : this.nudge(dx, dy))
    }
    if (key === 'Tab' && !command && !event.altKey) return this.tabAction(event.shiftKey)
    if (command) {
      return {
        z: () => (event.shiftKey ? this.redo() : this.undo()),
        y: () => this.redo(),
        a: () => this.select(this.layout.boxes.filter((box) => !box.hidden).map((box) => box.id)),
        d: () => this.duplicate()
      }[key]
    }
    if (event.altKey) return null
    return {
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
    }[key]
  }

  /** Tab goes through the boxes and, behind the last one, out of the editor. */
  tabAction(back) {
    const ids = this.layout.boxes.filter((box) => !box.hidden).map((box) => box.id)
    const at = ids.indexOf(this.selection.at(-1))
    const next = at < 0 ? (back ? -1 : 0) : at + (back ? -1 : 1)
    return ids[next] ? () => this.select([ids[next]]) : null
  }

  depth(where) {
    if (!this.selection.length) return
    this.record(model.reorder(this.layout, this.selection, where))
    if (this.active) this.announce(model.describe(this.layout, this.active.id, this.host.canvas()))
  }

  hideAll() {
    const hide = this.layout.boxes.some((box) => !box.hidden)
    this.record(model.change(this.layout, this.layout.boxes.map((box) => box.id), () => ({ hidden: hide })))
  }

  lockSelected() {
    const boxes = this.layout.boxes.filter((box) => this.selection.includes(box.id))
    if (!boxes.length) return
    const lock = boxes.some((box) => !box.locked)
    this.record(model.change(this.layout, this.selection, () => ({ locked: lock })))
  }

  /** Keys in a text field stay there, but for the ones that run the graph. */
  onTextKey(event, leave) {
    if (event.key === 'Enter' && (event.ctrlKey || event.metaKey)) return
    event.stopPropagation()
    if (event.key === 'Escape') {
      event.preventDefault()
      leave()
    }
  }

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

  onCopy(event) {
    event.stopPropagation()
    event.preventDefault()
    const boxes = this.layout.boxes.filter((box) => this.selection.includes(box.id))
    if (!boxes.length) return false
    clipboard = model.serialize({ caption: '', boxes })
    event.clipboardData?.setData('text/plain', clipboard)
    this.announce(boxes.length === 1 ? 'Box copied' : `${boxes.length} boxes copied`)
    return true
  }

  onPaste(event) {
    event.stopPropagation()
    event.preventDefault()
    const text = event.clipboardData?.getData('text/plain') || clipboard
    if (!text) return
    try {
      const pasted = model.parse(text, this.host.canvas()).boxes
      const there = new Set(this.layout.boxes.map(placeOf))
      const { width, height } = this.host.canvas()
      const aside = pasted.map((box) => (there.has(placeOf(box)) ? model.moved(box, 16 / width, 16 / height) : box))
      const { layout, ids } = model.add(this.layout, aside)
      this.record(layout)
      this.select(ids)
    } catch (error) {
      this.announce(error.message)
      this.flash(error.message)
    }
  }

  // Words inside a box

  openInline(id) {
    const box = this.layout.boxes.find((each) => each.id === id)
    this.select([id], false)
    const [area, stage] = [this.boxes.get(id).root.getBoundingClientRect(), this.stage.getBoundingClientRect()]
    const scale = stage.width / this.stage.clientWidth || 1 // the graph may be zoomed
    this.inline.hidden = false
    this.inline.dataset.box = id
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

  closeInline(refocus = true) {
    if (this.inline.hidden) return
    this.inline.hidden = true
    this.closeStep()
    if (refocus) this.keys.focus({ preventScroll: true })
  }

  // Panels

  openPanel(name) {
    if (!this.panel.hidden && this.panel.dataset.name === name) return this.closePanel()
    const [title, content] = { background: () => this.backgroundPanel(), presets: () => this.presetsPanel(), exchange: () => this.exchangePanel() }[name]()
    const close = element('button', { type: 'button', class: 'ifa-small', 'aria-label': 'Close', title: 'Close', onclick: () => this.closePanel() }, icon('close'))
    this.panel.dataset.name = name
    this.panel.setAttribute('aria-label', title)
    this.panel.replaceChildren(element('div', { class: 'ifa-panel-head' }, element('strong', {}, title), close), content)
    this.panel.hidden = false
    this.panel.querySelector('textarea, input, button')?.focus({ preventScroll: true })
  }

  closePanel() {
    this.panel.hidden = true
    this.panel.replaceChildren()
    this.keys.focus({ preventScroll: true })
  }

  backgroundPanel() {
    const show = element('input', { type: 'checkbox', onchange: () => this.setPreference('background', show.checked) })
    show.checked = this.host.preference('background') !== false
    const live = element('input', { type: 'checkbox', onchange: () => this.setPreference('live', live.checked) })
    live.checked = Boolean(this.host.preference('live'))
    const dim = element('input', { type: 'range', min: '0.1', max: '1', step: '0.05', oninput: () => this.setPreference('dim', Number(dim.value)) })
    dim.value = String(this.host.preference('dim') ?? 0.5)
    const last = element('button', { type: 'button', class: 'ifa-text-button', onclick: () => this.takeLastResult() }, 'Use the last result')
    const clear = element('button', { type: 'button', class: 'ifa-text-button', onclick: () => (this.background = null) }, 'Remove')
    const text = 'A picture linked to "background" stands behind the boxes; without one, what a run shows can. It changes nothing of the run.'
    const rows = [
      element('label', {}, show, ' Show it'),
      element('label', {}, live, ' Follow the run: its previews, then its result'),
      element('label', {}, 'Brightness ', dim),
      element('div', {}, last, clear)
    ]
    return [
      'Background picture',
      element('div', { class: 'ifa-panel-body' }, element('p', {}, text), ...rows)
    ]
  }

  setPreference(name, value) {
    this.host.preference(name, value)
    this.render()
  }

  takeLastResult() {
    const url = this.host.lastResult()
    if (url) this.background = url
    else this.flash('No picture has been made yet in this session.')
  }

  exchangePanel() {
    const canvas = this.host.canvas()
    const formats = {
      'This pack': () => JSON.stringify(JSON.parse(model.serialize(this.layout)), null, 2),
      "IFAdapter's release": () => model.toRelease(this.layout, canvas),
      "ComfyUI's box elements": () => model.toElements(this.layout)
    }
    const text = element('textarea', { class: 'ifa-text ifa-code', rows: 8, spellcheck: 'false', 'aria-label': 'The layout as JSON', onkeydown: (event) => this.onTextKey(event, () => this.closePanel()) })
    const format = element(
      'select',
      { 'aria-label': 'Format', onchange: () => (text.value = formats[format.value]()) },
      ...Object.keys(formats).map((name) => element('option', { value: name }, name))
    )
    text.value = this.unreadable ? this.unreadable.text : formats['This pack']()
    const take = (given) => {
      try {
        const layout = model.parse(given, canvas)
        this.closePanel()
        this.record(layout)
        this.flash(`${layout.boxes.length} boxes imported. Undo brings back what was there.`)
      } catch (error) {
        this.flash(error.message)
      }
    }
    const file = element('input', {
      type: 'file',
      accept: '.json,application/json',
      hidden: true,
      onchange: async () => file.files[0] && take(await file.files[0].text())
    })
    const act = (name, run) => element('button', { type: 'button', class: 'ifa-text-button', onclick: run }, name)
    return [
      'Import and export',
      element(
        'div',
        { class: 'ifa-panel-body' },
        element('label', {}, 'Format ', format),
        text,
        element(
          'div',
          {},
          act('Use this text', () => take(text.value)),
          act('Open a file', () => file.click()),
          act('Copy', () => this.copyText(text)),
          act('Save as a file', () => saveFile('layout.json', text.value))
        ),
        file
      )
    ]
  }

  async copyText(field) {
    field.select()
    try {
      await navigator.clipboard.writeText(field.value)
    } catch {
      document.execCommand('copy') // pages without https have no other clipboard
    }
    this.flash('Copied.')
  }

  presetsPanel() {
    const names = element('div', { class: 'ifa-presets' })
    const name = element('input', { type: 'text', class: 'ifa-text', placeholder: 'Name of this layout', 'aria-label': 'Name of this layout', onkeydown: (event) => this.onTextKey(event, () => this.closePanel()) })
    const attempt = async (act) => {
      try {
        await act()
      } catch (error) {
        this.flash(error.message)
      }
    }
    let asked = null // what the last press would have undone for good
    const sure = (act, question) => {
      const again = asked === act
      asked = again ? null : act
      if (!again) this.flash(question)
      return again
    }
    const show = async () => {
      const known = await this.host.presets.list()
      names.replaceChildren(
        ...(known.length ? [] : ['No presets yet.']),
        ...known.map((each) =>
          element(
            'div',
            { class: 'ifa-preset' },
            element('button', { type: 'button', class: 'ifa-text-button', onclick: () => attempt(() => this.loadPreset(each)) }, each),
            element(
              'button',
              {
                type: 'button',
                class: 'ifa-small',
                'aria-label': `Delete the preset ${each}`,
                title: `Delete the preset ${each}`,
                onclick: () =>
                  attempt(async () => {
                    if (!sure(`delete ${each}`, `Press again to delete ${each}.`)) return
                    await this.host.presets.remove(each)
                    await show()
                  })
              },
              icon('remove')
            )
          )
        )
      )
    }
    const save = () =>
      attempt(async () => {
        const chosen = name.value.trim()
        if (!chosen) throw new Error('Give the preset a name first.')
        const known = await this.host.presets.list()
        if (known.includes(chosen) && !sure(`replace ${chosen}`, `There is a preset ${chosen}. Press again to replace it.`)) return
        await this.host.presets.save(chosen, model.serialize(this.layout))
        name.value = ''
        await show()
      })
    attempt(show)
    const button = element('button', { type: 'button', class: 'ifa-text-button', onclick: save }, 'Save')
    return ['Presets', element('div', { class: 'ifa-panel-body' }, names, element('div', { class: 'ifa-preset' }, name, button))]
  }

  async loadPreset(name) {
    const layout = model.parse(await this.host.presets.load(name), this.host.canvas())
    this.closePanel()
    this.record(layout)
  }

  /** A short message that goes away by itself. */
  flash(text) {
    this.announce(text)
    const note = element('div', { class: 'ifa-flash' }, text)
    this.root.append(note)
    setTimeout(() => note.remove(), 4000)
  }

  // Full screen

  get fullScreen() {
    return this.overlay !== undefined && this.overlay !== null
  }

  toggleFullScreen() {
    if (this.fullScreen) this.leaveFullScreen()
    else this.enterFullScreen()
  }

  enterFullScreen() {
    this.home = element('div', { class: 'ifa-home' })
    this.root.replaceWith(this.home)
    this.overlay = element('div', { class: 'ifa-overlay', role: 'dialog', 'aria-label': 'Layout editor' }, this.root)
    document.body.append(this.overlay)
    this.tools.expand.setAttribute('aria-pressed', 'true')
    this.fit()
    this.keys.focus({ preventScroll: true })
  }

  leaveFullScreen() {
    if (!this.fullScreen) return
    this.home.replaceWith(this.root)
    this.overlay.remove()
    this.overlay = this.home = null
    this.tools.expand.setAttribute('aria-pressed', 'false')
    this.fit()
  }
}

/** Takes away the parts of boxes that are no longer there. parts: id -> { root, .. }; known: ids. */
function dropGone(parts, known) {
  for (const [id, { root }] of parts) {
    if (known.has(id)) continue
    root.remove()
    parts.delete(id)
  }
}

/** Whether parts of the page show these values already; from now on they do. */
function isShown(parts, ...values) {
  const same = parts.shown?.every((value, index) => value === values[index]) ?? false
  parts.shown = values
  return same
}

/** An element over a frame of the surface. */
function place(part, { x, y, w, h }) {
  Object.assign(part.style, { left: `${x * 100}%`, top: `${y * 100}%`, width: `${w * 100}%`, height: `${h * 100}%` })
}

function line(x1, y1, x2, y2, name) {
  return element('line', { x1, y1, x2, y2, class: name })
}

function toggled(ids, id) {
  return ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id]
}

function placeOf({ x, y, w, h }) {
  return [x, y, w, h].map((value) => value.toFixed(4)).join(' ')
}

/** New text without moving the cursor of a field that holds it already. */
function setText(field, text) {
  if (field.value !== text) field.value = text
}

function label(button, text) {
  button.setAttribute('aria-label', text)
  button.title = text
}

function setToggle(button, name, pressed, text) {
  label(button, text)
  button.setAttribute('aria-pressed', String(pressed))
  button.firstChild.firstChild.setAttribute('d', ICONS[name])
}

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
.ifa-link { border: 1px solid var(--ifa-line); border-radius: 4px; padding: 4px 6px; color: var(--ifa-soft); }
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
