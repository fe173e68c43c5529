// @ts-check
/**
 * Single boxes as different tools write them.
 *
 * Each set of keys is bound to one order of the numbers, and to a default unit that `units` may replace.
 * `ifadapter_core/formats/entries.py` is the Python twin.
 */

import { LayoutError, cornersOf, descriptionOf, entryOf, fourNumbers, isObject, numberOf } from './fields.js'

/** @typedef {import('./fields.js').Corners} Corners */
/** @typedef {import('./units.js').Canvas} Canvas */

/**
 * How one kind of tool writes a box. example: for error messages. unit: default unit.
 * @typedef {{
 *   example: string,
 *   matches: (entry: Record<string, any>) => boolean,
 *   corners: (entry: Record<string, any>, number: number) => Corners,
 *   unit: string,
 * }} BoxKeys
 */

/**
 * What the numbers of a layout refer to. pixels: the picture that pixels refer to. units: unit that the user or the text
 * states; null = the default of the format.
 * @typedef {{pixels: Canvas, units: string | null}} Frame
 */

/**
 * An instance as read, not checked yet. number: position in the input, from 1. corners: in `unit`; null if the input has
 * only a description.
 * @typedef {{
 *   number: number, corners: Corners | null, description: string, unit: string, pixels: Canvas, strength: number,
 *   entry: Record<string, any>,
 * }} Draft
 */

export const MIN_STRENGTH = -2
export const MAX_STRENGTH = 5
// Fields that may hold the description, the first non-empty one counts.
const DESCRIPTIONS = ['caption', 'description', 'desc', 'phrase', 'label', 'text', 'name', 'class', 'category_name']

/** @param {unknown} values @param {string} expected */
export function xyxy(values, expected) {
  return fourNumbers(values, `${expected} must be [x0, y0, x1, y1]`)
}

/** @param {unknown} values @param {string} expected @returns {Corners} */
export function xywh(values, expected) {
  const [x, y, w, h] = fourNumbers(values, `${expected} must be [x, y, width, height]`)
  return [x, y, x + w, y + h]
}

/** @param {unknown} values @param {string} expected @returns {Corners} */
function yxyx(values, expected) {
  const [y0, x0, y1, x1] = fourNumbers(values, `${expected} must be [ymin, xmin, ymax, xmax]`)
  return [x0, y0, x1, y1]
}

/**
 * @param {string} key
 * @param {(values: unknown, expected: string) => Corners} order
 * @returns {BoxKeys['corners']}
 */
function listUnder(key, order) {
  return (entry, number) => order(entry[key], `Box ${number}: '${key}'`)
}

/** @param {[string, string, string, string]} keys @returns {BoxKeys['corners']} */
function edgesUnderBox(...keys) {
  return (entry, number) => {
    const [x0, y0, x1, y1] = keys.map((key) => numberOf(entry.box[key], `Box ${number}: box: ${key}`))
    return [x0, y0, x1, y1]
  }
}

/** @param {[string, string, string, string]} keys @returns {BoxKeys['corners']} */
function sides(...keys) {
  return (entry, number) => cornersOf(entry, keys, number)
}

/** @type {BoxKeys['corners']} */
function centre(entry, number) {
  const [x, y, width, height] = ['x', 'y', 'width', 'height'].map((key) =>
    numberOf(entry[key], `Box ${number}: ${key}`),
  )
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
}

/** @param {Record<string, any>} entry */
function isShort(entry) {
  return 'w' in entry || 'h' in entry || (('x' in entry || 'y' in entry) && !('width' in entry || 'height' in entry))
}

/** @param {string} key @returns {BoxKeys['matches']} */
function hasBoxWith(key) {
  return (entry) => isObject(entry.box) && key in entry.box
}

