// @ts-check
// The editor's data model: layouts, geometry and history. Pure functions: no page, no ComfyUI, inputs stay
// unchanged.

/**
 * Position and size as fractions of the picture (0..1), from its top left corner.
 * @typedef {{ x: number, y: number, w: number, h: number }} Frame
 */

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

/** @typedef {{ width: number, height: number }} Canvas in pixels */
/** @typedef {{ x: number, y: number }} Point position or distance, as fractions of the picture */
/** @typedef {{ w: number, h: number }} Size as fractions of the picture */
/** @typedef {{ x: number, y: number, w: number, h: number }} PixelFrame in pixels */
/** @typedef {'n' | 'ne' | 'e' | 'se' | 's' | 'sw' | 'w' | 'nw'} Handle direction of a side or corner */
/** @typedef {{ axis: 'x' | 'y', at: number }} Guide a vertical (x) or horizontal (y) alignment line */
/** @typedef {'front' | 'forward' | 'backward' | 'back'} DepthMove */

export const MIN_SIDE_PX = 8
export const MAX_BOXES = 100
export const HISTORY_STEPS = 100

// After Okabe and Ito (2008), safe for colour-blind users. The previews of the nodes use the same colours.
export const COLORS = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#4c82db', '#d55e00', '#cc79a7', '#aaaaaa']

// Direction of each handle on the x and y axis: -1 left or top, 1 right or bottom, 0 not moved.
/** @type {Record<Handle, [number, number]>} */
const HANDLE_SIDES = {
  n: [0, -1],
  ne: [1, -1],
  e: [1, 0],
  se: [1, 1],
  s: [0, 1],
  sw: [-1, 1],
  w: [-1, 0],
  nw: [-1, -1]
}
export const HANDLES = /** @type {Handle[]} */ (Object.keys(HANDLE_SIDES))

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

// Pixels

/**
 * @param {Frame} frame
 * @param {Canvas} canvas
 * @returns {PixelFrame}
 */
export function toPixels({ x, y, w, h }, canvas) {
  const [left, top] = [Math.round(x * canvas.width), Math.round(y * canvas.height)]
  return {
    x: left,
    y: top,
    w: Math.round((x + w) * canvas.width) - left,
    h: Math.round((y + h) * canvas.height) - top
  }
}

/**
 * @param {PixelFrame} frame
 * @param {Canvas} canvas
 * @returns {Frame}
 */
export function fromPixels({ x, y, w, h }, canvas) {
  return { x: x / canvas.width, y: y / canvas.height, w: w / canvas.width, h: h / canvas.height }
}

/**
 * The smallest width and height of a box.
 * @param {Canvas} canvas
 * @returns {Size}
 */
export function minSides(canvas) {
  return { w: Math.min(MIN_SIDE_PX / canvas.width, 1), h: Math.min(MIN_SIDE_PX / canvas.height, 1) }
}

// Frames: geometry of boxes and of groups of boxes

/**
 * The smallest frame around all frames.
 * @param {Frame[]} frames
 * @returns {Frame}
 */
export function bounds(frames) {
  const x = Math.min(...frames.map((frame) => frame.x))
  const y = Math.min(...frames.map((frame) => frame.y))
  const right = Math.max(...frames.map((frame) => frame.x + frame.w))
  const bottom = Math.max(...frames.map((frame) => frame.y + frame.h))
  return { x, y, w: right - x, h: bottom - y }
}

/**
 * The frame moved into the canvas; shrunk only if it is larger than the canvas.
 * @template {Frame} T
 * @param {T} frame
 * @returns {T}
 */
export function clamp(frame) {
  const [w, h] = [Math.min(frame.w, 1), Math.min(frame.h, 1)]
  return { ...frame, w, h, x: between(frame.x, 0, 1 - w), y: between(frame.y, 0, 1 - h) }
}

/**
 * The frame between two opposite corners in any order, cut at the canvas.
 * @param {Point} from
 * @param {Point} to
 * @returns {Frame}
 */
export function spanned(from, to) {
  const [x0, x1] = [from.x, to.x].map((value) => between(value, 0, 1)).sort((a, b) => a - b)
  const [y0, y1] = [from.y, to.y].map((value) => between(value, 0, 1)).sort((a, b) => a - b)
  return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
}

/**
 * A frame moved by dx, dy, up to the canvas's edges.
 * @template {Frame} T
 * @param {T} frame
 * @param {number} dx
 * @param {number} dy
 * @returns {T}
 */
export function moved(frame, dx, dy) {
  return { ...frame, x: between(frame.x + dx, 0, 1 - frame.w), y: between(frame.y + dy, 0, 1 - frame.h) }
}

/**
 * A frame with one side or corner moved by dx, dy; the opposite one stays.
 * @template {Frame} T
 * @param {T} frame
 * @param {Handle} handle
 * @param {number} dx
 * @param {number} dy
 * @param {Size} minimum
 * @returns {T}
 */
