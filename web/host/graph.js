// @ts-check
// ComfyUI's graph: links, ids, undo, and events that the graph would not get.

import { app } from '../../../scripts/app.js'

export const SUBGRAPH_INPUT = '-10' // id of the node at which the inputs of a subgraph arrive
const IDLE_MS = 400

let waiting = 0 // timer of the next state for undo

/**
 * A callback that calls both, with the same arguments, and returns the first one's result.
 * @param {((...values: any[]) => unknown) | undefined} first
 * @param {(...values: any[]) => unknown} second
 * @returns {(...values: any[]) => unknown}
 */
export function chained(first, second) {
  return function (...values) {
    // @ts-expect-error: `this` is the host's node or widget
    const result = first?.apply(this, values)
    // @ts-expect-error: the same
    second.apply(this, values)
    return result
  }
}

/**
 * @param {ComfyNode} node
 * @param {string} name
 */
export function widgetOf(node, name) {
  return node.widgets?.find((widget) => widget.name === name)
}

/**
 * @param {ComfyNode} node
 * @param {string} name of an input
 */
export function slotOf(node, name) {
  return node.inputs?.findIndex((input) => input.name === name) ?? -1
}

/**
 * The link to an input, or null.
 * @param {ComfyNode} node
 * @param {number} slot
 * @returns {ComfyLink | null}
 */
export function linkOf(node, slot) {
  const id = node.inputs?.[slot]?.link ?? null
  if (id === null) return null
  return node.graph?.getLink?.(id) ?? node.graph?.links?.[id] ?? null
}

/**
 * The node that is linked to an input; null if it is out of reach, as beyond a subgraph's boundary; undefined
 * without a link.
 * @param {ComfyNode} node
 * @param {string} name of an input
 * @returns {ComfyNode | null | undefined}
 */
export function linkedNode(node, name) {
  const slot = slotOf(node, name)
  if (slot < 0 || (node.inputs?.[slot].link ?? null) === null) return undefined
  return node.getInputNode?.(slot) ?? null
}

/**
 * The node with an id of the server's, in which the ids of surrounding subgraph nodes come first, separated
 * by colons.
 * @param {unknown} id
 */
export function nodeOf(id) {
  /** @type {ComfyGraph | undefined} */
  let graph = app.rootGraph ?? app.graph
  /** @type {ComfyNode | null} */
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(part) ?? null
    graph = node?.subgraph
  }
  return node
}

/**
 * Records a state for the graph's undo. The frontend does so on mouse-up events, which the editor's gestures
 * stop.
 */
export function captureUndoState() {
  clearTimeout(waiting)
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
}

/** Records a state once nothing has changed for a while: typing is kept by a reload, too. */
export function captureUndoStateSoon() {
  clearTimeout(waiting)
  waiting = setTimeout(captureUndoState, IDLE_MS)
}

/**
 * Sends wheel and middle-button events to the graph, which does not get them from an element in the classic
 * renderer.
 * @param {MouseEvent} event
 */
export function forwardToGraph(event) {
  if (window.LiteGraph?.vueNodesMode) return
  const canvas = document.getElementById('graph-canvas')
  if (!canvas) return
  event.preventDefault()
  event.stopPropagation()
  const EventType = /** @type {typeof MouseEvent} */ (event.constructor)
  canvas.dispatchEvent(new EventType(event.type, event))
}
