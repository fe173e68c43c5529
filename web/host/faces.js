// @ts-check
// Editors on the faces of subgraph nodes. The frontend gives a promoted widget a value of its own there, but
// draws none that has an element: this module adds an editor that works on that value.

import { LayoutEditor } from '../view/editor.js'
import { addEditor, endEditor } from './editors.js'
import { chained } from './graph.js'

/**
 * An editor on the face of a subgraph node. widget: the promoted one, with the value. own: draws the editor.
 * @typedef {{ widget: ComfyWidget, editor: LayoutEditor, own: ComfyWidget }} Face
 */

const FACE = 'layout_face' // name of the widget that draws the editor
const MIN_HEIGHT = 340 // px

/** @type {WeakMap<ComfyNode, Face>} */
const faces = new WeakMap() // by subgraph node

/**
 * Adds the missing editors to the subgraph nodes of a graph, and removes those whose input is gone.
 * @param {ComfyGraph | undefined} root
 * @param {string} type start of the type of the editor's widget
 * @param {(node: ComfyNode) => EditorHost} hostOf the host of a layout node
 */
export function showFaces(root, type, hostOf) {
  for (const graph of root ? [root, ...(root.subgraphs?.values() ?? [])] : []) {
    for (const node of graph._nodes ?? []) {
      if (!node.subgraph) continue
      const widget = node.widgets?.find((each) => each.type?.startsWith(type) && each.name !== FACE)
      const known = faces.get(node)
      if (known && known.widget !== widget) remove(node, known)
      if (widget && known?.widget !== widget) add(node, widget, hostOf)
    }
  }
}

/**
 * @param {ComfyNode} node with the subgraph
 * @param {ComfyWidget} widget
 * @param {(node: ComfyNode) => EditorHost} hostOf
 */
function add(node, widget, hostOf) {
  const inner = sourceOf(node, widget)
  if (!inner) return
  const host = hostOf(inner)
  const changed = () => {
    widget.value = editor.value
    host.changed()
  }
  const editor = new LayoutEditor({ ...host, changed })
  addEditor(editor, inner)
  editor.value = widget.value
  widget.hidden = true // drawn by `own` in its place
  const property = Object.getOwnPropertyDescriptor(widget, 'options')
  if (property?.writable || property?.set)
    // older frontends share the options with the widget inside
    widget.options = { ...widget.options, canvasOnly: true, hidden: true }
  const own = node.addDOMWidget(FACE, FACE, editor.root, {
    getValue: () => '',
    setValue: () => {},
    getMinHeight: () => MIN_HEIGHT,
    hideOnZoom: false,
    serialize: false
  })
  own.serialize = false
  faces.set(node, { widget, editor, own })
  node.onRemoved = chained(node.onRemoved, () => endEditor(editor))
  node.setDirtyCanvas?.(true, true)
}

/**
 * @param {ComfyNode} node
 * @param {Face} face
 */
function remove(node, { editor, own }) {
  faces.delete(node)
  endEditor(editor)
  editor.root.remove()
  if (node.widgets?.includes(own)) {
    own.onRemove?.()
    node.widgets.splice(node.widgets.indexOf(own), 1)
  }
}

/**
 * The layout node inside a subgraph whose widget is promoted.
 * @param {ComfyNode} node
 * @param {ComfyWidget} widget
 */
function sourceOf({ inputs, subgraph }, widget) {
  const slot = inputs?.findIndex((input) => input.widget?.name === widget.name) ?? -1
  for (const id of subgraph?.inputs?.[slot]?.linkIds ?? []) {
    const link = subgraph?.getLink?.(id) ?? subgraph?.links?.[id]
    const found = link && subgraph?.getNodeById?.(link.target_id)
    if (found) return found
  }
  return null
}
