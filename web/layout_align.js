// @ts-check
// Aligning and distributing several boxes. Pure functions.

import { bounds } from './layout_geometry.js'

/** @typedef {import('./layout_geometry.js').Frame} Frame */
/** @typedef {'left' | 'centre' | 'right' | 'top' | 'middle' | 'bottom'} Alignment */

/**
 * A frame moved to a side or to the middle of the group that it belongs to.
 * @template {Frame} T
 * @param {T} frame
 * @param {Frame} group the group's bounds
 * @param {Alignment} where
 * @returns {T}
 */
export function alignedTo(frame, group, where) {
  const x = { left: group.x, centre: group.x + (group.w - frame.w) / 2, right: group.x + group.w - frame.w }
  const y = { top: group.y, middle: group.y + (group.h - frame.h) / 2, bottom: group.y + group.h - frame.h }
  if (where in x) return { ...frame, x: x[/** @type {'left'} */ (where)] }
  return { ...frame, y: y[/** @type {'top'} */ (where)] }
}

/**
 * Frames with equal gaps between them on one axis; the outermost two stay.
 * @template {Frame} T
 * @param {T[]} frames
 * @param {'x' | 'y'} axis
 * @returns {T[]} in the given order
 */
export function distributed(frames, axis) {
  const side = axis === 'x' ? 'w' : 'h'
  const group = bounds(frames)
  const used = frames.reduce((sum, frame) => sum + frame[side], 0)
  const gap = frames.length > 1 ? (group[side] - used) / (frames.length - 1) : 0
  const order = [...frames].sort((a, b) => a[axis] - b[axis])
  /** @type {Map<T, number>} */
  const starts = new Map()
  let at = group[axis]
  for (const frame of order) {
    starts.set(frame, at)
    at += frame[side] + gap
  }
  return frames.map((frame) => ({ ...frame, [axis]: starts.get(frame) ?? frame[axis] }))
}
