// @ts-check
// Which boxes lie at a point, in a frame or over each other. Hidden boxes are ignored.

import { overlap } from './layout_geometry.js'
import { visible } from './layout_model.js'

/** @typedef {import('./layout_geometry.js').Frame} Frame */
/** @typedef {import('./layout_model.js').Layout} Layout */

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
