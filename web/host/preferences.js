// @ts-check
// Settings of an editor, kept with its node, and their defaults.

/** @type {Record<string, unknown>} */
const DEFAULTS = {
  snap: false,
  grid: 64, // px of the picture
  guides: true,
  thirds: false,
  dim: 0.5, // brightness of the background
  background: true,
  live: false,
  fill: 0.22, // opacity of the boxes
  words: 12 // px, of the descriptions in the boxes
}

/**
 * Reads a setting, or writes it if a value is given.
 * @param {ComfyNode} node
 * @param {string} name
 * @param {...unknown} value
 * @returns {any}
 */
export function preference(node, name, ...value) {
  if (value.length) node.setProperty?.(`editor_${name}`, value[0])
  return node.properties?.[`editor_${name}`] ?? DEFAULTS[name]
}
