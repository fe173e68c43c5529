// @ts-check
// The list of boxes by depth, front first.

import { overlaps } from '../layout_hits.js'
import * as model from '../layout_model.js'
import { toggled } from '../layout_state.js'
import { CONTEXT_TOKENS } from '../token_estimate.js'
import { dropGone, element, isShown, label, setHidden, setText } from './dom.js'
import { icon, setToggle } from './icons.js'
import { showCrop, showMark } from './results.js'
import { explained, t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../layout_model.js').Box} Box */
/** @typedef {import('../layout_model.js').Layout} Layout */
/** @typedef {import('./icons.js').IconName} IconName */

/**
 * Elements of a box's row.
 * @typedef {import('./dom.js').Shown & {
 *   root: HTMLElement, number: HTMLElement, color: HTMLInputElement, caption: HTMLTextAreaElement,
 *   grip: HTMLElement, crop: HTMLButtonElement, mark: HTMLElement, eye: HTMLButtonElement,
 *   lock: HTMLButtonElement, up: HTMLButtonElement, down: HTMLButtonElement, note: HTMLElement
 * }} Row
 */

const CROP_PX = 52 // the longer side of a crop

/** @param {IconName} name @param {() => unknown} act */
function smallButton(name, act) {
  return element('button', { type: 'button', class: 'ifa-small', onclick: act }, icon(name))
}

export class BoxList {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {Map<string, Row>} */
    this.rows = new Map() // by id
    this.root = element('ol', {
      class: 'ifa-list',
      'aria-label': t('Boxes, front first'),
      'data-capture-wheel': 'true'
    })
  }

  /** @param {Layout} layout */
  render(layout) {
    dropGone(this.rows, new Set(layout.boxes.map((box) => box.id)))
    const overlapped = overlaps(layout)
    const count = layout.boxes.length
    const frontFirst = [...layout.boxes].reverse()
    frontFirst.forEach((box, position) => {
      const row = this.rows.get(box.id) ?? this.makeRow(box.id)
      if (this.root.children[position] !== row.root)
        this.root.insertBefore(row.root, this.root.children[position] ?? null)
      this.renderRow(row, box, count - position, count, overlapped.get(box.id) ?? [])
    })
  }

  /**
   * @param {Row} row
   * @param {Box} box
   * @param {number} number of the box, from 1 at the back
   * @param {number} count of all boxes
   * @param {number[]} overlapped numbers of the boxes that it overlaps
   */
  renderRow(row, box, number, count, overlapped) {
    const isBlank = model.isBlank(box.caption)
    const lacksCaption = isBlank && !box.hidden
    const tokens = isBlank ? null : this.editor.host.tokens(box.caption)
    const { selection, faultyBox, failure } = this.editor.state
    const selected = selection.includes(box.id)
    const fault = faultyBox === number ? failure : null
    const crop = this.editor.results.crop(box.id)
    const mark = this.editor.results.markOf(box)
    const place = crop && Object.values(crop.frame).join()
    const shown = [
      box,
      crop?.url,
      place,
      mark,
      number,
      overlapped.join(),
      count,
      selected,
      fault,
      tokens?.count,
      tokens?.exact
    ]
    if (isShown(row, ...shown)) return
    row.root.classList.toggle('ifa-selected', selected)
    row.root.classList.toggle('ifa-faulty', fault !== null)
    row.root.style.setProperty('--box', box.color)
    row.number.textContent = String(number)
    setText(row.caption, box.caption)
    row.color.value = box.color
    setHidden(row.crop, crop === null)
    if (crop) this.renderCrop(row.crop, crop)
    showMark(row.mark, mark, true)
    nameParts(row, box, number)
    row.up.disabled = number === count
    row.down.disabled = number === 1
    const notes = [
      explained(fault ?? ''),
      lacksCaption ? t('needs a caption') : '',
      box.hidden ? t('hidden: left out of the run') : '',
      overlapped.length ? t('overlaps {numbers}', { numbers: overlapped.join(', ') }) : '',
      tokens ? tokenWords(tokens) : ''
    ]
    row.note.textContent = notes.filter(Boolean).join(' - ')
    row.note.classList.toggle(
      'ifa-warning',
      lacksCaption || fault !== null || (tokens?.count ?? 0) > CONTEXT_TOKENS
    )
  }

  /**
   * @param {HTMLElement} part
   * @param {import('./results.js').Crop} crop
   */
  renderCrop(part, crop) {
    const { width, height } = this.editor.host.canvas()
    const [w, h] = [crop.frame.w * width, crop.frame.h * height]
    const scale = CROP_PX / Math.max(w, h)
    Object.assign(part.style, { width: `${w * scale}px`, height: `${h * scale}px` })
    showCrop(part, crop)
  }

  /**
   * @param {string} id
   * @returns {Row}
   */
  makeRow(id) {
    const { editor } = this
    const { actions } = editor
    /** @type {HTMLInputElement} */
    const color = element('input', {
      type: 'color',
      class: 'ifa-color',
      oninput: () => actions.change([id], () => ({ color: color.value }), `color ${id}`),
      onchange: () => editor.closeStep()
    })
    /** @type {HTMLTextAreaElement} */
    const caption = element('textarea', {
      class: 'ifa-text',
      rows: 2,
      dir: 'auto',
      placeholder: t('What appears in this box, in detail'),
      oninput: () => actions.setCaption(id, caption.value),
      onfocus: () => editor.state.selection.at(-1) !== id && editor.select([id], false),
      onblur: () => editor.closeStep()
    })
    const grip = element('span', { class: 'ifa-grip', 'aria-hidden': 'true' }, icon('grip'))
    grip.addEventListener('pointerdown', (event) => this.onGripDown(event, grip, id))
    const row = {
      number: element('span', { class: 'ifa-number-tag' }),
      crop: element('button', { type: 'button', class: 'ifa-crop', onclick: () => editor.results.open(id) }),
      mark: element('span'),
      color,
      caption,
      grip,
      eye: smallButton('eye', () => actions.change([id], (box) => ({ hidden: !box.hidden }))),
      lock: smallButton('unlock', () => actions.change([id], (box) => ({ locked: !box.locked }))),
      up: smallButton('up', () => actions.depth('forward', [id])),
      down: smallButton('down', () => actions.depth('backward', [id])),
      note: element('span', { class: 'ifa-note' })
    }
    const fill = element('span', { class: 'ifa-fill' })
    const head = [grip, row.number, color, row.mark, fill, row.eye, row.lock, row.up, row.down]
    const root = element(
      'li',
      { class: 'ifa-row', 'data-row': id, onpointerdown: (event) => this.onRowDown(event, id) },
      element('div', { class: 'ifa-row-head' }, ...head),
      element('div', { class: 'ifa-row-body' }, row.crop, caption),
      row.note
    )
    /** @type {Row} */
    const parts = { ...row, root }
    this.rows.set(id, parts)
    return parts
  }

  /**
   * Scrolls the list, and no element around it, to a row.
   * @param {string} id
   */
  scrollTo(id) {
    const root = this.rows.get(id)?.root
    if (!root) return
    const [row, list] = [root, this.root].map((part) => part.getBoundingClientRect())
    const scale = list.height / this.root.offsetHeight || 1 // the graph may be zoomed
    const [above, below] = [(row.top - list.top) / scale, (row.bottom - list.bottom) / scale]
    if (above < 0) this.root.scrollTop += above
    else if (below > 0) this.root.scrollTop += Math.min(below, above)
  }

  /**
   * @param {PointerEvent} event
   * @param {string} id
   */
  onRowDown(event, id) {
    if (/** @type {Element} */ (event.target).closest('button, input, textarea, .ifa-grip')) return
    event.preventDefault()
    this.editor.select(event.shiftKey ? toggled(this.editor.state.selection, id) : [id])
    this.editor.focus.toPicture()
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
    const { editor } = this
    const { state } = editor
    editor.select([id], false)
    /** @param {PointerEvent} next */
    const move = (next) => {
      next.stopPropagation()
      const rows = [...this.root.children]
      const over = rows.findIndex((row) => next.clientY < row.getBoundingClientRect().bottom)
      const position = rows.length - 1 - (over < 0 ? rows.length - 1 : over) // from the back
      if (state.layout.boxes[position]?.id !== id) {
        state.draft = model.moveTo(state.layout, id, position)
        editor.render()
      }
    }
    /** @param {PointerEvent} last */
    const end = (last) => {
      grip.removeEventListener('pointermove', move)
      grip.removeEventListener('pointerup', end)
      grip.removeEventListener('pointercancel', end)
      const { draft } = state
      state.draft = null
      if (draft && last.type === 'pointerup') editor.record(draft)
      else editor.render()
      editor.focus.toPicture()
    }
    grip.addEventListener('pointermove', move)
    grip.addEventListener('pointerup', end)
    grip.addEventListener('pointercancel', end)
  }
}

