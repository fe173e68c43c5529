// @ts-check
/**
 * Fields that would be ignored: those that contradict the box are refused, others are named in a notice.
 * `ifadapter_core/formats/ignored.py` is the Python twin.
 */

import { BOX_NAMES, SIDE_NAMES, rotated } from './box_keys.js'
import { LayoutError, firstNamed, isObject, kindOf, shown } from './fields.js'

/** @typedef {import('./entries.js').Draft} Draft */

// Edges and centres that are read only inside of "box", or not at all.
const EDGE_NAMES = [
  ...['x0', 'y0', 'x1', 'y1', 'x2', 'y2', 'xmin', 'ymin', 'xmax', 'ymax', 'left', 'top', 'right', 'bottom'],
  ...['cx', 'cy', 'xc', 'yc', 'x_center', 'y_center', 'center_x', 'center_y', 'center', 'centre']
]
const INNER_NAMES = ['xmin', 'x1', 'x', 'left', 'cx'] // one of each way to write an object under "box"
const DOUBLES = [
  ['w', 'width'],
  ['h', 'height']
]
const ROTATIONS = ['rotation', 'angle', 'rotate', 'theta']
const ANCHORS = ['anchor', 'origin']
const LEFT_TOP = ['topleft', 'lefttop', 'upperleft', 'tl', 'lt']
// Fields with a meaning that a layout cannot hold, or calls otherwise, with the value that changes nothing.
/** @type {[string, unknown][]} */
const IGNORED = [
  ['weight', 1],
  ['visible', true],
  ['enabled', true],
  ['z', ''],
  ['z_index', ''],
  ['zIndex', ''],
  ['opacity', 1],
  ['negative', ''],
  ['negative_prompt', ''],
  ['rotation', 0],
  ['angle', 0],
  ['rotate', 0],
  ['theta', 0]
]
export const IGNORED_KEYS = IGNORED.map(([key]) => key)
export const IGNORED_OF_LAYOUT = [
  ...['strength', 'weight', 'negative', 'negative_prompt', 'global_prompt', 'positive_prompt', 'description'],
  ...['scene', 'background', 'style', 'style_description']
]
export const ELEMENT_PROMPT = 'compositional_deconstruction' // key of an inner object of Ideogram's prompt
// Names that other tools give to the size of their picture, beside "image": {"width", "height"}.
const SIZES = [
  ...['image_width', 'image_height', 'img_width', 'img_height', 'imageWidth', 'imageHeight'],
  ...['canvas_width', 'canvas_height', 'canvas', 'image_size', 'imageSize', 'size', 'resolution']
]
const SIZE_AS_TEXT = /^[0-9]{2,5} ?[xX*,\u00d7] ?[0-9]{2,5}$/
const HOW_TO_SAY =
  'The global prompt is the "caption", the factor on the effect of a box is its "strength", "hidden": true ' +
  'leaves a box out, and later boxes are nearer.'

/**
 * Throws LayoutError if a field says something else about the box than those that are read.
 * @param {Record<string, any>} entry
 * @param {number} number
 */
export function refuseContradictions(entry, number) {
  refuseTwoBoxes(entry, number)
  for (const [short, long] of DOUBLES) {
    const given = [short, long].filter((key) => key in entry).map((key) => kindOf(entry[key]))
    if (new Set(given).size > 1) {
      throw new LayoutError(
        `Box ${number} has ${short} and ${long}, which differ: ${given.join(' and ')}. Leave one.`
      )
    }
  }
  if (ROTATIONS.some((key) => typeof entry[key] === 'number' && entry[key] !== 0)) throw rotated(number)
  refuseAnchor(entry, `Box ${number}`)
}

/**
 * Throws LayoutError if x and y are stated to be another point than the left top corner.
 * @param {Record<string, any>} data
 * @param {string} name
 */
export function refuseAnchor(data, name) {
  for (const key of ANCHORS) {
    const value = data[key] ?? ''
    if (value === '' || shown(value) === '[0, 0]') continue
    if (typeof value !== 'string' || !LEFT_TOP.includes(value.toLowerCase().replace(/[^a-z]/g, ''))) {
      throw new LayoutError(
        `${name}: ${key} is ${kindOf(value)}, but x and y are read as the left top corner. Give that corner, ` +
          `or centres under "predictions", and leave out ${key}.`
      )
    }
  }
}

