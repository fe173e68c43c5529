// @ts-check
// Geometry of boxes and of groups of boxes, as fractions of the picture. Pure functions.

/**
 * Position and size as fractions of the picture (0..1), from its top left corner.
 * @typedef {{ x: number, y: number, w: number, h: number }} Frame
 */

/** @typedef {{ width: number, height: number }} Canvas in pixels */
/** @typedef {{ x: number, y: number }} Point position or distance, as fractions of the picture */
/** @typedef {{ w: number, h: number }} Size as fractions of the picture */
/** @typedef {{ x: number, y: number, w: number, h: number }} PixelFrame in pixels */
/** @typedef {'n' | 'ne' | 'e' | 'se' | 's' | 'sw' | 'w' | 'nw'} Handle direction of a side or corner */

export const MIN_SIDE_PX = 8
export const SIDES = /** @type {const} */ (['x', 'y', 'w', 'h'])

// Direction of each handle on the x and y axis: -1 left or top, 1 right or bottom, 0 not moved.
/** @type {Record<Handle, [number, number]>} */
export const HANDLE_SIDES = {
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
 * A frame with one number set in pixels, within the canvas: a position moves the frame, a length its right or
 * lower side. The other numbers stay exactly the same.
 * @param {Frame} frame
 * @param {keyof Frame} key
 * @param {number} value in pixels
 * @param {Canvas} canvas
 * @returns {Frame}
 */
export function withPixels({ x, y, w, h }, key, value, canvas) {
  const isAcross = key === 'x' || key === 'w'
  const [start, length, pixels] = isAcross ? [x, w, canvas.width] : [y, h, canvas.height]
  const isStart = key === 'x' || key === 'y'
  const [low, high] = isStart ? [0, 1 - length] : [1 / pixels, 1 - start]
  return { x, y, w, h, [key]: between(value / pixels, low, high) }
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
 * As `resized`, with the frame's proportions kept: a corner is scaled from the opposite corner, a side from
 * the middle of the opposite side.
 * @template {Frame} T
 * @param {T} frame
 * @param {Handle} handle
 * @param {number} dx
 * @param {number} dy
 * @param {Size} minimum
 * @returns {T}
 */
export function scaled(frame, handle, dx, dy, minimum) {
  const [across, down] = HANDLE_SIDES[handle]
  const wanted = Math.max(
    across ? 1 + (across * dx) / frame.w : -Infinity,
    down ? 1 + (down * dy) / frame.h : -Infinity
  )
  const least = Math.min(Math.max(minimum.w / frame.w, minimum.h / frame.h), 1)
  const room = Math.min(
    longest(frame.x, frame.w, across) / frame.w,
    longest(frame.y, frame.h, down) / frame.h
  )
  const factor = between(wanted, least, Math.max(room, least))
  const [w, h] = [frame.w * factor, frame.h * factor]
  const x = frame.x + ((frame.w - w) * (1 - across)) / 2
  const y = frame.y + ((frame.h - h) * (1 - down)) / 2
  return { ...frame, x, y, w, h }
}

/**
 * The largest length on one axis of `scaled`.
 * @param {number} start
 * @param {number} length
 * @param {number} side 1: the start stays; -1: the end stays; 0: the middle stays
 */
function longest(start, length, side) {
  if (side > 0) return 1 - start
  if (side < 0) return start + length
  return Math.min(2 * start + length, 2 - 2 * start - length)
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

// Helpers

/**
 * @param {number} value
 * @param {number} low
 * @param {number} high
 */
export function between(value, low, high) {
  return Math.min(Math.max(value, low), Math.max(low, high))
}