export function resized(frame, handle, dx, dy, minimum) {
  const [across, down] = HANDLE_SIDES[handle]
  const [x, w] = stretched(frame.x, frame.w, across, dx, minimum.w)
  const [y, h] = stretched(frame.y, frame.h, down, dy, minimum.h)
  return { ...frame, x, y, w, h }
}

/**
 * One axis of `resized`.
 * @param {number} start
 * @param {number} length
 * @param {number} side 1: the end moves; -1: the start moves; 0: neither
 * @param {number} delta
 * @param {number} minimum length
 * @returns {[number, number]} start and length
 */
function stretched(start, length, side, delta, minimum) {
  const end = start + length
  if (side > 0) return [start, between(end + delta, Math.min(start + minimum, 1), 1) - start]
  if (side < 0) {
    const low = between(start + delta, 0, Math.max(end - minimum, 0))
    return [low, end - low]
  }
  return [start, length]
}

/**
 * A member of a group, moved and scaled with the group.
 * @template {Frame} T
 * @param {T} frame
 * @param {Frame} from the group's bounds before
 * @param {Frame} to the group's bounds after
 * @returns {T}
 */
export function movedWithGroup(frame, from, to) {
  const [across, down] = [to.w / from.w, to.h / from.h]
  return {
    ...frame,
    x: to.x + (frame.x - from.x) * across,
    y: to.y + (frame.y - from.y) * down,
    w: frame.w * across,
    h: frame.h * down
  }
}

/**
 * Whether the intersection of two frames has an area.
 * @param {Frame} a
 * @param {Frame} b
 */
export function overlap(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/**
 * The intersection of two overlapping frames.
 * @param {Frame} a
 * @param {Frame} b
 * @returns {Frame}
 */
export function intersection(a, b) {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)]
  return { x, y, w: Math.min(a.x + a.w, b.x + b.w) - x, h: Math.min(a.y + a.h, b.y + b.h) - y }
}

// Snapping

/**
 * A frame with its moving edges snapped to a grid.
 * @template {Frame} T
 * @param {T} frame
 * @param {Handle | 'move'} handle 'move' moves the whole frame
 * @param {Point} step of the grid
 * @param {Size} minimum
 * @returns {T}
 */
export function snappedToGrid(frame, handle, step, minimum) {
  /** @param {number} value @param {number} size */
  const nearest = (value, size) => between(Math.round(value / size) * size, 0, 1)
  if (handle === 'move')
    return moved(frame, nearest(frame.x, step.x) - frame.x, nearest(frame.y, step.y) - frame.y)
  const [across, down] = HANDLE_SIDES[handle]
  const edgeX = across > 0 ? frame.x + frame.w : frame.x
  const edgeY = down > 0 ? frame.y + frame.h : frame.y
  return resized(frame, handle, nearest(edgeX, step.x) - edgeX, nearest(edgeY, step.y) - edgeY, minimum)
}

/**
 * A frame with its moving edges and centre snapped to the edges and centres of other frames and of the
 * canvas.
 * @template {Frame} T
 * @param {T} frame
 * @param {Handle | 'move'} handle 'move' moves the whole frame
 * @param {Frame[]} others
 * @param {Point} reach largest distance to snap
 * @param {Size} minimum
 * @returns {{ frame: T, guides: Guide[] }} guides: the lines that the frame was snapped to
 */
export function aligned(frame, handle, others, reach, minimum) {
  const canvas = { x: 0, y: 0, w: 1, h: 1 }
  /** @type {Guide[]} */
  const guides = []
  const delta = { x: 0, y: 0 }
  for (const [axis, side, index] of /** @type {const} */ ([
    ['x', 'w', 0],
    ['y', 'h', 1]
  ])) {
    const lines = [canvas, ...others].flatMap((other) => [
      other[axis],
      other[axis] + other[side] / 2,
      other[axis] + other[side]
    ])
    const [start, centre, end] = [frame[axis], frame[axis] + frame[side] / 2, frame[axis] + frame[side]]
    const direction = handle === 'move' ? null : HANDLE_SIDES[handle][index]
    const own =
      direction === null ? [start, centre, end] : direction < 0 ? [start] : direction > 0 ? [end] : []
    const pairs = own.flatMap((from) => lines.map((to) => ({ to, by: to - from })))
    const best = pairs.sort((a, b) => Math.abs(a.by) - Math.abs(b.by))[0]
    if (best && Math.abs(best.by) <= reach[axis]) {
      delta[axis] = best.by
      guides.push({ axis, at: best.to })
    }
  }
  const result =
    handle === 'move' ? moved(frame, delta.x, delta.y) : resized(frame, handle, delta.x, delta.y, minimum)
  return { frame: result, guides }
}

// Hit tests and overlaps

/**
 * Ids of the visible boxes under a point, front first.
 * @param {Layout} layout
 * @param {number} x
 * @param {number} y
 */