/**
 * Names of a row's fields and buttons, for screen readers and as tooltips.
 * @param {Row} row
 * @param {Box} box
 * @param {number} number
 */
function nameParts(row, box, number) {
  row.caption.setAttribute('aria-label', t('Description of box {number}', { number }))
  row.color.setAttribute('aria-label', t('Colour of box {number}', { number }))
  const eye = box.hidden
    ? t('Show box {number}: put it back into the run', { number })
    : t('Hide box {number}: leave it out of the run', { number })
  setToggle(row.eye, box.hidden ? 'hidden' : 'eye', box.hidden, eye)
  const lock = box.locked ? t('Unlock box {number}', { number }) : t('Lock box {number}', { number })
  setToggle(row.lock, box.locked ? 'lock' : 'unlock', box.locked, lock)
  label(row.up, t('Bring box {number} forward (])', { number }))
  label(row.down, t('Send box {number} backward ([)', { number }))
  label(row.crop, t('Box {number} in the result', { number }))
  row.grip.setAttribute('title', t('Drag box {number} to another depth', { number }))
}

/** @param {{ count: number, exact: boolean }} tokens */
function tokenWords({ count, exact }) {
  const values = { count, most: CONTEXT_TOKENS }
  return exact ? t('{count} of {most} tokens', values) : t('about {count} of {most} tokens', values)
}
