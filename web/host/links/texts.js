// @ts-check
// The layout text that is linked to a layout node.

import { api } from '../../../../scripts/api.js'
import { forAll } from '../editors.js'
import { linkedNode, nodeOf } from '../graph.js'
import { preference } from '../preferences.js'
import { outputValue, sourceOf } from './values.js'

const INPUT = 'layout_text'
const LAST = 'linked_text' // kept with the node, so that a workflow opens with what counts

/** Listens to the texts that runs send before they read them. */
export function listenToTexts() {
  api.addEventListener('ifadapter.linked_text', ({ detail }) => {
    const node = nodeOf(detail.node)
    if (node) keepText(node, detail.text)
  })
}

/**
 * The linked text: as it stands in the linked node, else as the last run got it from there.
 * @param {ComfyNode} node
 * @param {boolean} always whether it counts even if the editor has taken it over
 * @returns {ReturnType<EditorHost['linkedText']>}
 */
export function linkedTextOf(node, always) {
  const source = sourceOf(node, INPUT)
  if (source === null) return null
  const value = source && outputValue(source.node, source.slot)
  if (typeof value === 'string') return { text: value, always }
  return { text: keptText(node, source), always }
}

/**
 * The text that the last run got from the present link; null if it got none or if there is no link.
 * @param {ComfyNode} node
 */
export function lastTextOf(node) {
  const source = sourceOf(node, INPUT)
  return source === null ? null : (keptText(node, source) ?? null)
}

/**
 * The text that the last run got from an output; undefined if it is not known.
 * @param {ComfyNode} node
 * @param {ReturnType<typeof sourceOf>} source
 * @returns {string | null | undefined}
 */
function keptText(node, source) {
  const last = preference(node, LAST)
  return last?.source === nameOf(source) ? last.text : undefined
}

/**
 * Keeps the text that a run got from the link.
 * @param {ComfyNode} node
 * @param {string | null} text null: the run got none
 */
export function keepText(node, text) {
  if (linkedNode(node, INPUT) === undefined) return
  preference(node, LAST, { text, source: nameOf(sourceOf(node, INPUT)) })
  forAll((editor, each) => each === node && editor.render())
}

/** A name for the output that a text comes from. @param {ReturnType<typeof sourceOf>} source */
function nameOf(source) {
  return source ? `${source.node.id} ${source.slot}` : ''
}
