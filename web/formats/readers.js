// @ts-check
/**
 * Readers of whole layouts, one per format: parsed JSON -> caption and drafts.
 * `ifadapter_core/formats/{own,comfyui,annotations}.py` are the Python twins.
 */

import { BOX_KEYS, CENTRED, EDGES, ELEMENT, RELEASE_BOX, XYWH_BBOX, xyxy } from './box_keys.js'
import { draftOf } from './entries.js'
import {
  LayoutError,
  captionOf,
  descriptionOf,
  entryOf,
  hasKeys,
  isObject,
  kindOf,
  listOf,
  numberOf,
  numberText,
  objectOf
} from './fields.js'

/** @typedef {import('./entries.js').Draft} Draft */
/** @typedef {import('./entries.js').Frame} Frame */
/** @typedef {import('./units.js').Canvas} Canvas */
/** @typedef {{caption: string, drafts: Draft[]}} Reading */
/**
 * @typedef {{
 *   example: string, matches: (data: any) => boolean, read: (data: any, frame: Frame) => Reading
 * }} LayoutFormat
 */

export const VERSION = 1
export const RELEASE_CANVAS_PX = 768 // side of the release's canvas, if the layout does not give its own

/** @type {LayoutFormat} */
export const OWN = {
  example: 'this pack\'s format {"caption": .., "boxes": [{"x", "y", "w", "h", "caption"}]}: fractions',
  matches: (data) => hasKeys(data, 'boxes'),
  read: readOwn
}

/** Formats of a whole layout; the first that matches is used. @type {LayoutFormat[]} */
export const WHOLE = [
  {
    example: '{"prompt", "phrases": [..], "boxes": [[x0, y0, x1, y1]]}: fractions (GLIGEN)',
    matches: (data) => hasKeys(data, 'phrases', 'boxes'),
    read: parallelLists('boxes', 'phrases', 'fractions')
  },
  OWN,
  {
    example:
      'the release\'s format {"caption": .., "annotations": [{"box": [x, y, w, h], "caption"}]}: pixels of ' +
      `a ${RELEASE_CANVAS_PX} x ${RELEASE_CANVAS_PX} canvas`,
    matches: (data) => hasKeys(data, 'annotations'),
    read: readRelease
  },
  {
    example: '{"annos": [{"bbox": [x, y, w, h], "caption"}]}: pixels (InstanceDiffusion)',
    matches: (data) => hasKeys(data, 'annos'),
    read: (data, frame) => ({
      caption: captionOf(data),
      drafts: listOf(data.annos, 'annos').map((entry, index) =>
        draftOf(entry, index + 1, resized(frame, data), [XYWH_BBOX])
      )
    })
  },
  {
    example: '{"bboxes": [[x0, y0, x1, y1]], "labels": [..]}: pixels (Florence-2)',
    matches: (data) => hasKeys(data, 'bboxes', 'labels'),
    read: parallelLists('bboxes', 'labels', 'pixels')
  },
  {
    example:
      '{"region_bboxes_list": [[x0, y0, x1, y1]], "detail_region_caption_list": [..]}: fractions ' +
      '(CreatiLayout)',
    matches: (data) => hasKeys(data, 'region_bboxes_list', 'detail_region_caption_list'),
    read: parallelLists('region_bboxes_list', 'detail_region_caption_list', 'fractions')
  },
  {
    example: '{"predictions": [{"x", "y", "width", "height", "class"}]}: centres, pixels (Roboflow)',
    matches: (data) => hasKeys(data, 'predictions'),
    read: (data, frame) => {
      const image = objectOf(data.image ?? {}, 'image')
      refuseTwoSizes(data, image)
      const sized = resized(frame, image, resized(frame, data).pixels)
      const entries = listOf(data.predictions, 'predictions')
      return {
        caption: captionOf(data),
        drafts: entries.map((entry, index) => draftOf(entry, index + 1, sized, [CENTRED]))
      }
    }
  },
  {
    example: '{"high_level_description", "compositional_deconstruction": {"elements": [..]}} (Ideogram 4)',
    matches: (data) => hasKeys(data, 'compositional_deconstruction'),
    read: readElementPrompt
  }
]

/** @type {LayoutFormat} */
export const BOX_LIST = {
  example: `a list of boxes, each one of ${BOX_KEYS.map(({ example }) => example).join('; ')}`,
  matches: (data) => Array.isArray(data) || isBox(data),
  read: readList
}
/** @type {LayoutFormat[]} */
export const FORMATS = [...WHOLE, BOX_LIST]

/**
 * Whether a value is an object with a box, perhaps one that does not say its order.
 * @param {unknown} data
 */
export function isBox(data) {
  return isObject(data) && ('bbox' in data || BOX_KEYS.some((kind) => kind.matches(data)))
}

/**
 * A frame with the width and height that the layout gives, else a default.
 * @param {Frame} frame
 * @param {Record<string, any>} data
 * @param {Canvas} [standard]
 * @returns {Frame}
 */
