// @ts-check
/** Units of boxes, and the check that the numbers of a box fit its unit. */

import { CENTRE, EDGES, SIDES } from './box_keys.js'
import { LayoutError, isObject, kindOf, numberText } from './fields.js'

/** @typedef {import('./fields.js').Corners} Corners */
/** Size of a picture in pixels. @typedef {{width: number, height: number}} Canvas */

export const UNITS = ['fractions', 'pixels', 'percent', 'thousandths']
const ROUNDING = 1e-3 // boxes that exceed the canvas by up to this fraction are clipped (rounded input)
const MAX_FRACTION = 2 // edges above are no fractions, not even those of a box that exceeds the canvas
const STRETCH = 1.01 // ratio of proportions above which a layout is said to be stretched
const WHOLE_PIXEL = 1 - 1e-6 // shortest side of a box in pixels, with room for rounding

/**
 * A box as fractions of the canvas, { x, y, w, h }. number: position of the box in the input, from 1.
 * corners: in `unit`. pixels: the picture that pixels refer to. canvas: of the layout. order: what the numbers
 * were before they were corners, see box_keys.js. Throws LayoutError, with the units that would fit, if the
 * numbers contradict the unit: the box is outside of the canvas, inverted, or has a side under one pixel.
 *
 * @param {number} number
 * @param {Corners} corners
 * @param {string} unit
 * @param {Canvas} pixels
 * @param {Canvas} canvas
 * @param {string} [order]
 */
export function checkedBox(number, corners, unit, pixels, canvas, order = EDGES) {
  const problem = problemOf(corners, unit, pixels, canvas)
  if (problem === null) {
    const [x0, y0, x1, y1] = toFractions(corners, unit, pixels)
    const [x, y] = [Math.max(x0, 0), Math.max(y0, 0)]
    return { x, y, w: Math.min(x1, 1) - x, h: Math.min(y1, 1) - y }
  }
  const size = unit === 'pixels' ? ` of ${numberText(pixels.width)} x ${numberText(pixels.height)}` : ''
  const edges = corners.map(numberText).join(', ')
  throw new LayoutError(
    `Box ${number} ${problem}: its left, top, right and bottom edges are ${edges}, read as ${unit}${size}. ` +
      adviceOn(corners, unit, pixels, canvas, order)
  )
}

/**
 * A notice if the size that a layout states has other proportions than the canvas.
 * @param {Canvas} madeFor
 * @param {Canvas} canvas
 * @returns {string[]}
 */
export function stretchNotice(madeFor, canvas) {
  const ratios = [madeFor, canvas].map(({ width, height }) => width / height)
  if (Math.max(...ratios) <= STRETCH * Math.min(...ratios)) return []
  const [own, present] = [madeFor, canvas].map(
    ({ width, height }) => `${numberText(width)} x ${numberText(height)}`
  )
  return [`The layout was made for ${own}; its boxes are stretched to ${present}.`]
}

/**
 * Corners in a unit -> corners as fractions.
 * @param {Corners} corners
 * @param {string} unit
 * @param {Canvas} pixels
 * @returns {Corners}
 */
export function toFractions([x0, y0, x1, y1], unit, pixels) {
  const scale = { fractions: 1, percent: 100, thousandths: 1000 }[unit]
  const [across, down] = scale ? [scale, scale] : [pixels.width, pixels.height]
  return [x0 / across, y0 / down, x1 / across, y1 / down]
}

/**
 * Why corners in a unit cannot be a box of the canvas, or null.
 * @param {Corners} corners
 * @param {string} unit
 * @param {Canvas} pixels
 * @param {Canvas} canvas
 */
function problemOf(corners, unit, pixels, canvas) {
  const [x0, y0, x1, y1] = toFractions(corners, unit, pixels)
  if (x1 <= x0 || y1 <= y0) return 'is inverted or has no area'
  if ((x1 - x0) * canvas.width < WHOLE_PIXEL || (y1 - y0) * canvas.height < WHOLE_PIXEL) {
    return 'has a side under one pixel'
  }
  if (unit !== 'fractions' && Math.min(...corners) >= 0 && Math.max(...corners) <= 1) {
    return `has no number above 1, unlike ${unit}`
  }
  return Math.min(x0, y0) < -ROUNDING || Math.max(x1, y1) > 1 + ROUNDING ? 'lies outside the canvas' : null
}

/**
 * How to fix a box that does not fit its unit.
 * @param {Corners} corners
 * @param {string} unit
 * @param {Canvas} pixels
 * @param {Canvas} canvas
 * @param {string} order
 */
function adviceOn(corners, unit, pixels, canvas, order) {
  const possible = unit === 'fractions' && Math.max(...corners) <= MAX_FRACTION ? [] : UNITS
  const fitting = possible.filter(
    (other) => other !== unit && problemOf(corners, other, pixels, canvas) === null
  )
  if (fitting.length) {
    return (
      `The numbers would fit as ${fitting.join(' or ')}: add "units": "${fitting[0]}" to the layout, or ` +
      "choose it as the node's units."
    )
  }
  const [x0, y0, x1, y1] = corners
  /** @type {Record<string, [Corners, string]>} */
  const others = {
    [SIDES]: [[x0, y0, x1 - x0, y1 - y0], 'the right and bottom edges, where width and height are expected'],
    [EDGES]: [[x0, y0, x0 + x1, y0 + y1], 'width and height, where the right and bottom edges are expected'],
    [CENTRE]: [
      [(x0 + x1) / 2, (y0 + y1) / 2, (3 * x1 - x0) / 2, (3 * y1 - y0) / 2],
      'the left top corner, where the centre is expected'
    ]
  }
  const [readAs, seem] = others[order]
  if (problemOf(readAs, unit, pixels, canvas) === null) return `Two numbers seem to be ${seem}.`
  return 'Move or resize the box, or set the canvas to the size that the numbers were made for.'
}

/**
 * The unit that a layout or a box states, or null. Throws LayoutError for unknown units.
 * @param {any} data
 * @returns {string | null}
 */
export function statedUnits(data) {
  if (!isObject(data)) return null
  if ('unit' in data) {
    throw new LayoutError(`The layout has the key "unit". Call it "units": one of ${UNITS.join(', ')}.`)
  }
  return checkedUnits(data.units ?? null, 'units')
}

/**
 * A unit, or null if none is stated. Throws LayoutError for unknown units.
 * @param {any} units
 * @param {string} name
 * @returns {string | null}
 */
export function checkedUnits(units, name) {
  if (units === null || UNITS.includes(units)) return units
  throw new LayoutError(`${name} must be one of ${UNITS.join(', ')}, got ${kindOf(units)}.`)
}
