// @ts-check
// A layout text from a link: whether it counts, or the editor's own layout, which may have been taken over from
// it. `ifadapter_core/links/texts.py` is the Python twin. Pure functions: no page, no ComfyUI.

import { readLayout } from './layout_formats.js'
import { isObject, stripped } from './formats/fields.js'
import { JsonTextError } from './formats/json_parser.js'
import { readJsonText } from './formats/json_text.js'

/** @typedef {import('./layout_geometry.js').Canvas} Canvas */
/** @typedef {import('./layout_model.js').Layout} Layout */

/**
 * What counts. none: there is no link. linked: the text of the link. unknown: the same, but only a run tells the
 * text. taken: the editor's layout, taken over from the text. absent: the editor's layout, because the last run
 * got no text.
 * @typedef {'none' | 'linked' | 'unknown' | 'taken' | 'absent'} Counts
 */

/**
 * A linked text as read. Either a layout or the error.
 * @typedef {object} LinkReading
 * @property {string} hash
 * @property {Layout} layout empty if the text cannot be read
 * @property {{ text: string, message: string } | null} unreadable
 * @property {string[]} notices
 */

const TAKEN_FROM = 'taken_from' // key of an editor's layout: the hash of the text that it was taken from
const INPUT = 'layout_text' // name of the node's input
// FNV-1a, 64 bits.
const OFFSET_BASIS = 0xcbf29ce484222325n
const PRIME = 0x100000001b3n
const BITS = 64

/**
 * FNV-1a of a text in UTF-16, low byte first, as 16 hexadecimal digits. Not for secrets.
 * @param {string} text
 */
export function textHash(text) {
  let value = OFFSET_BASIS
  for (let index = 0; index < text.length; index += 1) {
    const unit = text.charCodeAt(index)
    for (const byte of [unit & 0xff, unit >> 8]) value = BigInt.asUintN(BITS, (value ^ BigInt(byte)) * PRIME)
  }
  return value.toString(16).padStart(BITS / 4, '0')
}

/**
 * The hash that a layout was taken from; undefined if it was not.
 * @param {Record<string, any>} layout
 * @returns {unknown}
 */
export function takenFrom(layout) {
  return layout[TAKEN_FROM]
}

/**
 * As `takenFrom`, of a text that is no valid layout.
 * @param {string} text
 */
export function textTakenFrom(text) {
  if (!text.includes(TAKEN_FROM)) return undefined
  try {
    const { value } = readJsonText(text)
    const data = Array.isArray(value) && value.length === 1 ? value[0] : value
    return isObject(data) && 'boxes' in data ? takenFrom(data) : undefined
  } catch (error) {
    if (error instanceof JsonTextError) return undefined
    throw error
  }
}

/**
 * A layout that was taken from the text with a hash; without one, from none.
 * @param {Layout} layout
 * @param {unknown} hash
 * @returns {Layout}
 */
export function withTakenFrom(layout, hash) {
  /** @type {Layout & { taken_from?: unknown }} */
  const copy = { ...layout }
  delete copy[TAKEN_FROM]
  // First, where a stored layout has its unknown keys when it is read again.
  return hash === undefined ? copy : { [TAKEN_FROM]: hash, ...copy }
}

/**
 * Reads the text of a link, as a run does.
 * @param {string} text
 * @param {Canvas} canvas for formats in pixels
 * @param {string | null} units of the numbers, if the text states none
 * @returns {LinkReading}
 */
function readLink(text, canvas, units) {
  const hash = textHash(text)
  const layout = { version: 1, caption: '', boxes: [] }
  /** @param {string} message */
  const failed = (message) => ({ hash, layout, unreadable: { text, message }, notices: [] })
  if (!stripped(text)) {
    return failed(
      `${INPUT} is empty: the linked node gave no text. Link a text with a layout, or remove the link.`
    )
  }
  try {
    const reading = readLayout(text, canvas, units)
    return { hash, layout: withTakenFrom(reading.layout, undefined), unreadable: null, notices: reading.notices }
  } catch (error) {
    return failed(`${INPUT}: ${error instanceof Error ? error.message : String(error)}`)
  }
}

/** The text of a link beside the layout of an editor. */
export class LinkedLayout {
  /** @param {import('./layout_state.js').Surroundings} surroundings */
  constructor(surroundings) {
    this.surroundings = surroundings
    /** @type {Counts} */
    this.counts = 'none'
    /** @type {LinkReading | null} */
    this.reading = null // null if the text is not known
    this.key = '' // what the text was read for
  }

  /** The linked text if it counts, else null. */
  get winner() {
    return this.counts === 'linked' ? this.reading : null
  }

  /**
   * Reads the text again if it, the size or the units have changed, and decides what counts.
   * @param {unknown} taken the hash that the editor's layout was taken from
   * @returns {boolean} whether the text was read again
   */
  refresh(taken) {
    const linked = this.surroundings.linkedText()
    const { width, height } = this.surroundings.canvas()
    const units = this.surroundings.units()
    const text = linked?.text ?? null
    const key = text === null ? '' : `${width} ${height} ${units} ${text}`
    const isNew = key !== this.key
    if (isNew) this.reading = text === null ? null : readLink(text, { width, height }, units)
    this.key = key
    this.counts = whatCounts(linked, this.reading?.hash, taken)
    return isNew
  }

  /**
   * Whether a step of the history to a layout is seen: not below a linked text that still counts.
   * @param {Layout | undefined} layout
   */
  shows(layout) {
    return !this.winner || (layout !== undefined && takenFrom(layout) === this.winner.hash)
  }

  /**
   * The layout of a run that got a linked text.
   * @param {Layout} own the editor's layout of that run
   * @param {string} text
   */
  layoutOf(own, text) {
    const hash = textHash(text)
    if (takenFrom(own) === hash) return own
    const { canvas, units } = this.surroundings
    return this.reading?.hash === hash ? this.reading.layout : readLink(text, canvas(), units()).layout
  }
}

/**
 * @param {ReturnType<EditorHost['linkedText']>} linked
 * @param {string | undefined} hash of the linked text, if it is known
 * @param {unknown} taken the hash that the editor's layout was taken from
 * @returns {Counts}
 */
function whatCounts(linked, hash, taken) {
  if (!linked) return 'none'
  if (linked.text === null) return 'absent'
  if (hash === undefined) return taken === undefined || linked.always ? 'unknown' : 'taken'
  return taken === hash && !linked.always ? 'taken' : 'linked'
}
