// @ts-check
/** Finds the JSON values in a text written by a person or a language model, past prose and reasoning. */

import { shown } from './fields.js'
import { BLANKS, JsonTextError, Mismatch, Parser, matchAt } from './json_parser.js'

export const MAX_WASTED = 200_000 // characters read behind brackets that begin no JSON value
export const MAX_VALUES = 1000 // JSON values in one text
const SHOWN = 20 // characters of the text in an error message

const CUT_OFF = 'it is cut off: a bracket or a quotation mark is not closed'
const FENCE = '```'
const REASONING_START = /<(?:think|thinking|thought|reasoning)>/iy
const REASONING_END = /<\/(?:think|thinking|thought|reasoning)>/iy
const REASONING_END_ANYWHERE = /<\/(?:think|thinking|thought|reasoning)>/gi

/**
 * A JSON value at text.slice(start, end). repeated: a key that an object has twice.
 * @typedef {{
 *   value: any, start: number, end: number, repairs: Set<string>, isFenced: boolean, repeated: string | null,
 * }} Candidate
 */

/**
 * All JSON objects and lists outside of reasoning, the rest of the text, and whether there was reasoning.
 * Throws JsonTextError when a value is broken or cut off, or the reasoning has no end.
 * @param {string} text
 */
export function scan(text) {
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

/**
 * Whether a value may be a layout: an object with keys, or a list of objects, lists or texts.
 * @param {any} value
 */
export function isContainer(value) {
  if (!Array.isArray(value)) return !isEmpty(value)
  return (
    !isEmpty(value) &&
    value.every((part) => typeof part === 'string' || (typeof part === 'object' && part !== null))
  )
}

/** @param {any} value an object or a list */
export function isEmpty(value) {
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
