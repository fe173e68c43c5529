// @ts-check
/**
 * Tolerant JSON: finds the one JSON value in a text written by a person or a language model.
 *
 * Valid JSON is taken unchanged. Any other text is searched for one JSON value, past code fences, prose and
 * reasoning, by a parser that accepts comments, extra commas, other quotation marks and Python literals.
 * Strings are never changed. Each kind of repair is reported. `ifadapter_core/formats/json_text.py` is the
 * Python twin; both read every text alike.
 */

import { shown } from './fields.js'
import {
  BLANKS,
  BREAKS,
  COMMAS,
  COMMENTS,
  JsonTextError,
  KEYS,
  LITERALS,
  MAX_DEPTH,
  Mismatch,
  Parser,
  QUOTATION,
  matchAt,
  tooDeep
} from './json_parser.js'

export const MAX_CHARACTERS = 2_000_000
export const MAX_WASTED = 200_000 // characters read behind brackets that begin no JSON value
export const MAX_VALUES = 1000 // JSON values in one text
const SHOWN = 20 // characters of the text in an error message
const MAX_STRING_LAYERS = 3 // JSON inside a JSON string inside a JSON string

const CUT_OFF = 'it is cut off: a bracket or a quotation mark is not closed'
const FENCE = '```'
const REASONING_START = /<(?:think|thinking|thought|reasoning)>/iy
const REASONING_END = /<\/(?:think|thinking|thought|reasoning)>/iy
const REASONING_END_ANYWHERE = /<\/(?:think|thinking|thought|reasoning)>/gi

/** Kinds of repair, in the order of the report. */
const AROUND = 'left out the text around the JSON'
const OTHERS = 'left out other JSON values'
const REASONING = 'left out the reasoning'
const IN_STRING = 'took the JSON out of a string'
const LINES = 'joined several objects to one list'
const REPEATED = 'left out repetitions of the same JSON'
export const REPAIRS = [
  AROUND,
  OTHERS,
  REASONING,
  IN_STRING,
  LINES,
  REPEATED,
  COMMENTS,
  COMMAS,
  QUOTATION,
  KEYS,
  LITERALS,
  BREAKS
]

/**
 * A JSON value at text.slice(start, end). repeated: a key that an object has twice.
 * @typedef {{
 *   value: any, start: number, end: number, repairs: Set<string>, isFenced: boolean, repeated: string | null,
 * }} Candidate
 */

/**
 * Read the one JSON value of a text, with repairs where needed. `repairs`: the kinds needed (of `REPAIRS`),
 * none for valid JSON. `around`: the text around the JSON. Throws JsonTextError when the text holds no value,
 * several, or one that is cut off, nested too deeply or has a key twice in one object.
 *
 * @param {string} text
 * @returns {{value: any, repairs: string[], around: string}}
 */
export function readJsonText(text) {
  if (text.length > MAX_CHARACTERS) {
    throw new JsonTextError(`it has ${text.length} characters; at most ${MAX_CHARACTERS} are read`)
  }
  const repairs = new Set()
  let around = ''
  for (let layer = 0; layer < MAX_STRING_LAYERS; layer++) {
    const strict = parseStrictly(text)
    const { value, needed, outside } = strict ?? search(text)
    for (const kind of needed) repairs.add(kind)
    around += outside
    if (typeof value !== 'string') {
      if (isTooDeep(value)) throw tooDeep()
      return { value, repairs: REPAIRS.filter((kind) => repairs.has(kind)), around }
    }
    repairs.add(IN_STRING)
    text = value
  }
  throw new JsonTextError('it is text inside a string inside a string; give the JSON itself')
}

/**
 * @param {string} text
 * @returns {{value: any, needed: Set<string>, outside: string} | null} null when the text is not valid JSON
 */
function parseStrictly(text) {
  let value
  try {
    value = JSON.parse(text)
  } catch {
    return null // not JSON as a whole: searched next
  }
  const key = repeatedKey(text)
  if (key !== null) throw repeated(key)
  return { value, needed: new Set(), outside: '' }
}

