// @ts-check
/** What the text around the JSON says about the layout, and is not read. The twin of `prose.py`. */

import { LayoutError } from './fields.js'

// A key of a layout with a value, such as "caption: a kitchen".
const STATED =
  /\b(units?|caption|prompt|width|height)["'\u201d\u2019*`]*[ \t]*[:=][ \t*`]*["'\u201c\u2018a-z0-9]/gi
const UNIT_WORDS = /\b(pixels?|percent|fractions?|thousandths|normali[sz]ed)\b/gi

/**
 * What the text around the JSON says, and is not read. units: those that the JSON or the user states.
 * Throws LayoutError if only the text states some.
 * @param {string} around
 * @param {string | null} units
 * @returns {string[]}
 */
export function noticesAbout(around, units) {
  const keys = words(STATED, around)
  if (units === null && keys.some((key) => key === 'unit' || key === 'units')) {
    throw new LayoutError(
      'The text around the JSON states units, which the JSON does not. Write them into it, such as ' +
        '{"units": "pixels", "boxes": [..]}, or choose them as the node\'s units.'
    )
  }
  if (keys.length) {
    return [
      `The text around the JSON states ${keys.join(', ')}, which was not read. Write it into the JSON.`
    ]
  }
  const found = units === null ? words(UNIT_WORDS, around) : []
  if (!found.length) return []
  return [
    `The text around the JSON mentions ${found.join(', ')}, but the JSON states no units: its numbers were ` +
      'read as its format says.'
  ]
}

/**
 * @param {RegExp} expression
 * @param {string} text
 */
function words(expression, text) {
  return [...new Set([...text.matchAll(expression)].map((match) => match[1].toLowerCase()))]
}
