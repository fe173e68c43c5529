// @ts-check
/**
 * How different tools write a box.
 *
 * Each set of keys is bound to one order of the numbers, and to a default unit that `units` may replace.
 * `ifadapter_core/formats/box_keys.py` is the Python twin.
 */

import { LayoutError, cornersOf, fourNumbers, isObject, numberOf } from './fields.js'

/** @typedef {import('./fields.js').Corners} Corners */

/**
 * How one kind of tool writes a box. example: for error messages. unit: default unit. order: what the numbers
 * are, SIDES, CENTRE or else EDGES.
 * @typedef {{
 *   example: string,
 *   matches: (entry: Record<string, any>) => boolean,
 *   corners: (entry: Record<string, any>, number: number) => Corners,
 *   unit: string,
 *   order?: string,
 * }} BoxKeys
 */

const ELEMENT_TYPES = ['obj', 'text']
export const BOX_NAMES = ['bbox', 'bbox_2d', 'box_2d', 'box'] // keys that hold a whole box
export const SIDE_NAMES = ['x', 'y', 'w', 'h', 'width', 'height']
// What the numbers of a box are, for advice on numbers that do not fit.
export const SIDES = 'left, top, width, height'
export const EDGES = 'left, top, right, bottom'
export const CENTRE = 'centre, width, height'

/** @param {unknown} values @param {string} name */
export function xyxy(values, name) {
  return fourNumbers(values, name, ['x0', 'y0', 'x1', 'y1'])
}

/** @param {unknown} values @param {string} name @returns {Corners} */
export function xywh(values, name) {
  const [x, y, w, h] = fourNumbers(values, name, ['x', 'y', 'width', 'height'])
  return [x, y, x + w, y + h]
}

/** @param {unknown} values @param {string} name @returns {Corners} */
function yxyx(values, name) {
  const [y0, x0, y1, x1] = fourNumbers(values, name, ['ymin', 'xmin', 'ymax', 'xmax'])
  return [x0, y0, x1, y1]
}

/**
 * @param {string} key
 * @param {(values: unknown, name: string) => Corners} order
 * @returns {BoxKeys['corners']}
 */
function listUnder(key, order) {
  return (entry, number) => order(entry[key], `Box ${number}: '${key}'`)
}

/** @param {[string, string, string, string]} keys @returns {BoxKeys['corners']} */
function edgesUnderBox(...keys) {
  return (entry, number) => {
    if ('x3' in entry.box) throw rotated(number)
    const [x0, y0, x1, y1] = keys.map((key) => numberOf(entry.box[key], `Box ${number}: box: ${key}`))
    return [x0, y0, x1, y1]
  }
}

/** @param {[string, string, string, string]} keys @returns {BoxKeys['corners']} */
function sides(...keys) {
  return (entry, number) => cornersOf(entry, keys, number)
}

const longSides = sides('x', 'y', 'width', 'height')
const shortSides = sides('x', 'y', 'w', 'h')

/** @type {BoxKeys['corners']} */
function unrotatedSides(entry, number) {
  if (numberOf(entry.rotation ?? 0, `Box ${number}: rotation`) !== 0) throw rotated(number)
  return longSides(entry, number)
}

/** @param {number} number */
export function rotated(number) {
  return new LayoutError(
    `Box ${number} is rotated, which a layout cannot hold. Give the upright box around it.`
  )
}

/**
 * Left, top, width and height. Beside "class", Roboflow and YOLO write centres under the same keys.
 * @type {BoxKeys['corners']}
 */
function cornerSides(entry, number) {
  if ('class' in entry && !('caption' in entry)) {
    throw new LayoutError(
      `Box ${number}: "x" and "y" beside "class" may be the centre (Roboflow, YOLO) or the left top corner. ` +
        'For centres give {"predictions": [..]}, for fractions with "units": "fractions"; for corners rename ' +
        '"class" to "label".'
    )
  }
  return isShort(entry) ? shortSides(entry, number) : longSides(entry, number)
}