/**
 * Throws LayoutError if pixels may be those of a picture whose size stands under an unknown key.
 * @param {Record<string, any>} layout
 * @param {string[]} units of its boxes
 */
export function refuseOtherSizes(layout, units) {
  const hasSize = (layout.width ?? null) !== null && (layout.height ?? null) !== null
  if (!units.includes('pixels') || hasSize) return
  const found = SIZES.filter((key) => isSize(layout[key]))
  const { image } = layout // read beside Roboflow's "predictions"
  if (!('predictions' in layout) && isObject(image) && isSize(image.width)) found.push('image')
  if (found.length) {
    throw new LayoutError(
      `The layout seems to state the size of its picture under ${found.join(' and ')}, which is not read, ` +
        'and has boxes in pixels. Write the size as "width" and "height" of the layout.'
    )
  }
}

/**
 * Whether a whole layout, or the image beside Roboflow's boxes, states its width and its height.
 * @param {Record<string, any>} layout
 */
export function statesSize(layout) {
  const parts = 'predictions' in layout ? [layout, layout.image] : [layout]
  return ['width', 'height'].every((key) => parts.some((part) => isObject(part) && (part[key] ?? null) !== null))
}

/**
 * Whether a value may be a width, a height or both.
 * @param {unknown} value
 */
function isSize(value) {
  if (typeof value === 'string') return SIZE_AS_TEXT.test(value)
  return typeof value === 'number' || (typeof value === 'object' && value !== null)
}

/**
 * Throws LayoutError if an entry has its box twice, or edges that are not read.
 * @param {Record<string, any>} entry
 * @param {number} number
 */
function refuseTwoBoxes(entry, number) {
  const [names, edges, sides] = [BOX_NAMES, EDGE_NAMES, SIDE_NAMES].map((keys) =>
    keys.filter((key) => key in entry)
  )
  const isCorner = sides.includes('x') || sides.includes('y')
  if (edges.length && !names.length && (!isCorner || sides.every((key) => key === 'x' || key === 'y'))) {
    throw new LayoutError(
      `Box ${number} has ${[...sides, ...edges].join(', ')}, which are not read together. For edges write ` +
        '"box": {"xmin", "ymin", "xmax", "ymax"} (pixels) or "bbox_2d": [x0, y0, x1, y1]; for centres give ' +
        '{"predictions": [{"x", "y", "width", "height"}]}.'
    )
  }
  names.push(...sides.slice(0, 1), ...edges.slice(0, 1))
  const inner = INNER_NAMES.filter((name) => isObject(entry.box) && name in entry.box)
  if (names.length > 1 || inner.length > 1) {
    const both = names.length > 1 ? names : inner.map((name) => `box: ${name}`)
    throw new LayoutError(`Box ${number} has its box twice, under ${both.join(' and ')}. Leave one of them.`)
  }
}

/**
 * Fields of a box that are not read although they have a meaning.
 * @param {Record<string, any>} entry
 */
function ignoredFields(entry) {
  const found = IGNORED.filter(([key, same]) => (entry[key] ?? '') !== '' && entry[key] !== same)
  return found.map(([key]) => key)
}

/**
 * A notice that names the fields that are not read although they have a meaning, if there are any.
 * @param {Record<string, any>} layout the keys of the whole layout
 * @param {Draft[]} drafts
 * @returns {string[]}
 */
export function ignoredNotice(layout, drafts) {
  const inner = layout[ELEMENT_PROMPT]
  const parts = isObject(inner) ? [layout, inner] : [layout]
  const found = IGNORED_OF_LAYOUT.filter((key) => parts.some((part) => (part[key] ?? '') !== ''))
  /** @type {Map<string, number[]>} */
  const numbers = new Map()
  for (const { number, entry } of drafts) {
    for (const key of ignoredFields(entry)) numbers.set(key, [...(numbers.get(key) ?? []), number])
  }
  for (const [key, boxes] of numbers) {
    found.push(`${key} (box ${firstNamed(boxes)})`)
  }
  return found.length ? [`Not read: ${found.join(', ')}. ${HOW_TO_SAY}`] : []
}
