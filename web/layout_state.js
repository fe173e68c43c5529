// @ts-check
// The state of one editor: the layout with its history, the selection, and the text that it was read from.
// No page, no ComfyUI.

import { readLayout, serialize, serializeForRun } from './layout_formats.js'
import { History, keepHistory, keptHistory } from './layout_history.js'
import { LinkedLayout, takenFrom, textTakenFrom, withTakenFrom } from './linked_text.js'
import { SentLayouts } from './sent_layouts.js'
import { VERSION } from './formats/readers.js'

/** @typedef {import('./layout_geometry.js').Canvas} Canvas */
/** @typedef {import('./layout_model.js').Box} Box */
/** @typedef {import('./layout_model.js').Layout} Layout */

/**
 * What the state needs to know.
 * @typedef {object} Surroundings
 * @property {() => Canvas & { known?: 'set' | 'run' | 'unknown' }} canvas size of the picture in pixels
 * @property {() => string | null} units of numbers in texts that state none; null: as their format says
 * @property {EditorHost['linkedText']} linkedText the layout text of a link
 */

/**
 * A text and what it was read for. pinned: a new canvas does not change the meaning of its pixels.
 * @typedef {{ value: unknown, canvas: Canvas, units: string | null, pinned: boolean }} Given
 */

/** @type {WeakMap<Layout, { ownUnreadable: LayoutState['ownUnreadable'], given: Given | null }>} */
const replaced = new WeakMap() // unreadable texts, by the layout of their step in the history

const BOX_NUMBER = /(?<!of )\bbox (\d+)\b/i // that an error of a run is about; misspelt keys are "of box 1"

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
    this.ownUnreadable = null // a value that is no layout and why: kept until it is replaced
    this.link = new LinkedLayout(surroundings)
    /** @type {Given | null} */
    this.given = null // what the layout was read from, until the user edits it
    /** @type {string | null} */
    this.failure = null // the error of the last run, until the next run or edit
    /** @type {string[]} */
    this.notices = [] // what was repaired or left out while reading, here or in the last run
    this.sent = new SentLayouts()
  }

  get layout() {
    return this.draft ?? this.shown
  }

  /** The layout that counts: of the linked text or of this editor. Without the changes of a gesture. */
  get shown() {
    return this.link.winner?.layout ?? this.history.present
  }

  /** The text that counts and why it is no layout; null if it is one. */
  get unreadable() {
    return this.link.winner ? this.link.winner.unreadable : this.ownUnreadable
  }

  get canUndo() {
    return this.history.canUndo && this.link.shows(this.history.past.at(-1))
  }

  get canRedo() {
    return this.history.canRedo && this.link.shows(this.history.future[0])
  }

  /** The hash of the linked text that the editor's layout was taken from; undefined if it was not. */
  get takenFrom() {
    return this.ownUnreadable ? textTakenFrom(this.ownUnreadable.text) : takenFrom(this.history.present)
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
    this.sent.keep(text, this.history.present)
    return text
  }

  /**
   * The text as it was given, if it cannot be read, or if only a run knows the size that its pixels refer to.
   * Else null.
   */
  get waitingText() {
    if (this.ownUnreadable) return this.ownUnreadable.text
    const { known = 'set' } = this.surroundings.canvas()
    const value = this.given?.value
    if (known === 'set' || typeof value !== 'string') return null
    return textTakenFrom(value) === this.takenFrom ? value : null
  }

  /**
   * The layout of a run, by the texts that the run got.
   * @param {string | undefined} text undefined: the newest run's
   * @param {string | null} linked layout text of a link
   */
  layoutOf(text, linked = null) {
    const { present } = this.history
    const isPresent = text === (this.waitingText ?? serializeForRun(present))
    const own = isPresent ? present : this.sent.find(text, present, this.surroundings.canvas())
    return linked === null ? own : this.link.layoutOf(own, linked)
  }

  /**
   * Replaces the layout and its history.
   * @param {unknown} value JSON, parsed or not
   * @returns {boolean} whether the value differs from the present one
   */
  replace(value) {
    const same = !this.ownUnreadable && typeof value === 'string' && value === serialize(this.history.present)
    if (same) return false
    this.history = new History(emptyLayout())
    this.read(value, this.surroundings.canvas(), this.surroundings.units())
    this.history = keptHistory(value) ?? this.history
    this.selection = []
    return true
  }

  /** Keeps the history for the editor that will show this layout next. */
  keep() {
    if (!this.ownUnreadable) keepHistory(serialize(this.history.present), this.history)
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
      this.ownUnreadable = null
    } catch (error) {
      this.ownUnreadable = {
        text: textOf(value),
        message: error instanceof Error ? error.message : String(error)
      }
      this.notices = []
    }
  }

  /** Reads the texts again if they, the node's size or its units have changed, and decides what counts. */
  refresh() {
    this.refreshOwn()
    if (!this.link.refresh(this.takenFrom)) return
    this.failure = null
    if (this.link.winner) this.notices = this.link.winner.notices
  }

  /** Reads the own text again if the node's size or units have changed: a workflow sets them after the text. */
  refreshOwn() {
    if (!this.given) return
    const { value, units, pinned } = this.given
    const canvas = pinned ? this.given.canvas : this.surroundings.canvas()
    const { width, height } = this.given.canvas
    const now = this.surroundings.units()
    if (units === now && canvas.width === width && canvas.height === height) return
    const taken = this.takenFrom
    this.read(value, canvas, now)
    this.history.present = withTakenFrom(this.history.present, taken)
    this.given.pinned = pinned
  }

  /** The user has set another size of the picture. A layout that could be read keeps its proportions. */
  pin() {
    if (!this.given || this.ownUnreadable) return
    const { width, height } = this.surroundings.canvas()
    const { canvas } = this.given
    if (canvas.width !== width || canvas.height !== height) this.given.pinned = true
  }

  /**
   * Records a change by the user. It takes over the linked text.
   * @param {Layout} layout
   * @param {string | null} key consecutive changes with the same key are one step of the history
   */
  record(layout, key = null) {
    this.change(withTakenFrom(layout, this.link.reading?.hash ?? this.takenFrom), key)
  }

  /** Lets the linked text count again. */
  useLink() {
    this.change(withTakenFrom(this.history.present, undefined), null)
  }

  /** @param {Layout} layout @param {string | null} key */
  change(layout, key) {
    if (this.ownUnreadable) {
      this.keepUnreadable()
      this.history.step(layout) // also to an equal layout
    } else this.history.record(layout, key)
    this.ownUnreadable = this.given = this.failure = null
    this.notices = []
    this.refresh()
  }

  undo() {
    if (this.canUndo) this.move(() => this.history.undo())
  }

  redo() {
    if (this.canRedo) this.move(() => this.history.redo())
  }

  /** @param {() => unknown} act moves in the history */
  move(act) {
    const { present } = this.history
    this.keepUnreadable()
    act()
    if (this.history.present === present) return
    const { ownUnreadable = null, given = null } = replaced.get(this.history.present) ?? {}
    Object.assign(this, { ownUnreadable, given })
    this.refresh()
  }

  /** Keeps an unreadable text for undo. */
  keepUnreadable() {
    if (this.ownUnreadable)
      replaced.set(this.history.present, { ownUnreadable: this.ownUnreadable, given: this.given })
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
