// @ts-check
// Layouts from and to JSON, in every supported format. `ifadapter_core/layout_formats.py` is the Python twin:
// both read every text alike. Pure functions: no page, no ComfyUI.

import { COLORS, LayoutError, isColor, newId } from './layout_model.js'
import { READ_KEYS } from './formats/entries.js'
import { refuseExports, refuseXml } from './formats/exports.js'
import { CAPTIONS, isObject, kindOf, shown, stripped } from './formats/fields.js'
import {
  IGNORED_KEYS,
  IGNORED_OF_LAYOUT,
  ignoredNotice,
  refuseAnchor,
  refuseOtherSizes,
  statesSize
} from './formats/ignored.js'
import { JsonTextError, tooDeep } from './formats/json_parser.js'
import { isTooDeep, readJsonText } from './formats/json_text.js'
import { misspeltNotice } from './formats/misspelt.js'
import { noticesAbout } from './formats/prose.js'
import { BOX_LIST, FORMATS, OWN, VERSION, WHOLE, isBox } from './formats/readers.js'
import { UNITS, checkedBox, checkedUnits, statedUnits, stretchNotice } from './formats/units.js'
import { EDITOR_KEYS } from './formats/writers.js'

/** @typedef {import('./layout_model.js').Box} Box */
/** @typedef {import('./layout_model.js').Canvas} Canvas */
/** @typedef {import('./layout_model.js').Layout} Layout */
/** @typedef {import('./formats/entries.js').Draft} Draft */

export { LayoutError, UNITS, VERSION }
export { RELEASE_CANVAS_PX } from './formats/readers.js'
export { ELEMENT_SCALE, serialize, serializeForRun, toElements, toRelease } from './formats/writers.js'

// Keys that are known, and thus not kept as they are. A notice names the ignored ones.
const BOX_KEYS = [...READ_KEYS, ...EDITOR_KEYS, ...IGNORED_KEYS, 'strength']
const LAYOUT_KEYS = [
  ...['version', 'boxes', 'units', 'width', 'height', 'phrases'],
  ...CAPTIONS,
  ...IGNORED_OF_LAYOUT
]
const MAX_KEPT_DEPTH = 4 // levels of an unknown key that is kept
const MAX_KEPT_CHARACTERS = 10_000 // of an unknown key that is kept, as JSON
const SHOWN = 40 // characters of a key in a notice
const MAX_ID = 100 // characters of an id that is kept
const MAX_WRAPPERS = 4 // objects around a layout
const TASK = /^<[A-Z_]+>$/ // Florence-2 puts its answer under the name of the task
// Keys of lists of boxes, each of one format.
const BOX_LISTS = [
  'boxes',
  'annotations',
  'annos',
  'bboxes',
  'region_bboxes_list',
  'predictions',
  'compositional_deconstruction',
  'elements'
]
const EXPECTED = FORMATS.map(({ example }) => example).join('; ')

/**
 * Reads a layout in any known format, see web/docs/IFAdapterLayout.md.
 * @param {unknown} value JSON text, also with text around it, parsed JSON, or nothing for an empty layout
 * @param {Canvas} canvas for formats in pixels
 * @param {string | null} [units] of the numbers, if the text states none; null: as its format says
 * @returns {Layout}
 * @throws {LayoutError}
 */
export function parse(value, canvas, units = null) {
  return readLayout(value, canvas, units).layout
}

/**
 * As `parse`, with notices about everything that was repaired or left out while reading.
 * @param {unknown} value
 * @param {Canvas} canvas
 * @param {string | null} [units]
 * @returns {{ layout: Layout, notices: string[] }}
 * @throws {LayoutError}
 */
export function readLayout(value, canvas, units = null) {
  checkedUnits(units, "The node's units")
  const { data: given, repairs, around } = parsed(value)
  refuseExports(given)
  const data = unwrapped(given)
  const notices = repairs.length
    ? [`The layout text was not plain JSON. Repaired: ${repairs.join(', ')}.`]
    : []
  const misspelt = misspeltNotice(data)
  notices.push(...misspelt)
  try {
    return { layout: layoutIn(data, canvas, units, around, notices), notices }
  } catch (error) {
    if (!(error instanceof LayoutError)) throw error
    throw new LayoutError([error.message, ...misspelt].join(' ')) // a misspelt key may be its cause
  }
}

