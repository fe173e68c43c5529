// @ts-check
// Undo and redo of layouts.

/** @typedef {import('./layout_model.js').Layout} Layout */

export const HISTORY_STEPS = 100

const KEPT_HISTORIES = 40

/** @type {Map<string, History>} */
const kept = new Map() // of editors that are gone, by the text of the layout that they showed

/**
 * Keeps the history of an editor that ComfyUI removes, such as by opening another workflow.
 * @param {string} text of the layout
 * @param {History} history
 */
export function keepHistory(text, history) {
  if (!history.canUndo && !history.canRedo) return
  kept.delete(text)
  kept.set(text, history)
  for (const oldest of [...kept.keys()].slice(0, -KEPT_HISTORIES)) kept.delete(oldest)
}

/**
 * A copy of the history that ended with a layout's text, if it was kept.
 * @param {unknown} text
 */
export function keptHistory(text) {
  const found = typeof text === 'string' ? kept.get(text) : undefined
  return found && Object.assign(new History(found.present), found, { key: null })
}

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
    if (key === null || key !== this.key) this.step(layout)
    this.present = layout
    this.future = []
    this.key = key
  }

  /**
   * Starts a step, also to a layout that equals the present one.
   * @param {Layout} layout
   */
  step(layout) {
    this.past = [...this.past, this.present].slice(-HISTORY_STEPS)
    this.present = layout
    this.future = []
    this.key = null
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
