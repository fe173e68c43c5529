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
  QUOTATION,
  tooDeep
} from './json_parser.js'
import { isContainer, isEmpty, scan } from './json_scan.js'

/** @typedef {import('./json_scan.js').Candidate} Candidate */

export const MAX_CHARACTERS = 2_000_000
const MAX_STRING_LAYERS = 3 // JSON inside a JSON string inside a JSON string

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

/** @param {unknown} value */
function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
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
