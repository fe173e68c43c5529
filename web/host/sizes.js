// @ts-check
// The size of the picture and the units. A linked size is followed to where its value stands.

import { captureUndoState, linkOf, slotOf, widgetOf } from './graph.js'
import { inputValue } from './links/values.js'
import { resultOf } from './results.js'

const FALLBACK_PX = 1024 // canvas side if no value is known
const AS_WRITTEN = 'as written' // value of the node's units that leaves the unit to the text

/**
 * The size of a node's picture, and how it is known: as set, from the last run, or not at all.
 * @param {ComfyNode} node
 * @returns {ReturnType<EditorHost['canvas']>}
 */
export function canvasOf(node) {
  const last = resultOf(node).canvas
  /** @type {ReturnType<EditorHost['canvas']>} */
  const size = { width: FALLBACK_PX, height: FALLBACK_PX, known: 'set' }
  for (const side of /** @type {const} */ (['width', 'height'])) {
    const value = Number(inputValue(node, side))
    if (value > 0) size[side] = value
    else {
      size[side] = last?.[side] ?? (Number(widgetOf(node, side)?.value) || FALLBACK_PX)
      size.known = last ? 'run' : 'unknown'
    }
  }
  return size
}

/**
 * Sets the size of a node's picture where it has no link.
 * @param {ComfyNode} node
 * @param {import('../layout_geometry.js').Canvas} size
 * @returns {boolean} whether a link keeps its own size
 */
export function setCanvas(node, size) {
  let refused = false
  for (const side of /** @type {const} */ (['width', 'height'])) {
    const widget = widgetOf(node, side)
    if (!widget || linkOf(node, slotOf(node, side))) refused = true
    else {
      widget.value = size[side]
      widget.callback?.(size[side])
    }
  }
  captureUndoState()
  return refused
}

/**
 * Units of numbers in texts that state none, or null.
 * @param {ComfyNode} node
 */
export function unitsOf(node) {
  const value = widgetOf(node, 'units')?.value
  return typeof value === 'string' && value !== AS_WRITTEN ? value : null
}
