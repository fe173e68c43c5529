// @ts-check
// Values of linked inputs, followed to where they stand: across reroutes and the borders of subgraphs.

import { outerNode } from '../descendants.js'
import { forAll } from '../editors.js'
import { SUBGRAPH_INPUT, chained, linkOf, slotOf, widgetOf } from '../graph.js'

const PRIMITIVES = [
  ...['PrimitiveNode', 'PrimitiveInt', 'PrimitiveFloat'],
  ...['PrimitiveString', 'PrimitiveStringMultiline']
]
const MOST_STEPS = 100 // of a chain of links
const MUTED = 2 // mode of a node that is left out of the run
const BYPASSED = 4 // mode of a node that passes its inputs on

/** @type {WeakSet<ComfyWidget>} */
const watched = new WeakSet() // widgets of other nodes that the editors follow

/**
 * The output whose value an input gets in a run: across reroutes, bypassed nodes and the borders of subgraphs.
 * null: none. undefined: not known.
 * @param {ComfyNode} node
 * @param {string} name of the input
 * @param {number} steps left
 * @returns {{ node: ComfyNode, slot: number } | null | undefined}
 */
export function sourceOf(node, name, steps = MOST_STEPS) {
  const slot = slotOf(node, name)
  const link = slot < 0 ? null : linkOf(node, slot)
  if (!link) return null
  if (!steps) return undefined
  if (String(link.origin_id) === SUBGRAPH_INPUT) {
    const outer = outerNode(node)
    const input = outer?.inputs?.[link.origin_slot]
    return outer && input ? sourceOf(outer, input.name, steps - 1) : undefined
  }
  const origin = node.graph?.getNodeById?.(link.origin_id)
  if (!origin) return undefined
  if (origin.mode === MUTED) return null
  const passed = passedInput(origin, link.origin_slot)
  if (passed) return sourceOf(origin, passed.name, steps - 1)
  return origin.mode === BYPASSED ? null : { node: origin, slot: link.origin_slot }
}

/**
 * The input whose value leaves at an output, if the node changes nothing.
 * @param {ComfyNode} node
 * @param {number} slot of the output
 */
function passedInput({ type, mode, inputs = [], outputs = [] }, slot) {
  if (type === 'Reroute') return inputs[0]
  if (mode !== BYPASSED) return undefined
  const same = inputs.filter((input) => input.type === outputs[slot]?.type)
  return same.find((input) => input === inputs[slot]) ?? same[0]
}

/**
 * The value of an input, or undefined if it is computed in a run.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {number} steps left
 * @returns {unknown}
 */
export function inputValue(node, name, steps = MOST_STEPS) {
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
export function outputValue(node, slot, steps = MOST_STEPS) {
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
