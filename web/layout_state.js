// @ts-check
// The state of one editor: the layout with its history, the selection, and the text that it was read from.
// No page, no ComfyUI.

import { readLayout, serialize, serializeForRun } from './layout_formats.js'
import { History, keepHistory, keptHistory } from './layout_history.js'
import { VERSION } from './formats/readers.js'

/** @typedef {import('./layout_geometry.js').Canvas} Canvas */
/** @typedef {import('./layout_model.js').Box} Box */
/** @typedef {import('./layout_model.js').Layout} Layout */

/**
 * What the state needs to know.
 * @typedef {object} Surroundings
 * @property {() => Canvas & { known?: 'set' | 'run' | 'unknown' }} canvas size of the picture in pixels
 * @property {() => string | null} units of numbers in texts that state none; null: as their format says
 */

/**
 * A text and what it was read for. pinned: a new canvas does not change the meaning of its pixels.
 * @typedef {{ value: unknown, canvas: Canvas, units: string | null, pinned: boolean }} Given
 */

const SENT_LAYOUTS = 100 // kept for the results of runs that wait for their turn
/** @type {WeakMap<Layout, { unreadable: LayoutState['unreadable'], given: Given | null }>} */
const replaced = new WeakMap() // unreadable texts, by the layout of their step in the history

const BOX_NUMBER = /\bbox (\d+)\b/i // in an error of a run

/** @returns {Layout} */
export function emptyLayout() {
  return { version: VERSION, caption: '', boxes: [] }
}

export class LayoutState {
  /** @param {Surroundings} surroundings */
  constructor(surroundings) {
    this.surroundings = surroundings
    this.history = new History(emptyLayout())
    /** @type {Layout | null} */
    this.draft = null // the layout during a gesture
    /** @type {string[]} */
    this.selection = [] // ids; the last one is the active box
    /** @type {{ text: string, message: string } | null} */
    this.unreadable = null // a value that is no layout and why: kept until it is replaced
    /** @type {Given | null} */
    this.given = null // what the layout was read from, until the user edits it
    /** @type {string | null} */
    this.failure = null // the error of the last run, until the next run or edit
    /** @type {string[]} */
    this.notices = [] // what was repaired or left out while reading, here or in the last run
    /** @type {Map<string, Layout>} */
    this.sent = new Map() // layouts of runs, by the text that the run got; the last one is the newest
  }

  get layout() {
    return this.draft ?? this.history.present
  }

  /**
   * The layout as JSON, as stored in a workflow. An unreadable value is returned unchanged.
   * @returns {string}
   */
  get value() {
    this.refresh()
    return this.waitingText ?? serialize(this.history.present)
  }

  /** The value for a run, without the keys that only the editor uses. */
  get runValue() {
    this.refresh()
    if (this.waitingText !== null) return this.waitingText
    const text = serializeForRun(this.history.present)
    this.sent.delete(text)
    this.sent.set(text, this.history.present)
    for (const oldest of [...this.sent.keys()].slice(0, -SENT_LAYOUTS)) this.sent.delete(oldest)
    return text
  }

  /**
   * The text as it was given, if it cannot be read, or if only a run knows the size that its pixels refer to.
   * Else null.
   */
  get waitingText() {
    if (this.unreadable) return this.unreadable.text
    const { known = 'set' } = this.surroundings.canvas()
    const value = this.given?.value
    return known !== 'set' && typeof value === 'string' ? value : null
  }

  /**
   * The layout of a run, by the text that the run got. A text that this editor did not send is read.
   * @param {string | undefined} text undefined: the newest run's
   * @returns {Layout}
   */
  layoutOf(text) {
    const { present } = this.history
    const newest = [...this.sent.values()].at(-1) ?? present
    if (text === undefined) return newest
    if (text === (this.waitingText ?? serializeForRun(present))) return present
    try {
      return this.sent.get(text) ?? readLayout(text, this.surroundings.canvas()).layout
    } catch {
      return newest
    }
  }