/**
 * The layout in parsed JSON of any format.
 * @param {any} data
 * @param {Canvas} canvas
 * @param {string | null} chosen units
 * @param {string} around text beside the JSON
 * @param {string[]} notices are added
 * @returns {Layout}
 */
function layoutIn(data, canvas, chosen, around, notices) {
  const frame = { pixels: canvas, units: statedUnits(data) ?? chosen }
  notices.push(...noticesAbout(around, frame.units))
  refuseTwoFormats(data)
  const format = FORMATS.find(({ matches }) => matches(data))
  if (!format) {
    throw new LayoutError(
      `The layout is ${kindOf(data)} of no known format.${hint(data)} Expected one of: ${EXPECTED}.`
    )
  }
  const isWhole = isObject(data) && format !== BOX_LIST
  if (isWhole) refuseAnchor(data, 'The layout')
  const { caption, drafts } = format.read(data, frame)
  if (isWhole) {
    refuseOtherSizes(
      data,
      drafts.map(({ unit }) => unit)
    )
  }
  notices.push(...ignoredNotice(isWhole ? data : {}, drafts))
  const sized = drafts.find(({ corners }) => corners !== null)
  if (isWhole && sized && statesSize(data)) notices.push(...stretchNotice(sized.pixels, canvas))
  const isOwn = isObject(data) && 'boxes' in data
  const rest = isOwn ? keptKeys(data, LAYOUT_KEYS, 'the layout', notices) : {}
  return { ...rest, version: VERSION, caption, boxes: finished(drafts, canvas, isOwn, notices) }
}

/**
 * JSON text -> parsed JSON; empty text is an empty list.
 * @param {unknown} value
 * @returns {{ data: any, repairs: string[], around: string }}
 */
function parsed(value) {
  if (typeof value === 'string' && !stripped(value)) return { data: [], repairs: [], around: '' }
  if (typeof value === 'string') refuseXml(value)
  try {
    if (typeof value === 'string') {
      const { value: data, repairs, around } = readJsonText(value)
      return { data, repairs, around }
    }
    if (isTooDeep(value)) throw tooDeep()
    return { data: value ?? [], repairs: [], around: '' }
  } catch (error) {
    if (!(error instanceof JsonTextError)) throw error
    throw new LayoutError(`The layout cannot be read as JSON: ${error.message}. Expected ${OWN.example}.`)
  }
}

/**
 * The layout in a list of one whole layout, or in the answer of Florence-2 to one task.
 * @param {any} data
 */
function unwrapped(data) {
  const keys = isObject(data) ? Object.keys(data) : []
  if (keys.length === 1 && TASK.test(keys[0])) return data[keys[0]]
  if (Array.isArray(data) && WHOLE.some(({ matches }) => matches(data[0]))) {
    if (data.length > 1) {
      throw new LayoutError(`The text holds ${data.length} layouts; a layout is one picture. Keep one.`)
    }
    return data[0]
  }
  return data
}

/**
 * Throws LayoutError for an object with boxes under several keys.
 * @param {any} data
 */
function refuseTwoFormats(data) {
  if (!isObject(data)) return
  const found = BOX_LISTS.filter((key) => key in data)
  found.push(...Object.keys(data).filter((key) => !found.includes(key) && holdsBoxes(data[key])))
  if (found.length > 1 && BOX_LISTS.includes(found[0])) {
    throw new LayoutError(`The layout has boxes under ${found.join(' and ')}. Keep the boxes of one key.`)
  }
}

/**
 * Whether a value is a list of boxes, or a layout of such a list.
 * @param {any} value
 */
function holdsBoxes(value) {
  if (Array.isArray(value)) return value.some((part) => isBox(part) || (isObject(part) && 'box' in part))
  return isObject(value) && BOX_LISTS.some((key) => Array.isArray(value[key]))
}

