// @ts-check
/**
 * Tolerant JSON: finds the one JSON value in a text written by a person or a language model.
 *
 * Valid JSON is taken unchanged. Any other text is searched for one JSON value, past code fences, prose and
 * reasoning, by a parser that accepts comments, extra commas, other quotation marks and Python literals.
 * Strings are never changed. Each kind of repair is reported. `ifadapter_core/formats/json_text.py` is the
 * Python twin; both read every text alike.
 */

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
const REASONING = 'left out the reasoning'
const IN_STRING = 'took the JSON out of a string'
const LINES = 'joined several objects to one list'
export const REPAIRS = [
  AROUND,
  REASONING,
  IN_STRING,
  LINES,
  COMMENTS,
  COMMAS,
  QUOTATION,
  KEYS,
  LITERALS,
  BREAKS
]

/**
 * A JSON value at text.slice(start, end).
 * @typedef {{value: any, start: number, end: number, repairs: Set<string>}} Candidate
 */

/**
 * Read the one JSON value of a text, with repairs where needed. `repairs`: the kinds needed (of `REPAIRS`),
 * none for valid JSON. Throws JsonTextError when the text holds no value, several, or one that is cut off
 * or nested too deeply.
 *
 * @param {string} text
 * @returns {{value: any, repairs: string[]}}
 */
export function readJsonText(text) {
  if (text.length > MAX_CHARACTERS) {
    throw new JsonTextError(`it has ${text.length} characters; at most ${MAX_CHARACTERS} are read`)
  }
  const repairs = new Set()
  for (let layer = 0; layer < MAX_STRING_LAYERS; layer++) {
    const strict = parseStrictly(text)
    const { value, needed } = strict ?? search(text)
    for (const kind of needed) repairs.add(kind)
    if (typeof value !== 'string') {
      if (isTooDeep(value)) throw tooDeep()
      return { value, repairs: REPAIRS.filter((kind) => repairs.has(kind)) }
    }
    repairs.add(IN_STRING)
    text = value
  }
  throw new JsonTextError('it is text inside a string inside a string; give the JSON itself')
}

/**
 * @param {string} text
 * @returns {{value: any, needed: Set<string>} | null} null when the text is not valid JSON
 */
function parseStrictly(text) {
  try {
    return { value: JSON.parse(text), needed: new Set() }
  } catch {
    return null // not JSON as a whole: searched next
  }
}

/**
 * The one value in a text that is not valid JSON as a whole, and its repairs.
 * @param {string} text
 * @returns {{value: any, needed: Set<string>}}
 */
function search(text) {
  const { candidates: all, outside, reasoning } = scan(text)
  // Brackets in prose, such as [1], are no layout. A code fence marks the answer among several values.
  const containers = all.filter((one) => isContainer(one.value))
  if (!containers.length && (!all.length || /[{}[\]]/.test(outside))) {
    throw new JsonTextError('it holds no JSON object or list')
  }
  const likely = containers.length ? containers : all
  const fenced = likely.filter((one) => isFenced(text, one))
  const candidates = fenced.length ? fenced : likely
  const needed = new Set(candidates[0].repairs)
  if (reasoning) needed.add(REASONING)
  if (!consistsOf(outside, BLANKS)) needed.add(AROUND)
  const allObjects = candidates.every(({ value }) => isObject(value))
  if (candidates.length > 1 && allObjects && consistsOf(outside, `${BLANKS},`)) {
    for (const one of candidates) for (const kind of one.repairs) needed.add(kind)
    needed.add(LINES)
    needed.delete(AROUND)
    return { value: candidates.map((one) => one.value), needed }
  }
  if (new Set(candidates.map(({ value }) => JSON.stringify(value))).size === 1) {
    return { value: candidates[0].value, needed } // a draft and the same answer again
  }
  throw new JsonTextError(`it holds ${candidates.length} different JSON values; leave only the layout`)
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
    return { value, start, end: parser.position, repairs: parser.repairs }
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
  const column = position - before.lastIndexOf('\n')
  return `at line ${line}, column ${column}: ${JSON.stringify(text.slice(position, position + SHOWN))}`
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
  if (!Array.isArray(value)) return Object.keys(value).length > 0
  return (
    value.length > 0 &&
    value.every((part) => typeof part === 'string' || (typeof part === 'object' && part !== null))
  )
}

/**
 * Whether a value is all there is in a code fence, apart from the language's name.
 * @param {string} text
 * @param {Candidate} candidate
 */
function isFenced(text, candidate) {
  let before = candidate.start
  let after = candidate.end
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