/** @type {BoxKeys} */
const SHORT = {
  example: '{"x", "y", "w", "h"}: fractions',
  matches: isShort,
  corners: sides('x', 'y', 'w', 'h'),
  unit: 'fractions',
}
/** @type {BoxKeys} */
const LONG = {
  example: '{"x", "y", "width", "height"}: pixels',
  matches: (entry) => ['x', 'y', 'width', 'height'].some((key) => key in entry),
  corners: sides('x', 'y', 'width', 'height'),
  unit: 'pixels',
}
/** @type {BoxKeys} */
export const ELEMENT = {
  example: '{"type", "bbox": [ymin, xmin, ymax, xmax]}: thousandths',
  matches: (entry) => 'bbox' in entry && 'type' in entry,
  corners: listUnder('bbox', yxyx),
  unit: 'thousandths',
}
/** @type {BoxKeys} */
export const XYWH_BBOX = {
  example: '{"bbox": [x, y, width, height]}: pixels',
  matches: (entry) => 'bbox' in entry,
  corners: listUnder('bbox', xywh),
  unit: 'pixels',
}
/** @type {BoxKeys} */
export const CENTRED = {
  example: '{"x", "y", "width", "height"}: centre, pixels',
  matches: (entry) => 'x' in entry,
  corners: centre,
  unit: 'pixels',
}
/** Boxes that any list may hold; the first match counts. @type {BoxKeys[]} */
export const BOX_KEYS = [
  {
    example: '{"x", "y", "width", "height", "rectanglelabels"}: percent',
    matches: (entry) => 'rectanglelabels' in entry,
    corners: sides('x', 'y', 'width', 'height'),
    unit: 'percent',
  },
  {
    example: '{"bbox_2d": [x0, y0, x1, y1]}: thousandths',
    matches: (entry) => 'bbox_2d' in entry,
    corners: listUnder('bbox_2d', xyxy),
    unit: 'thousandths',
  },
  {
    example: '{"box_2d": [ymin, xmin, ymax, xmax]}: thousandths',
    matches: (entry) => 'box_2d' in entry,
    corners: listUnder('box_2d', yxyx),
    unit: 'thousandths',
  },
  ELEMENT,
  {
    example: '{"box": {"xmin", "ymin", "xmax", "ymax"}}: pixels',
    matches: hasBoxWith('xmin'),
    corners: edgesUnderBox('xmin', 'ymin', 'xmax', 'ymax'),
    unit: 'pixels',
  },
  {
    example: '{"box": {"x1", "y1", "x2", "y2"}}: pixels',
    matches: hasBoxWith('x1'),
    corners: edgesUnderBox('x1', 'y1', 'x2', 'y2'),
    unit: 'pixels',
  },
  SHORT,
  LONG,
]

/**
 * The draft of one entry of a list: an object with a box, a description or both; or a description alone.
 * kinds: how the box may be written, the first match counts. unit: default unit of {"x", "y", "width", "height"}, where
 * it is not pixels. Throws LayoutError.
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
    entry,
  }
}

/**
 * The description in the metadata of ComfyUI's boxes, else in the box itself.
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function descriptionIn(entry, number) {
  const inner = isObject(entry.metadata)
    ? descriptionOf(entry.metadata, ['desc', 'text', 'caption', 'label'], number)
    : ''
  const labels = 'rectanglelabels' in entry ? { caption: entry.rectanglelabels } : entry
  return inner || descriptionOf(labels, DESCRIPTIONS, number)
}

/**
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function strengthOf(entry, number) {
  const strength = entry.strength ?? 1
  if (!(numberOf(strength, `Box ${number}: strength`) >= MIN_STRENGTH && strength <= MAX_STRENGTH)) {
    throw new LayoutError(
      `Box ${number}: strength is ${strength}; expected ${MIN_STRENGTH} to ${MAX_STRENGTH}, 1 is as trained.`,
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
      `Box ${number}: "bbox" alone does not say its order. A box element of ComfyUI has a "type" beside it ("obj" or ` +
        '"text"; ymin, xmin, ymax, xmax in thousandths). For x0, y0, x1, y1 use "bbox_2d"; for left, top, width, ' +
        'height use "x", "y", "width", "height".',
    )
  }
  if ('box' in entry) {
    throw new LayoutError(
      `Box ${number}: "box" must be an object with xmin, ymin, xmax, ymax or x1, y1, x2, y2. A list [x, y, w, h] ` +
        'belongs to {"annotations": [..]}, in pixels.',
    )
  }
}
