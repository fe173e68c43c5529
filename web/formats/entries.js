// @ts-check
/** One entry of a list of boxes -> a draft. `ifadapter_core/formats/entries.py` is the Python twin. */

import { BOX_KEYS, BOX_NAMES, EDGES, LONG, SIDE_NAMES } from './box_keys.js'
import { LayoutError, descriptionOf, entryOf, isObject, kindOf, numberOf, numberText } from './fields.js'
import { refuseContradictions } from './ignored.js'
import { statedUnits } from './units.js'

/** @typedef {import('./box_keys.js').BoxKeys} BoxKeys */
/** @typedef {import('./fields.js').Corners} Corners */
/** @typedef {import('./units.js').Canvas} Canvas */

/**
 * What the numbers of a layout refer to. pixels: the picture that pixels refer to. units: unit that the
 * user or the text states; null = the default of the format.
 * @typedef {{pixels: Canvas, units: string | null}} Frame
 */

/**
 * An instance as read, not checked yet. number: position in the input, from 1. corners: in `unit`; null if
 * the input has only a description. order: what the numbers of the box were, see box_keys.js.
 * @typedef {{
 *   number: number, corners: Corners | null, description: string, unit: string, pixels: Canvas,
 *   strength: number, hidden: boolean, order: string, entry: Record<string, any>,
 * }} Draft
 */

export const MIN_STRENGTH = -2
export const MAX_STRENGTH = 5
// Fields that may hold the description; the caption counts first, then the first one here that is not empty.
const DESCRIPTIONS = [
  'description',
  'desc',
  'phrase',
  'label',
  'text',
  'name',
  'class',
  'category_name',
  'rectanglelabels',
  'prompt'
]
const METADATA = ['desc', 'text', 'caption', 'label'] // the same, in the metadata of ComfyUI's boxes
/** Keys of a box that are read; it is stored as x, y, w, h and caption. */
export const READ_KEYS = [
  ...BOX_NAMES,
  ...SIDE_NAMES,
  ...DESCRIPTIONS,
  'caption',
  'metadata',
  'rotation',
  'units'
]

/**
 * The draft of one entry of a list: an object with a box, a description or both; or a description alone.
 * kinds: how the box may be written, the first match counts. unit: default unit of {"x", "y", "width",
 * "height"}, where it is not pixels. Throws LayoutError.
 *
 * @param {unknown} value
 * @param {number} number
 * @param {Frame} frame
 * @param {BoxKeys[]} [kinds]
 * @param {string | null} [unit]
 * @returns {Draft}
 */
export function draftOf(value, number, frame, kinds = BOX_KEYS, unit = null) {
  const entry = entryOf(typeof value === 'string' ? { caption: value } : value, number)
  refuseContradictions(entry, number)
  refuseOtherUnits(entry, number, frame)
  const keys = kinds.find((kind) => kind.matches(entry)) ?? null
  if (keys === null) refuseUnknownKeys(entry, number)
  const standard = keys === null ? 'fractions' : keys === LONG && unit ? unit : keys.unit
  return {
    number,
    corners: keys === null ? null : keys.corners(entry, number),
    description: descriptionIn(entry, number),
    unit: frame.units ?? standard,
    pixels: frame.pixels,
    strength: strengthOf(entry, number),
    hidden: hiddenOf(entry, number),
    order: keys?.order ?? EDGES,
    entry
  }
}

/**
 * Throws LayoutError for a box with units of its own: units belong to the whole layout.
 * @param {Record<string, any>} entry
 * @param {number} number
 * @param {Frame} frame
 */
function refuseOtherUnits(entry, number, frame) {
  const stated = statedUnits(entry)
  if (stated !== null && stated !== frame.units) {
    throw new LayoutError(
      `Box ${number} has units of its own (${stated}). State the units once for all boxes: ` +
        `{"units": "${stated}", "boxes": [..]}, or as the node's units.`
    )
  }
}

/**
 * The caption, else the description in the metadata of ComfyUI's boxes, else another field.
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function descriptionIn(entry, number) {
  return (
    descriptionOf(entry, ['caption'], number) ||
    (isObject(entry.metadata) ? descriptionOf(entry.metadata, METADATA, number) : '') ||
    descriptionOf(entry, DESCRIPTIONS, number)
  )
}

/**
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function hiddenOf(entry, number) {
  const hidden = entry.hidden ?? false
  if (typeof hidden !== 'boolean') {
    throw new LayoutError(
      `Box ${number}: hidden must be true or false, without quotation marks, got ${kindOf(hidden)}.`
    )
  }
  return hidden
}

/**
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function strengthOf(entry, number) {
  const strength = entry.strength ?? 1
  if (!(numberOf(strength, `Box ${number}: strength`) >= MIN_STRENGTH && strength <= MAX_STRENGTH)) {
    throw new LayoutError(
      `Box ${number}: strength is ${numberText(strength)}; expected ${MIN_STRENGTH} to ${MAX_STRENGTH}, 1 is ` +
        'as trained.'
    )
  }
  return strength
}

/**
 * Throws LayoutError if an entry has a box that is bound to no order of its numbers.
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function refuseUnknownKeys(entry, number) {
  if ('bbox' in entry) {
    throw new LayoutError(
      `Box ${number}: "bbox" alone does not say its order. A box element of ComfyUI has the "type" "obj" ` +
        'or "text" beside it (ymin, xmin, ymax, xmax in thousandths). For x0, y0, x1, y1 use "bbox_2d"; ' +
        'for left, top, width, height use "x", "y", "width", "height".'
    )
  }
  if ('box' in entry) {
    throw new LayoutError(
      `Box ${number}: "box" must be an object with xmin, ymin, xmax, ymax or x1, y1, x2, y2. A list ` +
        '[x, y, w, h] belongs to {"annotations": [..]}, in pixels.'
    )
  }
}