/** @type {BoxKeys['corners']} */
function centre(entry, number) {
  const keys = ['x', 'y', 'w' in entry ? 'w' : 'width', 'h' in entry ? 'h' : 'height']
  const [x, y, width, height] = keys.map((key) =>
    numberOf(entry[key], `Box ${number}: ${key}`)
  )
  return [x - width / 2, y - height / 2, x + width / 2, y + height / 2]
}

/** @param {Record<string, any>} entry */
function isShort(entry) {
  return (
    'w' in entry ||
    'h' in entry ||
    (('x' in entry || 'y' in entry) && !('width' in entry || 'height' in entry))
  )
}

/** @param {string} key @returns {BoxKeys['matches']} */
function hasBoxWith(key) {
  return (entry) => isObject(entry.box) && key in entry.box
}

/** @type {BoxKeys} */
const SHORT = {
  example: '{"x", "y", "w", "h"}: fractions',
  matches: isShort,
  corners: cornerSides,
  unit: 'fractions',
  order: SIDES
}
/** @type {BoxKeys} */
export const LONG = {
  example: '{"x", "y", "width", "height"}: pixels',
  matches: (entry) => SIDE_NAMES.some((key) => key in entry),
  corners: cornerSides,
  unit: 'pixels',
  order: SIDES
}
/** @type {BoxKeys} */
export const ELEMENT = {
  example: '{"type": "obj" or "text", "bbox": [ymin, xmin, ymax, xmax]}: thousandths',
  matches: (entry) => 'bbox' in entry && ELEMENT_TYPES.includes(entry.type),
  corners: listUnder('bbox', yxyx),
  unit: 'thousandths'
}
/** @type {BoxKeys} */
export const XYWH_BBOX = {
  example: '{"bbox": [x, y, width, height]}: pixels',
  matches: (entry) => 'bbox' in entry,
  corners: listUnder('bbox', xywh),
  unit: 'pixels',
  order: SIDES
}
/** @type {BoxKeys} */
export const RELEASE_BOX = {
  example: '{"box": [x, y, width, height]}: pixels',
  matches: () => true,
  corners: listUnder('box', xywh),
  unit: 'pixels',
  order: SIDES
}
/** @type {BoxKeys} */
export const CENTRED = {
  example: '{"x", "y", "width", "height"}: centre, pixels',
  matches: (entry) => 'x' in entry,
  corners: centre,
  unit: 'pixels',
  order: CENTRE
}
/** Boxes that any list may hold; the first match counts. @type {BoxKeys[]} */
export const BOX_KEYS = [
  {
    example: '{"x", "y", "width", "height", "rectanglelabels"}: percent',
    matches: (entry) => 'rectanglelabels' in entry,
    corners: unrotatedSides,
    unit: 'percent',
    order: SIDES
  },
  {
    example: '{"bbox_2d": [x0, y0, x1, y1]}: thousandths',
    matches: (entry) => 'bbox_2d' in entry,
    corners: listUnder('bbox_2d', xyxy),
    unit: 'thousandths'
  },
  {
    example: '{"box_2d": [ymin, xmin, ymax, xmax]}: thousandths',
    matches: (entry) => 'box_2d' in entry,
    corners: listUnder('box_2d', yxyx),
    unit: 'thousandths'
  },
  ELEMENT,
  {
    example: '{"box": {"xmin", "ymin", "xmax", "ymax"}}: pixels',
    matches: hasBoxWith('xmin'),
    corners: edgesUnderBox('xmin', 'ymin', 'xmax', 'ymax'),
    unit: 'pixels'
  },
  {
    example: '{"box": {"x1", "y1", "x2", "y2"}}: pixels',
    matches: hasBoxWith('x1'),
    corners: edgesUnderBox('x1', 'y1', 'x2', 'y2'),
    unit: 'pixels'
  },
  SHORT,
  LONG
]
