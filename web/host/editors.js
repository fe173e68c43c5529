// @ts-check
// The editors of the page, by their root element.

/** @typedef {import('../view/editor.js').LayoutEditor} LayoutEditor */

/** @type {WeakMap<HTMLElement, { editor: LayoutEditor, node: ComfyNode }>} */
const editors = new WeakMap()

/**
 * @param {LayoutEditor} editor
 * @param {ComfyNode} node
 */
export function addEditor(editor, node) {
  editors.set(editor.root, { editor, node })
}

/**
 * The editor of a node, or null.
 * @param {ComfyNode | null} node
 */
export function editorOf(node) {
  const element = node?.widgets?.find((widget) => widget.element && editors.has(widget.element))?.element
  return element ? (editors.get(element)?.editor ?? null) : null
}

/**
 * Calls a function with every editor in the page and its node.
 * @param {(editor: LayoutEditor, node: ComfyNode) => void} act
 */
export function forAll(act) {
  for (const root of document.querySelectorAll('.ifa-editor')) {
    const found = editors.get(/** @type {HTMLElement} */ (root))
    if (found) act(found.editor, found.node)
  }
}

/** Renders every editor in the page. */
export function renderAll() {
  forAll((editor) => editor.render())
}
