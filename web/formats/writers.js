// @ts-check
/** Layouts as JSON, for workflows, runs and other tools. `parse` of layout_formats.js reads them again. */

import { toPixels, visible } from '../layout_model.js'
import { VERSION } from './readers.js'

/** @typedef {import('../layout_model.js').Canvas} Canvas */
/** @typedef {import('../layout_model.js').Layout} Layout */

export const ELEMENT_SCALE = 1000 // the host's box elements are in thousandths of the canvas
export const EDITOR_KEYS = ['id', 'color', 'locked', 'hidden'] // a run does not depend on them
const OWN_UNITS = 'fractions' // stated, so that the node's units do not apply to what the editor writes

/**
 * The complete layout as JSON, as stored in a workflow. `parse` is the inverse.
 * @param {Layout} layout
 */
export function serialize(layout) {
  return JSON.stringify({ ...layout, version: VERSION, units: OWN_UNITS })
}

/**
 * The layout for a run, as JSON. Colours and locks are left out, so that changing them does not invalidate
 * cached results. A hidden box leaves a placeholder, so that errors number the boxes as the editor does.
 * @param {Layout} layout
 */
export function serializeForRun(layout) {
  const boxes = layout.boxes.map((box) =>
    box.hidden
      ? { hidden: true }
      : Object.fromEntries(Object.entries(box).filter(([key]) => !EDITOR_KEYS.includes(key)))
  )
  return JSON.stringify({ ...layout, version: VERSION, units: OWN_UNITS, boxes })
}

/**
 * The IFAdapter release's JSON: pixels of a canvas of the given size. Hidden boxes are left out.
 * @param {Layout} layout
 * @param {Canvas} canvas
 */
export function toRelease(layout, canvas) {
  const annotations = visible(layout).map((box) => {
    const { x, y, w, h } = toPixels(box, canvas)
    return { box: [x, y, w, h], caption: box.caption }
  })
  return JSON.stringify(
    { caption: layout.caption, width: canvas.width, height: canvas.height, annotations },
    null,
    2
  )
}

/**
 * The host's box elements as JSON: thousandths of the canvas, ymin first. Hidden boxes are left out.
 * @param {Layout} layout
 */
export function toElements(layout) {
  /** @param {number} value */
  const thousandths = (value) => Math.round(value * ELEMENT_SCALE)
  const elements = visible(layout).map(({ x, y, w, h, caption }) => ({
    type: 'obj',
    bbox: [thousandths(y), thousandths(x), thousandths(y + h), thousandths(x + w)],
    desc: caption
  }))
  return JSON.stringify(elements, null, 2)
}
