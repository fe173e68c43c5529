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

/**
 * Errors of the readers and of runs that users meet most, by their English text, in words to be translated.
 * @type {[RegExp, (found: RegExpMatchArray) => string][]}
 */
const KNOWN_ERRORS = [
  [
    /\b[Bb]ox (\d+) has no local description/,
    ([, box]) => t('Box {box} has no description: write one.', { box })
  ],
  [
    /\b[Bb]ox (\d+) lies outside/,
    ([, box]) => t('Box {box} lies outside the picture: check its units.', { box })
  ],
  [
    /\b[Bb]ox (\d+) (?:is inverted|has a side)/,
    ([, box]) => t('Box {box} has no size: check its numbers.', { box })
  ],
  [/\b[Bb]ox (\d+) lacks (.+?);/, ([, box, keys]) => t('Box {box} lacks {keys}.', { box, keys })],
  [/(?<!of )\b[Bb]ox (\d+)\b/, ([, box]) => t('Box {box} cannot be read.', { box })],
  [/it is cut off/, () => t('The text is cut off: its end is missing.')],
  [/no JSON object or list/, () => t('The text has no layout in it.')],
  [/of no known format/, () => t('The text is in no known format.')],
  [/cannot be read as JSON/, () => t('The text cannot be read as JSON.')],
  [
    /^At most (\d+) boxes|at most (\d+) are supported/,
    ([, a, b]) => t('At most {most} boxes.', { most: a ?? b })
  ],
  [
    /^(\d+) (?:boxes|masks) are linked but/,
    ([, count]) => t('{count} are linked: describe each of them.', { count })
  ],
  [/^layout_text is empty/, () => t('The linked text is empty.')],
  [/The (?:layout|text|canvas)\b|^(?:units|caption|'\w+')/, () => t('The text cannot be read as a layout.')]
]

/**
 * An error in the user's language, before its English text with all details.
 * @param {string} message English
 */
export function explained(message) {
  if (!Object.keys(table).length) return message
  for (const [pattern, words] of KNOWN_ERRORS) {
    const found = message.match(pattern)
    if (found) return `${words(found)} (${message})`
  }
  return message
}
