// @ts-check
// Layouts: their boxes and every change to them. Pure functions: no page, no ComfyUI, inputs stay
// unchanged.

import { between, clamp, intersection, moved, overlap, toPixels } from './layout_geometry.js'

/** @typedef {import('./layout_geometry.js').Canvas} Canvas */
/** @typedef {import('./layout_geometry.js').Frame} Frame */
/** @typedef {import('./layout_geometry.js').Point} Point */

/**
 * One instance: a frame and its local description. Unknown keys of a stored layout are kept.
 * @typedef {object} Box
 * @property {string} id unique within the layout; editor only
 * @property {number} x left edge, 0..1
 * @property {number} y top edge, 0..1
 * @property {number} w width, 0..1
 * @property {number} h height, 0..1
 * @property {string} caption local description
 * @property {number} strength of the adapter in this box; 1 as trained, 0 off
 * @property {string} color #rrggbb; editor only
 * @property {boolean} locked not moved by the mouse or by keys; editor only
 * @property {boolean} hidden neither shown nor part of a run
 */

/**
 * The whole layout. Unknown keys of a stored layout are kept.
 * @typedef {object} Layout
 * @property {number} [version] of the format
 * @property {string} caption global caption
 * @property {Box[]} boxes from back to front
 */

/** @typedef {'front' | 'forward' | 'backward' | 'back'} DepthMove */

export { toPixels } from './layout_geometry.js'

export const MAX_BOXES = 100
// White space, control characters and characters without a glyph (Unicode: default ignorable).
const INVISIBLE = /^[\s\p{Cc}\p{Default_Ignorable_Code_Point}\ufff9-\ufffb]*$/u

// After Okabe and Ito (2008), safe for colour-blind users. The previews of the nodes use the same colours.
export const COLORS = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#4c82db', '#d55e00', '#cc79a7', '#aaaaaa']

/**
 * A value that is not a valid layout. The message is for the user: it names the box, what was given and what
 * is expected.
 */
export class LayoutError extends Error {}

/**
 * @param {Set<string>} taken
 * @param {{ id?: unknown }[]} boxes whose ids are taken as well
 */
export function newId(taken, boxes = []) {
  const known = new Set([...taken, ...boxes.map((box) => box.id)])
  let number = 1
  while (known.has(`box${number}`)) number += 1
  return `box${number}`
}

/**
 * The boxes that are not hidden.
 * @param {Layout} layout
 */
export function visible(layout) {
  return layout.boxes.filter((box) => !box.hidden)
}

/**
 * Whether a text has no visible character.
 * @param {string} text
 */
export function isBlank(text) {
  return INVISIBLE.test(text)
}

/**
 * Ids of the visible boxes without a caption, which a run rejects.
 * @param {Layout} layout
 */
export function withoutCaption(layout) {
  return visible(layout)
    .filter((box) => isBlank(box.caption))
    .map((box) => box.id)
}
// Changes: each returns a new layout

/**
 * A layout with some of its boxes edited.
 * @param {Layout} layout
 * @param {string[]} ids
 * @param {(box: Box) => Partial<Box>} edit returns the changed keys
 * @returns {Layout}
 */
export function change(layout, ids, edit) {
  const chosen = new Set(ids)
  return {
    ...layout,
    boxes: layout.boxes.map((box) => (chosen.has(box.id) ? { ...box, ...edit(box) } : box))
  }
}

/**
 * Adds boxes in front of all others, with new ids.
 * @param {Layout} layout
 * @param {(Frame & Partial<Box>)[]} parts missing keys get defaults
 * @returns {{ layout: Layout, ids: string[] }} ids: those of the new boxes
 */
export function add(layout, parts) {
  if (layout.boxes.length + parts.length > MAX_BOXES)
    throw new LayoutError(`At most ${MAX_BOXES} boxes are supported.`)
  const boxes = [...layout.boxes]
  /** @type {string[]} */
  const ids = []
  for (const part of parts) {
    const id = newId(new Set(boxes.map((box) => box.id)))
    const color = isColor(part.color) ? part.color : leastUsedColor(boxes)
    boxes.push(clamp({ caption: '', strength: 1, locked: false, hidden: false, ...part, id, color }))
    ids.push(id)
  }
  return { layout: { ...layout, boxes }, ids }
}

/**
 * @param {Layout} layout
 * @param {string[]} ids
 * @returns {Layout}
 */
export function remove(layout, ids) {
  const gone = new Set(ids)
  return { ...layout, boxes: layout.boxes.filter((box) => !gone.has(box.id)) }
}

/**
 * A layout with linked boxes in place of its own. As many visible boxes as linked ones give them their
 * captions and strengths; else linked boxes without a caption get those of the visible box at the same position.
 * @param {Layout} layout
 * @param {Box[]} linked
 * @returns {Layout}
 */
