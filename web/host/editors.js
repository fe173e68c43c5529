// @ts-check
// The editors of the page, by their root element.

/** @typedef {import('../view/editor.js').LayoutEditor} LayoutEditor */

/** @type {WeakMap<HTMLElement, LayoutEditor>} */
const editors = new WeakMap()

/** @param {LayoutEditor} editor */
export function addEditor(editor) {
  editors.set(editor.root, editor)
}

/**
 * The editor of a node, or null.
 * @param {ComfyNode | null} node
 */
export function editorOf(node) {
  const element = node?.widgets?.find((widget) => widget.element && editors.has(widget.element))?.element
  return element ? (editors.get(element) ?? null) : null
}

/**
 * Calls a function with every editor in the page.
 * @param {(editor: LayoutEditor) => void} act
 */
export function forAll(act) {
  for (const root of document.querySelectorAll('.ifa-editor')) {
    const editor = editors.get(/** @type {HTMLElement} */ (root))
    if (editor) act(editor)
  }
}

/** Renders every editor in the page. */
export function renderAll() {
  forAll((editor) => editor.render())
}
