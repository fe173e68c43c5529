// @ts-check
// Token counts of local descriptions: exact after a run, else estimated.

import { estimateTokens, readWords } from '../token_estimate.js'
import { renderAll } from './editors.js'
import { expectOk } from './requests.js'
import { resultOf } from './results.js'

const MAX_MEMOISED_TEXTS = 1000

/** @type {Set<string> | null} */
let oneTokenWords = null // null until clip_words.txt is loaded
let wordsRequested = false
/** @type {Map<string, number>} */
const estimates = new Map() // memoised, by text

/**
 * @param {ComfyNode} node
 * @param {string} text a local description
 * @returns {{ count: number, exact: boolean }}
 */
export function tokensOf(node, text) {
  const exact = resultOf(node).tokens?.get(text.trim())
  if (exact !== undefined) return { count: exact, exact: true }
  if (!wordsRequested) loadWords()
  const known = estimates.get(text)
  if (known !== undefined) return { count: known, exact: false }
  if (estimates.size >= MAX_MEMOISED_TEXTS) estimates.clear()
  const count = estimateTokens(text, oneTokenWords)
  estimates.set(text, count)
  return { count, exact: false }
}

/** Loads the word list, once, for better estimates. Without it they stay coarser. */
async function loadWords() {
  wordsRequested = true
  try {
    const answer = await fetch(new URL('../clip_words.txt', import.meta.url))
    await expectOk(answer, 'clip_words.txt cannot be loaded')
    oneTokenWords = readWords(await answer.text())
  } catch (error) {
    console.warn('IFAdapter: token counts are estimated by the length of words.', error)
    return
  }
  estimates.clear()
  renderAll()
}
