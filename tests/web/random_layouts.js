// Random layouts from fixed seeds, for property tests.

import * as geometry from '../../web/layout_geometry.js'
import * as model from '../../web/layout_model.js'

export const CANVAS = { width: 1000, height: 500 }
export const MINIMUM = geometry.minSides(CANVAS)
const RUNS = 300

/** A generator of numbers in 0..1, deterministic by seed. */
export function random(seed) {
  let state = seed * 2654435761 + 1
  return () => {
    state = (Math.imul(state ^ (state >>> 15), 1 | state) + 0x6d2b79f5) | 0
    const mixed = Math.imul(state ^ (state >>> 7), 61 | state) ^ state
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4294967296
  }
}

export function frame(next) {
  const w = MINIMUM.w + next() * (1 - MINIMUM.w)
  const h = MINIMUM.h + next() * (1 - MINIMUM.h)
  return { x: next() * (1 - w), y: next() * (1 - h), w, h }
}

export function layout(next, count = Math.floor(next() * 6) + 1) {
  const parts = Array.from({ length: count }, (_, index) => ({
    ...frame(next),
    caption: next() < 0.2 ? '' : `thing ${index}`,
    hidden: next() < 0.2,
    locked: next() < 0.2
  }))
  return model.add({ version: 1, caption: 'a picture', boxes: [] }, parts).layout
}

export function forMany(property) {
  for (let seed = 1; seed <= RUNS; seed += 1) property(random(seed), seed)
}

export const near = (a, b) => Math.abs(a - b) < 1e-9
export const same = (a, b) => ['x', 'y', 'w', 'h'].every((key) => near(a[key], b[key]))
export const inside = (box) =>
  box.x >= -1e-12 && box.y >= -1e-12 && box.x + box.w <= 1 + 1e-9 && box.y + box.h <= 1 + 1e-9