  /**
   * Replaces the layout and its history.
   * @param {unknown} value JSON, parsed or not
   * @returns {boolean} whether the value differs from the present one
   */
  replace(value) {
    const same = !this.unreadable && typeof value === 'string' && value === serialize(this.history.present)
    if (same) return false
    this.history = new History(emptyLayout())
    this.read(value, this.surroundings.canvas(), this.surroundings.units())
    this.history = keptHistory(value) ?? this.history
    this.selection = []
    return true
  }

  /** Keeps the history for the editor that will show this layout next. */
  keep() {
    if (!this.unreadable) keepHistory(serialize(this.history.present), this.history)
  }

  /**
   * Takes a text as the layout. An unreadable one is kept as it is.
   * @param {unknown} value JSON, parsed or not
   * @param {Canvas} canvas for formats in pixels
   * @param {string | null} units of the numbers, if the text states none
   */
  read(value, canvas, units) {
    this.given = { value, canvas, units, pinned: false }
    try {
      const { layout, notices } = readLayout(value, canvas, units)
      this.history.present = layout
      this.notices = notices
      this.unreadable = null
    } catch (error) {
      this.unreadable = {
        text: textOf(value),
        message: error instanceof Error ? error.message : String(error)
      }
      this.notices = []
    }
  }

  /** Reads the text again if the node's size or units have changed: a workflow sets them after the text. */
  refresh() {
    if (!this.given) return
    const { value, units, pinned } = this.given
    const canvas = pinned ? this.given.canvas : this.surroundings.canvas()
    const { width, height } = this.given.canvas
    const now = this.surroundings.units()
    if (units === now && canvas.width === width && canvas.height === height) return
    this.read(value, canvas, now)
    this.given.pinned = pinned
  }

  /** The user has set another size of the picture. A layout that could be read keeps its proportions. */
  pin() {
    if (!this.given || this.unreadable) return
    const { width, height } = this.surroundings.canvas()
    const { canvas } = this.given
    if (canvas.width !== width || canvas.height !== height) this.given.pinned = true
  }

  /**
   * Records a change by the user.
   * @param {Layout} layout
   * @param {string | null} key consecutive changes with the same key are one step of the history
   */
  record(layout, key = null) {
    if (this.unreadable) {
      this.keepUnreadable()
      this.history.step(layout) // also to an equal layout
    } else this.history.record(layout, key)
    this.unreadable = this.given = this.failure = null
    this.notices = []
  }

  undo() {
    this.move(() => this.history.undo())
  }

  redo() {
    this.move(() => this.history.redo())
  }

  /** @param {() => unknown} act moves in the history */
  move(act) {
    const { present } = this.history
    this.keepUnreadable()
    act()
    if (this.history.present === present) return
    const { unreadable = null, given = null } = replaced.get(this.history.present) ?? {}
    Object.assign(this, { unreadable, given })
  }

  /** Keeps an unreadable text for undo. */
  keepUnreadable() {
    if (this.unreadable)
      replaced.set(this.history.present, { unreadable: this.unreadable, given: this.given })
  }

  /** The number of the box that the last run's error is about, or null. */
  get faultyBox() {
    const found = this.failure?.match(BOX_NUMBER)
    return found ? Number(found[1]) : null
  }

  /** The active box, or null. */
  get active() {
    return this.layout.boxes.find((box) => box.id === this.selection.at(-1)) ?? null
  }

  /** The selected boxes, from back to front. */
  get selected() {
    return this.layout.boxes.filter((box) => this.selection.includes(box.id))
  }

  /** Forgets selected ids that no box has. */
  cleanSelection() {
    const known = new Set(this.layout.boxes.map((box) => box.id))
    this.selection = this.selection.filter((id) => known.has(id))
  }

  /**
   * The unlocked boxes among these.
   * @param {string[]} ids
   */
  unlocked(ids) {
    return this.layout.boxes.filter((box) => ids.includes(box.id) && !box.locked)
  }
}

/**
 * @param {string[]} ids
 * @param {string} id
 */
export function toggled(ids, id) {
  return ids.includes(id) ? ids.filter((each) => each !== id) : [...ids, id]
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
