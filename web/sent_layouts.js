// @ts-check
// The layouts that runs got, for the results of runs that wait for their turn. No page, no ComfyUI.

import { readLayout } from './layout_formats.js'

/** @typedef {import('./layout_geometry.js').Canvas} Canvas */
/** @typedef {import('./layout_model.js').Layout} Layout */

const MOST = 100 // layouts that are kept

export class SentLayouts {
  constructor() {
    /** @type {Map<string, Layout>} */
    this.byText = new Map() // the last one is the newest
  }

  /**
   * @param {string} text that a run gets
   * @param {Layout} layout
   */
  keep(text, layout) {
    this.byText.delete(text)
    this.byText.set(text, layout)
    for (const oldest of [...this.byText.keys()].slice(0, -MOST)) this.byText.delete(oldest)
  }

  /**
   * The layout of a run, by the text that the run got. A text that was not sent here is read.
   * @param {string | undefined} text undefined: the newest run's
   * @param {Layout} otherwise if the text cannot be read and nothing was sent
   * @param {Canvas} canvas for formats in pixels
   * @returns {Layout}
   */
  find(text, otherwise, canvas) {
    const newest = [...this.byText.values()].at(-1) ?? otherwise
    if (text === undefined) return newest
    try {
      return this.byText.get(text) ?? readLayout(text, canvas).layout
    } catch {
      return newest
    }
  }
}