export function takenOver(layout, linked) {
  const own = visible(layout)
  const boxes = linked.map((box, index) => {
    const given = own[index]
    if (!given || (box.caption && own.length !== linked.length)) return box
    return { ...box, caption: given.caption || box.caption, strength: given.strength }
  })
  return { ...layout, boxes }
}

/**
 * Adds copies of boxes in front of all others.
 * @param {Layout} layout
 * @param {string[]} ids
 * @param {Point} by offset of the copies, up to the canvas's edges
 * @returns {{ layout: Layout, ids: string[] }} ids: those of the copies
 */
export function duplicate(layout, ids, by) {
  const chosen = new Set(ids)
  const copies = layout.boxes
    .filter((box) => chosen.has(box.id))
    .map((box) => ({ ...moved(box, by.x, by.y), locked: false, color: undefined }))
  return add(layout, copies)
}

/**
 * Moves boxes in depth. The moved boxes keep their relative order.
 * @param {Layout} layout
 * @param {string[]} ids
 * @param {DepthMove} where
 * @returns {Layout}
 */
export function reorder(layout, ids, where) {
  const chosen = new Set(ids)
  const boxes = [...layout.boxes]
  if (where === 'front' || where === 'back') {
    const moving = boxes.filter((box) => chosen.has(box.id))
    const staying = boxes.filter((box) => !chosen.has(box.id))
    return { ...layout, boxes: where === 'front' ? [...staying, ...moving] : [...moving, ...staying] }
  }
  const step = where === 'forward' ? 1 : -1
  const positions = boxes.map((_, index) => index)
  for (const index of step > 0 ? positions.reverse() : positions) {
    const next = index + step
    if (chosen.has(boxes[index].id) && boxes[next] && !chosen.has(boxes[next].id)) {
      ;[boxes[index], boxes[next]] = [boxes[next], boxes[index]]
    }
  }
  return { ...layout, boxes }
}

/**
 * Moves one box to a position in the order; 0 is the back.
 * @param {Layout} layout
 * @param {string} id
 * @param {number} position
 * @returns {Layout}
 */
export function moveTo(layout, id, position) {
  const box = layout.boxes.find((other) => other.id === id)
  const rest = layout.boxes.filter((other) => other.id !== id)
  const at = between(position, 0, rest.length)
  if (!box) return layout
  return { ...layout, boxes: [...rest.slice(0, at), box, ...rest.slice(at)] }
}

/**
 * The frame for a new box, a third of the canvas wide and high: the candidate with the smallest overlap with
 * visible boxes.
 * @param {Layout} layout
 * @returns {Frame}
 */
export function freePlace(layout) {
  const side = 1 / 3
  const steps = [0.5, 0.25, 0.75, 0, 1].map((part) => part * (1 - side)) // the centre first: it wins ties
  const candidates = steps.flatMap((y) => steps.map((x) => ({ x, y, w: side, h: side })))
  /** @param {Frame} frame */
  const overlapArea = (frame) =>
    visible(layout).reduce((sum, box) => {
      if (!overlap(frame, box)) return sum
      const { w, h } = intersection(frame, box)
      return sum + w * h
    }, 0)
  return candidates.reduce((best, frame) => (overlapArea(frame) < overlapArea(best) - 1e-9 ? frame : best))
}

/**
 * The colour of the palette that the fewest boxes have.
 * @param {Box[]} boxes
 */
function leastUsedColor(boxes) {
  /** @param {string} color */
  const uses = (color) => boxes.filter((box) => box.color === color).length
  return COLORS.reduce((best, color) => (uses(color) < uses(best) ? color : best))
}

// Words

/**
 * A text with values in place of their names in braces.
 * @param {string} text
 * @param {Record<string, string | number>} [values] by name
 */
export function filled(text, values = {}) {
  return text.replace(/\{(\w+)\}/g, (whole, name) => String(values[name] ?? whole))
}

/**
 * A box in words, for screen readers: "Box 2: red cat, 120, 80, 300 x 400 pixels, locked".
 * @param {Layout} layout
 * @param {string} id
 * @param {Canvas} canvas
 * @param {typeof filled} [t] translates texts
 */
export function describe(layout, id, canvas, t = filled) {
  const index = layout.boxes.findIndex((box) => box.id === id)
  const box = layout.boxes[index]
  const { x, y, w, h } = toPixels(box, canvas)
  const caption = isBlank(box.caption) ? t('no caption') : box.caption.trim()
  return [
    t('Box {number}: {caption}', { number: index + 1, caption }),
    `${x}, ${y}`,
    t('{w} x {h} pixels', { w, h }),
    ...(box.locked ? [t('locked')] : []),
    ...(box.hidden ? [t('hidden')] : [])
  ].join(', ')
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
export function isColor(value) {
  return typeof value === 'string' && /^#[0-9a-f]{6}$/i.test(value)
}