export function boxesAt(layout, x, y) {
  const under = visible(layout).filter(
    (box) => x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h
  )
  return under.map((box) => box.id).reverse()
}

/**
 * The id of the box under a point that is next below the given one, cyclically; null if there is none.
 * @param {Layout} layout
 * @param {number} x
 * @param {number} y
 * @param {string | null} id
 */
export function boxBelow(layout, x, y, id) {
  const under = boxesAt(layout, x, y)
  return under.length ? under[(under.indexOf(id ?? '') + 1) % under.length] : null
}

/**
 * Ids of the visible boxes that overlap a frame.
 * @param {Layout} layout
 * @param {Frame} frame
 */
export function boxesIn(layout, frame) {
  return visible(layout)
    .filter((box) => overlap(box, frame))
    .map((box) => box.id)
}

/**
 * Index pairs [a, b], a < b, of the visible boxes that overlap.
 * @param {Layout} layout
 */
export function overlappingPairs({ boxes }) {
  /** @type {[number, number][]} */
  const pairs = []
  for (let a = 0; a < boxes.length; a += 1) {
    for (let b = a + 1; b < boxes.length && !boxes[a].hidden; b += 1) {
      if (!boxes[b].hidden && overlap(boxes[a], boxes[b])) pairs.push([a, b])
    }
  }
  return pairs
}

/**
 * The numbers of the boxes that each box overlaps, by its id. Numbers count from 1 at the back. Hidden boxes
 * are ignored.
 * @param {Layout} layout
 */
export function overlaps(layout) {
  /** @type {Map<string, number[]>} */
  const found = new Map(layout.boxes.map((box) => [box.id, []]))
  for (const [a, b] of overlappingPairs(layout)) {
    found.get(layout.boxes[a].id)?.push(b + 1)
    found.get(layout.boxes[b].id)?.push(a + 1)
  }
  for (const numbers of found.values()) numbers.sort((a, b) => a - b)
  return found
}

/**
 * Ids of the visible boxes without a caption, which a run rejects.
 * @param {Layout} layout
 */
export function withoutCaption(layout) {
  return visible(layout)
    .filter((box) => !box.caption.trim())
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
 * A layout with linked boxes in place of its own. A linked box without a caption gets the caption and
 * strength of the visible box at the same position.
 * @param {Layout} layout
 * @param {Box[]} linked
 * @returns {Layout}
 */
export function takenOver(layout, linked) {
  const own = visible(layout)
  const boxes = linked.map((box, index) => {
    if (box.caption || !own[index]) return box
    return { ...box, caption: own[index].caption, strength: own[index].strength }
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

// History

/** Undo and redo. Consecutive changes with the same key, such as typing, are one step. */
export class History {
  /** @param {Layout} layout */
  constructor(layout) {
    /** @type {Layout[]} */
    this.past = []
    this.present = layout
    /** @type {Layout[]} */
    this.future = []
    /** @type {string | null} */
    this.key = null
  }

  get canUndo() {
    return this.past.length > 0
  }

  get canRedo() {
    return this.future.length > 0
  }

  /**
   * Records a new state. No-op if it equals the present one.
   * @param {Layout} layout
   * @param {string | null} key
   */
  record(layout, key = null) {
    if (JSON.stringify(layout) === JSON.stringify(this.present)) return
    if (key === null || key !== this.key) this.past = [...this.past, this.present].slice(-HISTORY_STEPS)
    this.present = layout
    this.future = []
    this.key = key
  }

  /** Ends the step: the next change starts a new one, even with the same key. */
  close() {
    this.key = null
  }

  undo() {
    if (!this.canUndo) return this.present
    this.future = [this.present, ...this.future]
    this.present = this.past[this.past.length - 1]
    this.past = this.past.slice(0, -1)
    this.key = null
    return this.present
  }

  redo() {
    if (!this.canRedo) return this.present
    this.past = [...this.past, this.present]
    ;[this.present, ...this.future] = this.future
    this.key = null
    return this.present
  }
}

// Words

/**
 * A box in words, for screen readers: "Box 2: red cat, 120, 80, 300 x 400 pixels, locked".
 * @param {Layout} layout
 * @param {string} id
 * @param {Canvas} canvas
 */
export function describe(layout, id, canvas) {
  const index = layout.boxes.findIndex((box) => box.id === id)
  const box = layout.boxes[index]
  const { x, y, w, h } = toPixels(box, canvas)
  const states = /** @type {const} */ (['locked', 'hidden']).filter((state) => box[state])
  return [
    `Box ${index + 1}: ${box.caption.trim() || 'no caption'}`,
    `${x}, ${y}`,
    `${w} x ${h} pixels`,
    ...states
  ].join(', ')
}

// Helpers

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
function between(value, low, high) {
  return Math.min(Math.max(value, low), Math.max(low, high))
}

/**
 * @param {unknown} value
 * @returns {value is string}
 */
export function isColor(value) {
  return typeof value === 'string' && /^#[0-9a-f]{6}$/i.test(value)
}