/**
 * The first key that an object has twice, by the ends of the objects; null if there is none.
 * @param {string} text valid JSON
 */
function repeatedKey(text) {
  /** @type {{keys: Set<string>, twice: string | null}[]} */
  const open = []
  for (const [token, colon] of text.matchAll(/"(?:[^"\\]+|\\.)*"(\s*:)?|[{}[\]]/g)) {
    if (token === '{' || token === '[') open.push({ keys: new Set(), twice: null })
    else if (token === '}' || token === ']') {
      const twice = open.pop()?.twice ?? null
      if (twice !== null) return twice
    } else if (colon !== undefined) {
      const key = JSON.parse(token.slice(0, -colon.length))
      const object = open[open.length - 1]
      if (object.keys.has(key)) object.twice ??= key
      object.keys.add(key)
    }
  }
  return null
}

/** @param {string} key */
function repeated(key) {
  return new JsonTextError(`an object has the key ${shown(key)} twice; leave one of them`)
}

/**
 * The one value in a text that is not valid JSON as a whole, its repairs, and the rest of the text.
 * @param {string} text
 * @returns {{value: any, needed: Set<string>, outside: string}}
 */
function search(text) {
  const { candidates: found, outside, reasoning } = scan(text)
  // Brackets in prose, such as [1], are no layout. A code fence marks the answer among several values.
  const containers = found.filter((one) => isContainer(one.value))
  if (!containers.length && (!found.length || /[{}[\]]/.test(outside))) {
    throw new JsonTextError('it holds no JSON object or list')
  }
  const candidates = answers(containers.length ? containers : found)
  for (const one of candidates) if (one.repeated !== null) throw repeated(one.repeated)
  const needed = new Set(candidates[0].repairs)
  const leftOut = found.filter((one) => !candidates.includes(one))
  if (leftOut.some(({ value }) => isContainer(value) || isEmpty(value))) needed.add(OTHERS)
  else if (leftOut.length) needed.add(AROUND)
  if (reasoning) needed.add(REASONING)
  if (!consistsOf(outside, BLANKS)) needed.add(AROUND)
  if (new Set(candidates.map(({ value }) => JSON.stringify(value))).size === 1) {
    if (candidates.length > 1) needed.add(REPEATED) // a draft and the same answer again
    return { value: candidates[0].value, needed, outside }
  }
  if (candidates.every(({ value }) => isObject(value)) && consistsOf(outside, `${BLANKS},`)) {
    for (const one of candidates) for (const kind of one.repairs) needed.add(kind)
    needed.add(LINES)
    needed.delete(AROUND)
    return { value: candidates.map((one) => one.value), needed, outside }
  }
  throw new JsonTextError(`it holds ${candidates.length} different JSON values; leave only the layout`)
}

/**
 * Without the drafts before a code fence, which marks the answer. Values behind it may correct it.
 * @param {Candidate[]} candidates
 */
function answers(candidates) {
  const last = candidates.filter((one) => one.isFenced).at(-1)
  return last ? candidates.filter((one) => one.isFenced || one.start > last.start) : candidates
}

/**
 * All JSON objects and lists outside of reasoning, the rest of the text, and whether there was reasoning.
 * Throws JsonTextError when a value is broken or cut off, or the reasoning has no end.
 * @param {string} text
 */
