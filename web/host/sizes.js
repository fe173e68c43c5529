// @ts-check
// The size of the picture and the units. A linked size is followed to where its value stands.

import { outerNode } from './descendants.js'
import { forAll } from './editors.js'
import { SUBGRAPH_INPUT, captureUndoState, chained, linkOf, slotOf, widgetOf } from './graph.js'
import { resultOf } from './results.js'

const FALLBACK_PX = 1024 // canvas side if no value is known
const AS_WRITTEN = 'as written' // value of the node's units that leaves the unit to the text
const PRIMITIVES = ['PrimitiveNode', 'PrimitiveInt', 'PrimitiveFloat']
const MOST_STEPS = 100 // of a chain of links

/** @type {WeakSet<ComfyWidget>} */
const watched = new WeakSet() // widgets of other nodes that set the size of a picture

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
 * The value of an input, or undefined if it is computed in a run.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {number} steps left
 * @returns {unknown}
 */
function inputValue(node, name, steps = MOST_STEPS) {
  const slot = slotOf(node, name)
  const link = slot < 0 ? null : linkOf(node, slot)
  if (!link) return widgetOf(node, name)?.value
  if (String(link.origin_id) === SUBGRAPH_INPUT) {
    const outer = outerNode(node)
    const input = outer?.inputs?.[link.origin_slot]
    return outer && input && steps ? watchedValue(outer, input.name, steps) : undefined
  }
  const origin = node.graph?.getNodeById?.(link.origin_id)
  return origin && steps ? outputValue(origin, link.origin_slot, steps) : undefined
}

/**
 * The value of an output, or undefined if it is computed in a run.
 * @param {ComfyNode} node
 * @param {number} slot
 * @param {number} steps left
 */
function outputValue(node, slot, steps) {
  if (node.type === 'Reroute') return inputValue(node, node.inputs?.[0]?.name ?? '', steps - 1)
  const widget = node.widgets?.[0]
  if (PRIMITIVES.includes(node.type ?? '') && widget) return watchedValue(node, widget.name, steps)
  // Only a layout node passes its width and height on unchanged.
  const name = node.type === 'IFAdapterLayout' ? node.outputs?.[slot]?.name : undefined
  return name === 'width' || name === 'height' ? watchedValue(node, name, steps) : undefined
}

/**
 * The value of an input. The editors follow its widget from now on.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {number} steps left
 */
function watchedValue(node, name, steps) {
  const widget = widgetOf(node, name)
  if (widget && !watched.has(widget)) {
    watched.add(widget)
    widget.callback = chained(widget.callback, () => forAll((editor) => editor.canvasChanged()))
  }
  return inputValue(node, name, steps - 1)
}

/**
 * Units of numbers in texts that state none, or null.
 * @param {ComfyNode} node
 */
export function unitsOf(node) {
  const value = widgetOf(node, 'units')?.value
  return typeof value === 'string' && value !== AS_WRITTEN ? value : null
}
