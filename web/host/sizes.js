// @ts-check
// The size of the picture and the units, from the node's widgets.

import { widgetOf } from './graph.js'

const FALLBACK_PX = 1024 // canvas side if the node has no such widget
const AS_WRITTEN = 'as written' // value of the node's units that leaves the unit to the text

/** @param {ComfyNode} node */
export function canvasOf(node) {
  /** @param {string} name */
  const side = (name) => Number(widgetOf(node, name)?.value) || FALLBACK_PX
  return { width: side('width'), height: side('height') }
}

/**
 * Units of numbers in texts that state none, or null.
 * @param {ComfyNode} node
 */
export function unitsOf(node) {
  const value = widgetOf(node, 'units')?.value
  return typeof value === 'string' && value !== AS_WRITTEN ? value : null
}