/**
 * Where in an object of no known format the layout seems to be, for an error message.
 * @param {any} data
 * @param {string} [path]
 * @param {number} [depth]
 * @returns {string}
 */
function hint(data, path = '', depth = 0) {
  if (!isObject(data) || depth === MAX_WRAPPERS) return ''
  for (const [key, value] of Object.entries(data)) {
    const here = path ? `${path}.${key}` : key
    if (holdsBoxes(value) || (typeof value === 'string' && /^[{[]/.test(stripped(value)))) {
      return ` The layout seems to be under ${shown(here)}: give that value alone.`
    }
    const inner = hint(value, here, depth + 1)
    if (inner) return inner
  }
  return ''
}

/**
 * Checked boxes with all keys and unique ids. Own boxes keep unknown keys.
 * @param {Draft[]} drafts
 * @param {Canvas} canvas
 * @param {boolean} isOwn
 * @param {string[]} notices
 * @returns {Box[]}
 */
function finished(drafts, canvas, isOwn, notices) {
  /** @type {Set<string>} */
  const taken = new Set()
  const entries = drafts.map(({ entry }) => entry)
  return drafts
    .filter((draft) => !isPlaceholder(draft))
    .map((draft, index) => {
      const { entry, number } = draft
      const kept = isOwn ? keptKeys(entry, BOX_KEYS, `box ${number}`, notices) : {}
      const isId =
        typeof entry.id === 'string' && entry.id && entry.id.length <= MAX_ID && !taken.has(entry.id)
      const id = isId ? entry.id : newId(taken, entries)
      taken.add(id)
      return {
        ...kept,
        ...frameOf(draft, canvas),
        caption: draft.description,
        id,
        strength: draft.strength,
        color: isColor(entry.color) ? entry.color : COLORS[index % COLORS.length],
        locked: entry.locked === true,
        hidden: draft.hidden
      }
    })
}

/**
 * Whether a draft stands for a hidden box in the text of a run, see serializeForRun.
 * @param {Draft} draft
 */
function isPlaceholder({ hidden, corners, description }) {
  return hidden && corners === null && !description
}

/**
 * @param {Draft} draft
 * @param {Canvas} canvas
 */
function frameOf({ number, corners, description, unit, pixels, order, entry }, canvas) {
  if (corners === null) {
    const has = description ? 'a local description but no box' : 'neither a box nor a local description'
    throw new LayoutError(`Box ${number} has ${has}. Give it x, y, w and h, or link boxes.`)
  }
  const box = checkedBox(number, corners, unit, pixels, canvas, order)
  const { x, y } = box
  const [w, h] = [entry.w ?? entry.width, entry.h ?? entry.height]
  // Stored numbers stay exactly the same: no rounding of (x + w) - x.
  const isExact = unit === 'fractions' && entry.x === x && entry.y === y && x + w <= 1 && y + h <= 1
  return isExact ? { x, y, w, h } : box
}

/**
 * The unknown keys of an object that can be stored again; a notice names the others.
 * @param {Record<string, any>} entry
 * @param {string[]} known
 * @param {string} place of the object, for the notice
 * @param {string[]} notices
 */
function keptKeys(entry, known, place, notices) {
  const unknown = Object.entries(entry).filter(([key]) => !known.includes(key))
  const tooLarge = unknown.filter(
    ([, value]) => isDeeper(value, MAX_KEPT_DEPTH) || JSON.stringify(value).length > MAX_KEPT_CHARACTERS
  )
  if (tooLarge.length) {
    const names = tooLarge.map(([key]) => key.slice(0, SHOWN)).join(', ')
    notices.push(`Left out of ${place}, since too large to be stored: ${names}.`)
  }
  return Object.fromEntries(unknown.filter((pair) => !tooLarge.includes(pair)))
}

/**
 * Whether a value has more than so many levels of nested objects and lists.
 * @param {unknown} value
 * @param {number} levels
 * @returns {boolean}
 */
function isDeeper(value, levels) {
  if (typeof value !== 'object' || value === null) return false
  return levels === 0 || Object.values(value).some((part) => isDeeper(part, levels - 1))
}
