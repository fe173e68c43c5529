// @ts-check
// The editors of the page and their nodes. An editor may be out of sight, as in a closed subgraph.

/** @typedef {import('../view/editor.js').LayoutEditor} LayoutEditor */

/** @type {WeakMap<HTMLElement, LayoutEditor>} */
const byRoot = new WeakMap()
/** @type {Set<WeakRef<LayoutEditor>>} */
const references = new Set() // weak: the host makes nodes that it never adds to a graph
/** @type {WeakMap<LayoutEditor, ComfyNode>} */
const nodes = new WeakMap()

/**
 * @param {LayoutEditor} editor
 * @param {ComfyNode} node whose layout it edits
 */
export function addEditor(editor, node) {
  byRoot.set(editor.root, editor)
  references.add(new WeakRef(editor))
  nodes.set(editor, node)
}

/**
 * Ends an editor: its node, or the face that it was on, is gone.
 * @param {LayoutEditor} editor
 */
export function endEditor(editor) {
  editor.destroy()
  byRoot.delete(editor.root)
  nodes.delete(editor)
}

/**
 * The editor of a node, or null.
 * @param {ComfyNode | null} node
 */
export function editorOf(node) {
  for (const widget of node?.widgets ?? []) {
    const editor = widget.element && byRoot.get(widget.element)
    if (editor) return editor
  }
  return null
}

/**
 * Calls a function with every editor whose node is in a graph, and with the node.
 * @param {(editor: LayoutEditor, node: ComfyNode) => void} act
 */
export function forAll(act) {
  for (const reference of [...references]) {
    const editor = reference.deref()
    const node = editor && nodes.get(editor)
    if (!node) references.delete(reference)
    else if (node.graph) act(editor, node)
  }
}

/** Renders every editor in the page. */
export function renderAll() {
  forAll((editor) => editor.render())
}
