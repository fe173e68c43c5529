// @ts-check
/**
 * Misspelt keys: those that are almost a key that is read.
 * `ifadapter_core/formats/misspelt.py` is the Python twin.
 */

import { firstNamed, isObject, shown } from './fields.js'
import { ELEMENT_PROMPT } from './ignored.js'
import { isBox } from './readers.js'

const NAMES_OF_LAYOUT = ['caption', 'prompt', 'global_caption', 'width', 'height', 'units']
const NAMES_OF_IMAGE = ['width', 'height'] // beside Roboflow's "predictions"
const NAMES_OF_BOX = ['caption', 'description', 'strength', 'hidden']
const OTHER_WORDS = ['weight', 'unity', 'unite'] // almost a name, but with a meaning of their own
const REFUSED = 'unit' // an error of its own says how to call it
const BOX_LISTS = ['boxes', 'annotations', 'annos', 'predictions']

/**
 * A notice that names the misspelt keys of a layout and its boxes, if there are any.
 * @param {any} data a layout, a list of boxes or one box, as parsed JSON
 * @returns {string[]}
 */
export function misspeltNotice(data) {
  const said = []
  const isOne = isBox(data) && ![...BOX_LISTS, ELEMENT_PROMPT].some((key) => key in data)
  if (isObject(data) && !isOne) {
    for (const [key, name] of misspelt(data, NAMES_OF_LAYOUT)) said.push(suggestion(key, name))
    const image = 'predictions' in data ? data.image : null
    for (const [key, name] of misspelt(image, NAMES_OF_IMAGE)) {
      said.push(suggestion(key, name, ' of the image'))
    }
  }
  /** @type {Map<string, { name: string, numbers: number[] }>} */
  const found = new Map()
  const boxes = isOne ? [data] : boxesOf(data)
  boxes.forEach((box, index) => {
    for (const [key, name] of misspelt(box, NAMES_OF_BOX)) {
      if (!found.has(key)) found.set(key, { name, numbers: [] })
      found.get(key)?.numbers.push(index + 1)
    }
  })
  for (const [key, { name, numbers }] of found) {
    said.push(suggestion(key, name, ` of box ${firstNamed(numbers)}`))
  }
  return said.length ? [`Keys that are not read, as they seem misspelt: ${firstNamed(said)}.`] : []
}

/**
 * The boxes of a layout, of a list or of a list with one frame; none if they are not in a list.
 * @param {any} data
 * @returns {unknown[]}
 */
function boxesOf(data) {
  if (Array.isArray(data)) return data.length === 1 && Array.isArray(data[0]) ? data[0] : data
  if (!isObject(data)) return []
  return [...BOX_LISTS.map((key) => data[key]), data[ELEMENT_PROMPT]?.elements].find(Array.isArray) ?? []
}

/**
 * Each key with a value that is almost one of the names, and that name, if it has no value itself.
 * @param {unknown} data
 * @param {string[]} names
 * @returns {[string, string][]}
 */
function misspelt(data, names) {
  if (!isObject(data)) return []
  /** @type {[string, string][]} */
  const found = []
  for (const key of Object.keys(data)) {
    const name = names.find((each) => isAlmost(key, each))
    if (name && hasValue(data[key]) && !hasValue(data[name])) found.push([key, name])
  }
  return found
}

/** @param {unknown} value */
function hasValue(value) {
  return (value ?? '') !== ''
}

/**
 * Whether a key differs from a name in its case, in one letter or in the order of two neighbours.
 * @param {string} given
 * @param {string} expected
 */
function isAlmost(given, expected) {
  if (given.length > expected.length + 2) return false // a letter may have two units
  if (given === expected || given === REFUSED) return false
  if (OTHER_WORDS.includes(given.toLowerCase())) return false
  let [key, name] = [[...given.toLowerCase()], [...expected]]
  const differing = name.findIndex((letter, at) => letter !== key[at])
  const same = differing < 0 ? name.length : differing
  ;[key, name] = [key.slice(same), name.slice(same)]
  const swapped = [...name.slice(0, 2).reverse(), ...name.slice(2)]
  const [rest, shorter] = [key.slice(1), name.slice(1)]
  return [
    [rest, shorter],
    [rest, name],
    [key, shorter],
    [key, swapped]
  ].some(([a, b]) => a.join('') === b.join(''))
}

/**
 * @param {string} key
 * @param {string} name
 * @param {string} [place]
 */
function suggestion(key, name, place = '') {
  return `${shown(key)}${place} (did you mean "${name}"?)`
}
