// @ts-check
// The grid, the composition guides, and the lines that the moving box is snapped to.

import { svgElement } from '../dom.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */

const LEAST_GRID_PX = 2 // a finer grid is not drawn

/**
 * @param {'x' | 'y'} axis x: a vertical line
 * @param {number} at
 * @param {string} name class
 */
function line(axis, at, name) {
  return axis === 'x'
    ? svgElement('line', { x1: at, y1: 0, x2: at, y2: 1, class: name })
    : svgElement('line', { x1: 0, y1: at, x2: 1, y2: at, class: name })
}

export class Lines {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    const unitSquare = { preserveAspectRatio: 'none', viewBox: '0 0 1 1' }
    this.root = svgElement('svg', { class: 'ifa-lines', 'aria-hidden': 'true', ...unitSquare })
  }

  render() {
    const { host, gestures, gridPx, gridStep } = this.editor
    const shapes = []
    if (host.preference('snap') && gridPx >= LEAST_GRID_PX) {
      for (const axis of /** @type {const} */ (['x', 'y'])) {
        for (let at = gridStep[axis]; at < 1 - 1e-9; at += gridStep[axis])
          shapes.push(line(axis, at, 'ifa-grid-line'))
      }
    }
    if (host.preference('thirds')) {
      for (const at of [1 / 3, 1 / 2, 2 / 3])
        shapes.push(line('x', at, 'ifa-thirds'), line('y', at, 'ifa-thirds'))
      shapes.push(svgElement('line', { x1: 0, y1: 0, x2: 1, y2: 1, class: 'ifa-thirds' }))
      shapes.push(svgElement('line', { x1: 0, y1: 1, x2: 1, y2: 0, class: 'ifa-thirds' }))
    }
    for (const { axis, at } of gestures.guides) shapes.push(line(axis, at, 'ifa-guide'))
    this.root.replaceChildren(...shapes)
  }
}