function scan(text) {
  /** @type {Candidate[]} */
  let candidates = []
  let outside = ''
  let reasoning = false
  let position = 0
  let wasted = 0
  let opened = 0 // brackets of the prose behind the last value
  while (position < text.length) {
    const character = text[position]
    if (character === '{' || character === '[') {
      const parser = new Parser(text, position)
      const candidate = candidateOf(parser)
      if (candidate) {
        candidates.push(candidate)
        outside += '\n'
        if (candidates.length > MAX_VALUES) {
          throw new JsonTextError(`it holds more than ${MAX_VALUES} JSON values; leave only the layout`)
        }
        position = candidate.end
        opened = 0
        continue
      }
      wasted += parser.position - position // a bracket of the prose
      if (wasted > MAX_WASTED) throw new JsonTextError('it has too many brackets that begin no JSON value')
    } else if (character === '<') {
      const start = matchAt(REASONING_START, text, position)
      if (start !== null) {
        REASONING_END_ANYWHERE.lastIndex = position + start.length
        const end = REASONING_END_ANYWHERE.exec(text)
        if (!end) throw new JsonTextError('it is cut off: the reasoning has no end')
        reasoning = true
        position = end.index + end[0].length
        continue
      }
      const end = matchAt(REASONING_END, text, position)
      // The start tag may be part of the model's prompt.
      if (end !== null) {
        candidates = []
        outside = ''
        reasoning = true
        position += end.length
        continue
      }
    }
    opened += Number('{['.includes(character)) - Number('}]'.includes(character))
    // The value before may be a part of a broken one.
    if (opened < 0 && candidates.length && isContainer(candidates[candidates.length - 1].value)) {
      throw new JsonTextError(`it is not JSON ${place(text, position)}: nothing opens this bracket`)
    }
    outside += character
    position++
  }
  return { candidates, outside, reasoning }
}

/**
 * @param {Parser} parser at a bracket
 * @returns {Candidate | null} null when the bracket belongs to prose
 */
function candidateOf(parser) {
  const { text, position: start } = parser
  try {
    const value = parser.value(0)
    const { position: end, repairs, repeated } = parser
    return { value, start, end, repairs, repeated, isFenced: isFenced(text, start, end) }
  } catch (error) {
    if (!(error instanceof Mismatch)) throw error
    if (error.atEnd) throw new JsonTextError(CUT_OFF)
    if (parser.isJson) {
      // never take a part of a broken value for the whole
      throw new JsonTextError(`it is not JSON ${place(text, parser.position)}`)
    }
    return null
  }
}

/**
 * The line and column of a position, and what stands there, for an error message.
 * @param {string} text
 * @param {number} position
 */
function place(text, position) {
  const before = text.slice(0, position)
  const line = before.split('\n').length
  const column = Array.from(before.slice(before.lastIndexOf('\n') + 1)).length + 1
  const there = Array.from(text.slice(position, position + 2 * SHOWN)).slice(0, SHOWN)
  return `at line ${line}, column ${column}: ${shown(there.join(''))}`
}

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

/**
 * Whether a value may be a layout: an object with keys, or a list of objects, lists or texts.
 * @param {any} value
 */
function isContainer(value) {
  if (!Array.isArray(value)) return !isEmpty(value)
  return (
    !isEmpty(value) &&
    value.every((part) => typeof part === 'string' || (typeof part === 'object' && part !== null))
  )
}

/** @param {any} value an object or a list */
function isEmpty(value) {
  return Object.keys(value).length === 0
}

/**
 * Whether text.slice(before, after) is all there is in a code fence, apart from the language's name.
 * @param {string} text
 * @param {number} before
 * @param {number} after
 */
function isFenced(text, before, after) {
  while (before && BLANKS.includes(text[before - 1])) before--
  while (before && /[A-Za-z0-9]/.test(text[before - 1])) before--
  while (after < text.length && BLANKS.includes(text[after])) after++
  return text.slice(Math.max(before - FENCE.length, 0), before) === FENCE && text.startsWith(FENCE, after)
}

/**
 * @param {string} text
 * @param {string} characters
 */
function consistsOf(text, characters) {
  for (const character of text) if (!characters.includes(character)) return false
  return true
}

/**
 * Whether a value has more than MAX_DEPTH levels of objects and lists.
 * @param {any} value
 */
export function isTooDeep(value) {
  let level = [value]
  for (let depth = 0; depth <= MAX_DEPTH; depth++) {
    level = level.flatMap((outer) =>
      typeof outer === 'object' && outer !== null ? Object.values(outer) : []
    )
    if (!level.length) return false
  }
  return true
}

export { JsonTextError }
