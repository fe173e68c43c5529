// @ts-check
/** Checked access to the fields of parsed JSON. All functions throw LayoutError that names the field. */

import { LayoutError, MAX_BOXES, isBlank } from '../layout_model.js'

export { LayoutError }

export const MAX_TEXT = 10_000 // characters of a description
const MAX_NAMED = 10 // keys, or boxes of a key, in a notice
const SURROGATE = /[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/
const MORE_WHITE = '\u001c\u001d\u001e\u001f\u0085' // white space of Python that JavaScript does not strip
const NUMBER_AS_TEXT = /^\s*[+-]?[0-9.]+\s*(%?)\s*$/
/** Keys of the global caption. */
export const CAPTIONS = ['caption', 'prompt', 'global_caption', 'high_level_description']
const SHOWN = 30 // characters of a value in an error message

/** Left, top, right and bottom edge. @typedef {[number, number, number, number]} Corners */

/**
 * @param {unknown} value
 * @returns {value is Record<string, any>}
 */
export function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Whether a value is an object with all of these keys.
 * @param {unknown} value
 * @param {string[]} keys
 * @returns {value is Record<string, any>}
 */
export function hasKeys(value, ...keys) {
  return isObject(value) && keys.every((key) => key in value)
}

/**
 * Text without surrounding white space, of at most MAX_TEXT characters; '' if none is visible.
 * @param {unknown} value
 * @param {string} name
 */
export function textOf(value, name) {
  if (typeof value !== 'string') throw new LayoutError(`${name} must be text, got ${kindOf(value)}.`)
  if (value.length > MAX_TEXT) {
    const length = [...value].length
    if (length > MAX_TEXT)
      throw new LayoutError(`${name} has ${length} characters; at most ${MAX_TEXT} are read. Shorten it.`)
  }
  const broken = value.search(SURROGATE)
  if (broken >= 0) {
    const position = Array.from(value.slice(0, broken)).length + 1
    throw new LayoutError(
      `${name} holds half of a character (a lone surrogate, position ${position}). Write that character again.`
    )
  }
  return isBlank(value) ? '' : stripped(value)
}

/**
 * Text without surrounding white space, the same as in Python.
 * @param {string} text
 */
export function stripped(text) {
  let [start, end] = [0, text.length]
  while (start < end && isWhite(text[start])) start++
  while (start < end && isWhite(text[end - 1])) end--
  return text.slice(start, end)
}

/** @param {string} character */
function isWhite(character) {
  return !character.trim() || MORE_WHITE.includes(character)
}

/**
 * The global caption of a layout; "" if there is none. Throws LayoutError if there are two.
 * @param {Record<string, any>} data
 */
export function captionOf(data) {
  const found = CAPTIONS.filter((key) => data[key] !== null && data[key] !== undefined)
    .map((key) => [key, textOf(data[key], key)])
    .filter(([, text]) => text)
  if (new Set(found.map(([, text]) => text)).size > 1) {
    const keys = found.map(([key]) => key).join(' and ')
    throw new LayoutError(`The layout has different captions under ${keys}. Keep one of them.`)
  }
  return found.length ? found[0][1] : ''
}

/**
 * A finite number.
 * @param {unknown} value
 * @param {string} name
 */
export function numberOf(value, name) {
  if (typeof value !== 'number') {
    throw new LayoutError(`${name} must be a number, got ${kindOf(value)}.${adviceOn(value)}`)
  }
  if (!Number.isFinite(value)) {
    throw new LayoutError(`${name} must be a finite number, got ${numberText(value)}.`)
  }
  return value
}

/**
 * How to write a number that was given as text.
 * @param {unknown} value
 */
function adviceOn(value) {
  const match = typeof value === 'string' ? value.slice(0, 20).match(NUMBER_AS_TEXT) : null
  if (!match) return ''
  const unit = match[1] ? ' and the percent sign, and add "units": "percent" to the layout' : ''
  return ` Write it without the quotation marks${unit}.`
}

/**
 * A list of four finite numbers. order: what each of them is.
 * @param {unknown} value
 * @param {string} name
 * @param {string[]} order
 * @returns {Corners}
 */
export function fourNumbers(value, name, order) {
  if (!Array.isArray(value) || value.length !== 4) {
    throw new LayoutError(`${name} must be [${order.join(', ')}], got ${kindOf(value)}.`)
  }
  const [a, b, c, d] = value.map((part, index) => numberOf(part, `${name}: ${order[index]}`))
  return [a, b, c, d]
}

/**
 * A list of boxes or descriptions, counted before it is read.
 * @param {unknown} value
 * @param {string} name
 * @returns {any[]}
 */
export function listOf(value, name) {
  if (!Array.isArray(value)) throw new LayoutError(`'${name}' must be a list, got ${kindOf(value)}.`)
  if (value.length > MAX_BOXES) {
    throw new LayoutError(
      `The layout has ${value.length} instances; at most ${MAX_BOXES} are supported. Remove some boxes.`
    )
  }
  return value
}

/**
 * @param {unknown} value
 * @param {string} name
 */
export function objectOf(value, name) {
  if (!isObject(value)) throw new LayoutError(`'${name}' must be an object, got ${kindOf(value)}.`)
  return value
}

/**
 * The object that describes box `number`.
 * @param {unknown} value
 * @param {number} number
 */
export function entryOf(value, number) {
  if (!isObject(value)) {
    throw new LayoutError(`Box ${number} must be an object with named numbers, got ${kindOf(value)}.`)
  }
  return value
}

/**
 * Corners of box `number`. keys: names of its left edge, top edge, width and height.
 * @param {Record<string, any>} entry
 * @param {string[]} keys
 * @param {number} number
 * @returns {Corners}
 */
export function cornersOf(entry, keys, number) {
  const missing = keys.filter((key) => !(key in entry))
  if (missing.length) {
    throw new LayoutError(`Box ${number} lacks ${missing.join(', ')}; expected ${keys.join(', ')}.`)
  }
  const [x, y, w, h] = keys.map((key) => numberOf(entry[key], `Box ${number}: ${key}`))
  return [x, y, x + w, y + h]
}

/**
 * Local description of box `number`: the first of these fields that is not empty; "" if all are.
 * @param {Record<string, any>} entry
 * @param {string[]} keys
 * @param {number} number
 */
export function descriptionOf(entry, keys, number) {
  for (const key of keys) {
    let value = entry[key]
    if (Array.isArray(value) && value.length <= 1) value = value[0]
    const text = value === null || value === undefined ? '' : textOf(value, `Box ${number}: ${key}`)
    if (text) return text
  }
  return ''
}

/**
 * Type and abbreviated value in JSON's terms, for error messages.
 * @param {unknown} value
 */
export function kindOf(value) {
  if (value === null || value === undefined) return 'nothing'
  const name = Array.isArray(value)
    ? 'a list'
    : ({ object: 'an object', string: 'text', boolean: 'true/false', number: 'a number' }[
        /** @type {'object' | 'string' | 'boolean' | 'number'} */ (typeof value)
      ] ?? typeof value)
  return `${name} (${shown(value)})`
}

/**
 * The first MAX_NAMED of a list in a notice, and the number of the others.
 * @param {(string | number)[]} named
 */
export function firstNamed(named) {
  const more = named.length > MAX_NAMED ? ` and ${named.length - MAX_NAMED} more` : ''
  return `${named.slice(0, MAX_NAMED).join(', ')}${more}`
}

/**
 * A value as JSON, cut to SHOWN characters. Python shows the same.
 * @param {unknown} value
 */
export function shown(value) {
  const characters = Array.from(jsonStart(value, 2 * SHOWN)) // a character may have two units
  return characters.length > SHOWN ? `${characters.slice(0, SHOWN).join('')}..` : characters.join('')
}

/**
 * At least the first `room` UTF-16 units of a value as JSON.
 * @param {unknown} value
 * @param {number} room
 * @returns {string}
 */
function jsonStart(value, room) {
  if (typeof value === 'string') {
    return JSON.stringify(value.slice(0, Math.max(room, 0) + 1))
  }
  if (typeof value === 'number') return numberText(value)
  if (typeof value !== 'object' || value === null) return String(value)
  const isList = Array.isArray(value)
  let text = isList ? '[' : '{'
  let index = 0
  for (const [key, part] of Object.entries(value)) {
    const length = text.length
    if (length > room) return text
    if (index++) text += ', '
    if (!isList) text += `${jsonStart(key, room - length)}: `
    text += jsonStart(part, room - length)
  }
  return text + (isList ? ']' : '}')
}

/**
 * A number with at most six significant digits, or an integer.
 * @param {number} value
 */
export function numberText(value) {
  if (Number.isInteger(value) && Math.abs(value) < 1e15) return String(value)
  return String(Number(value.toPrecision(6)))
}
