// @ts-check
// Snapping of frames to a grid and to each other. Pure functions.

import { HANDLE_SIDES, between, moved, resized } from './layout_geometry.js'

/** @typedef {import('./layout_geometry.js').Frame} Frame */
/** @typedef {import('./layout_geometry.js').Handle} Handle */
/** @typedef {import('./layout_geometry.js').Point} Point */
/** @typedef {import('./layout_geometry.js').Size} Size */
/** @typedef {{ axis: 'x' | 'y', at: number }} Guide a vertical (x) or horizontal (y) alignment line */

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