function resized(frame, data, standard = frame.pixels) {
  const width = numberOf(data.width ?? standard.width, 'width')
  const height = numberOf(data.height ?? standard.height, 'height')
  if (Math.min(width, height) < 1) {
    throw new LayoutError(
      `The canvas is ${numberText(width)} x ${numberText(height)} pixels; give a width and a height of at ` +
        'least 1.'
    )
  }
  return { ...frame, pixels: { width, height } }
}

/**
 * Throws LayoutError if a layout and its image state different sizes.
 * @param {Record<string, any>} data
 * @param {Record<string, any>} image
 */
function refuseTwoSizes(data, image) {
  for (const key of ['width', 'height']) {
    const sizes = [data[key], image[key]].filter((size) => size !== null && size !== undefined)
    const given = sizes.map(kindOf)
    if (new Set(given).size > 1) {
      throw new LayoutError(
        `The layout and its image have different values of ${key}: ${given.join(' and ')}. Keep one.`
      )
    }
  }
}

/**
 * This pack's format. Hidden boxes are kept: the editor shows them.
 * @type {LayoutFormat['read']}
 */
function readOwn(data, frame) {
  const version = data.version ?? VERSION
  if (version !== VERSION) {
    throw new LayoutError(
      `The layout's format version must be ${VERSION}, got ${kindOf(version)}. Update ComfyUI-IFAdapter.`
    )
  }
  const sized = resized(frame, data)
  const drafts = listOf(data.boxes, 'boxes').map((entry, index) =>
    draftOf(entry, index + 1, sized, BOX_KEYS, 'fractions')
  )
  return { caption: captionOf(data), drafts }
}

/** @type {LayoutFormat['read']} */
function readRelease(data, frame) {
  const sized = resized(frame, data, { width: RELEASE_CANVAS_PX, height: RELEASE_CANVAS_PX })
  const drafts = listOf(data.annotations, 'annotations').map((value, index) => {
    const entry = entryOf(value, index + 1)
    const alternatives = Array.isArray(entry.caption) ? entry.caption : [entry.caption] // the first is read
    return draftOf({ ...entry, caption: alternatives[0] }, index + 1, sized, [RELEASE_BOX])
  })
  return { caption: captionOf(data), drafts }
}

/**
 * A list of boxes or of descriptions, or a single box.
 * @type {LayoutFormat['read']}
 */
function readList(data, frame) {
  /** @type {any[]} */
  let entries = Array.isArray(data) ? listOf(data, 'layout') : [data]
  const isFrames = entries.length > 0 && entries.every((part) => Array.isArray(part) && part.every(isObject))
  if (isFrames && entries.length > 1) {
    throw new LayoutError(
      `The layout is a list of ${entries.length} frames of boxes; a layout is one picture. Keep one frame.`
    )
  }
  if (isFrames) entries = listOf(entries[0], 'layout')
  if (entries.length && entries.every(Array.isArray)) {
    throw new LayoutError(
      `The layout is a list of bare numbers (${kindOf(entries[0])}), which does not say their order or ` +
        'describe the boxes. Write objects, such as {"bbox_2d": [x0, y0, x1, y1], "label": ".."}.'
    )
  }
  return { caption: '', drafts: entries.map((entry, index) => draftOf(entry, index + 1, frame)) }
}

/**
 * A whole JSON prompt for Ideogram 4, which holds box elements.
 * @type {LayoutFormat['read']}
 */
function readElementPrompt(data, frame) {
  const sized = resized(frame, data)
  const part = objectOf(data.compositional_deconstruction, 'compositional_deconstruction')
  const elements = listOf(part.elements, 'elements')
  const drafts = elements.map((entry, index) => draftOf(entry, index + 1, sized, [ELEMENT]))
  return { caption: captionOf(data), drafts }
}

/**
 * A reader of boxes [x0, y0, x1, y1] and descriptions in two lists of the same length, under these keys.
 * @param {string} boxes
 * @param {string} descriptions
 * @param {string} unit
 * @returns {LayoutFormat['read']}
 */
function parallelLists(boxes, descriptions, unit) {
  return (data, frame) => {
    const { units, pixels } = resized(frame, data)
    const [rows, texts] = [listOf(data[boxes], boxes), listOf(data[descriptions], descriptions)]
    if (rows.length !== texts.length) {
      throw new LayoutError(
        `'${boxes}' has ${rows.length} entries and '${descriptions}' has ${texts.length}; expected one ` +
          'description for each box.'
      )
    }
    const drafts = rows.map((row, index) => ({
      number: index + 1,
      corners: xyxy(row, `Box ${index + 1} in '${boxes}'`),
      description: descriptionOf({ [descriptions]: texts[index] }, [descriptions], index + 1),
      unit: units ?? unit,
      pixels,
      strength: 1,
      hidden: false,
      order: EDGES,
      entry: {}
    }))
    return { caption: captionOf(data), drafts }
  }
}
