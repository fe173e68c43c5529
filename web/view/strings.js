// @ts-check
// The words of the editor in the user's language. The English text is the key.

import { filled } from '../layout_model.js'

/** @type {Record<string, string>} */
let table = {}

/** @param {Record<string, string>} words of the user's language, by the English text */
export function useWords(words) {
  table = words
}

/**
 * A text in the user's language; in English where it is not translated.
 * @param {string} text with names in braces
 * @param {Record<string, string | number>} [values] by name
 */
export function t(text, values = {}) {
  return filled(table[text] ?? text, values)
}
