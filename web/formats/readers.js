// @ts-check
/**
 * Readers of whole layouts, one per format: parsed JSON -> caption and drafts.
 * `ifadapter_core/formats/{own,comfyui,annotations,exports}.py` are the Python twins.
 */

import { BOX_KEYS, CENTRED, ELEMENT, XYWH_BBOX, draftOf, xywh, xyxy } from './entries.js'
import { LayoutError, captionOf, descriptionOf, entryOf, hasKeys, isObject, kindOf, listOf, numberOf, objectOf } from './fields.js'

/** @typedef {import('./entries.js').Draft} Draft */
/** @typedef {import('./entries.js').Frame} Frame */
/** @typedef {import('./units.js').Canvas} Canvas */
/** @typedef {{caption: string, drafts: Draft[]}} Reading */
/** @typedef {{example: string, matches: (data: any) => boolean, read: (data: any, frame: Frame) => Reading}} LayoutFormat */

export const VERSION = 1
export const RELEASE_CANVAS_PX = 768 // side of the release's canvas, if the layout does not give its own
const EXPORT_ADVICE =
  'Give the boxes of one picture, such as {"caption": "..", "width": 1024, "height": 768, "units": "pixels", "boxes": ' +
  '[{"x": 10, "y": 20, "w": 300, "h": 400, "caption": ".."}]}.'

/** The formats; the first that matches is used. @type {LayoutFormat[]} */
export const FORMATS = [
  {
    example: '{"prompt", "phrases": [..], "boxes": [[x0, y0, x1, y1]]}: fractions (GLIGEN)',
    matches: (data) => hasKeys(data, 'phrases', 'boxes'),
    read: parallelLists('boxes', 'phrases', 'prompt', 'fractions'),
  },
  {
    example: 'this pack\'s format {"caption": .., "boxes": [{"x", "y", "w", "h", "caption"}]}: fractions',
    matches: (data) => hasKeys(data, 'boxes'),
    read: readOwn,
  },
  {
    example:
      'the release\'s format {"caption": .., "annotations": [{"box": [x, y, w, h], "caption"}]}: pixels of a ' +
      `${RELEASE_CANVAS_PX} x ${RELEASE_CANVAS_PX} canvas`,
    matches: (data) => hasKeys(data, 'annotations'),
    read: readRelease,
  },
  {
    example: '{"annos": [{"bbox": [x, y, w, h], "caption"}]}: pixels (InstanceDiffusion)',
    matches: (data) => hasKeys(data, 'annos'),
    read: (data, frame) => ({
      caption: captionOf(data, 'caption'),
      drafts: listOf(data.annos, 'annos').map((entry, index) =>
        draftOf(entry, index + 1, resized(frame, data), [XYWH_BBOX]),
      ),
    }),
  },
  {
    example: '{"bboxes": [[x0, y0, x1, y1]], "labels": [..]}: pixels (Florence-2)',
    matches: (data) => hasKeys(data, 'bboxes', 'labels'),
    read: parallelLists('bboxes', 'labels', 'caption', 'pixels'),
  },
  {
    example: '{"region_bboxes_list": [[x0, y0, x1, y1]], "detail_region_caption_list": [..]}: fractions (CreatiLayout)',
    matches: (data) => hasKeys(data, 'region_bboxes_list', 'detail_region_caption_list'),
    read: parallelLists('region_bboxes_list', 'detail_region_caption_list', 'global_caption', 'fractions'),
  },
  {
    example: '{"predictions": [{"x", "y", "width", "height", "class"}]}: centres, pixels (Roboflow)',
    matches: (data) => hasKeys(data, 'predictions'),
    read: (data, frame) => {
      const sized = resized(frame, objectOf('image' in data ? data.image : {}, 'image'))
      const entries = listOf(data.predictions, 'predictions')
      return { caption: '', drafts: entries.map((entry, index) => draftOf(entry, index + 1, sized, [CENTRED])) }
    },
  },
  {
    example: '{"high_level_description", "compositional_deconstruction": {"elements": [..]}} (Ideogram 4)',
    matches: (data) => hasKeys(data, 'compositional_deconstruction'),
    read: readElementPrompt,
  },
  {
    example: `a list of boxes, each one of ${BOX_KEYS.map(({ example }) => example).join('; ')}`,
    matches: (data) =>
      Array.isArray(data) || (isObject(data) && ('bbox' in data || BOX_KEYS.some((kind) => kind.matches(data)))),
    read: readList,
  },
]

/**
 * A frame with the width and height that the layout gives, else a default.
 * @param {Frame} frame
 * @param {Record<string, any>} data
 * @param {Canvas} [standard]
 * @returns {Frame}
 */
function resized(frame, data, standard = frame.pixels) {
  const width = numberOf('width' in data ? data.width : standard.width, 'width')
  const height = numberOf('height' in data ? data.height : standard.height, 'height')
  if (Math.min(width, height) < 1) {
    throw new LayoutError(`The layout's own canvas is ${width} x ${height} pixels; expected at least 1 x 1.`)
  }
  return { ...frame, pixels: { width, height } }
}

/**
 * This pack's format. Hidden boxes are kept: the editor shows them.
 * @type {LayoutFormat['read']}
 */
function readOwn(data, frame) {
  const version = 'version' in data ? data.version : VERSION
  if (version !== VERSION) {
    throw new LayoutError(
      `The layout has format version ${JSON.stringify(version)}; this pack reads version ${VERSION}. Update ComfyUI-IFAdapter.`,
    )
  }
  const sized = resized(frame, data)
  const drafts = listOf(data.boxes, 'boxes').map((entry, index) => {
    const hidden = isObject(entry) && 'hidden' in entry ? entry.hidden : false
    if (typeof hidden !== 'boolean') {
      throw new LayoutError(
        `Box ${index + 1}: hidden is ${JSON.stringify(hidden)}; expected true or false, without quotation marks.`,
      )
    }
    return draftOf(entry, index + 1, sized, BOX_KEYS, 'fractions')
  })
  return { caption: captionOf(data, 'caption'), drafts }
}

/** @type {LayoutFormat['read']} */
function readRelease(data, frame) {
  const sized = resized(frame, data, { width: RELEASE_CANVAS_PX, height: RELEASE_CANVAS_PX })
  const drafts = listOf(data.annotations, 'annotations').map((value, index) => {
    const number = index + 1
    const entry = entryOf(value, number)
    const caption = Array.isArray(entry.caption) ? entry.caption[0] : entry.caption // alternatives: the first
    return {
      number,
      corners: xywh(entry.box, `Box ${number}: 'box'`),
      description: descriptionOf({ caption }, ['caption'], number),
      unit: sized.units ?? 'pixels',
      pixels: sized.pixels,
      strength: 1,
      entry,
    }
  })
  return { caption: captionOf(data, 'caption'), drafts }
}

/**
 * A list of boxes or of descriptions, or a single box.
 * @type {LayoutFormat['read']}
 */
function readList(data, frame) {
  /** @type {any[]} */
  let entries = Array.isArray(data) ? data : [data]
  const isFrames = entries.length > 0 && entries.every((part) => Array.isArray(part) && part.every(isObject))
  if (isFrames && entries.length > 1) {
    throw new LayoutError(`The layout is a list of ${entries.length} frames of boxes; a layout is one picture. Keep one frame.`)
  }
  if (isFrames) entries = entries[0]
  if (entries.length && entries.every(Array.isArray)) {
    throw new LayoutError(
      `The layout is a list of bare numbers (${kindOf(entries[0])}), which does not say their order or describe the ` +
        'boxes. Write objects, such as {"bbox_2d": [x0, y0, x1, y1], "label": ".."}.',
    )
  }
  return { caption: '', drafts: entries.map((entry, index) => draftOf(entry, index + 1, frame)) }
}

/**
 * A whole JSON prompt for Ideogram 4, which holds box elements.
 * @type {LayoutFormat['read']}
 */
function readElementPrompt(data, frame) {
  const part = objectOf(data.compositional_deconstruction, 'compositional_deconstruction')
  const elements = listOf(part.elements, 'elements')
  const drafts = elements.map((entry, index) => draftOf(entry, index + 1, frame, [ELEMENT]))
  return { caption: captionOf(data, 'high_level_description'), drafts }
}

/**
 * A reader of boxes [x0, y0, x1, y1] and descriptions in two lists of the same length, under these keys.
 * @param {string} boxes
 * @param {string} descriptions
 * @param {string} caption
 * @param {string} unit
 * @returns {LayoutFormat['read']}
 */
function parallelLists(boxes, descriptions, caption, unit) {
  return (data, frame) => {
    const [rows, texts] = [listOf(data[boxes], boxes), listOf(data[descriptions], descriptions)]
    if (rows.length !== texts.length) {
      throw new LayoutError(
        `'${boxes}' has ${rows.length} entries and '${descriptions}' has ${texts.length}; expected one description for ` +
          'each box.',
      )
    }
    const drafts = rows.map((row, index) => ({
      number: index + 1,
      corners: xyxy(row, `Box ${index + 1} in '${boxes}'`),
      description: descriptionOf({ [descriptions]: texts[index] }, [descriptions], index + 1),
      unit: frame.units ?? unit,
      pixels: frame.pixels,
      strength: 1,
      entry: {},
    }))
    return { caption: captionOf(data, caption), drafts }
  }
}

/**
 * Whether data[key] is a list whose first entry has one of these keys.
 * @param {unknown} data
 * @param {string} key
 * @param {string[]} inner
 */
function holds(data, key, ...inner) {
  const first = isObject(data) && Array.isArray(data[key]) ? data[key][0] : null
  return isObject(first) && inner.some((name) => name in first)
}

/**
 * Throws LayoutError that names the tool if parsed JSON is the export of an annotation tool.
 * @param {unknown} data
 */
export function refuseExports(data) {
  const task = Array.isArray(data) ? data[0] : data
  const isCoco = hasKeys(data, 'images', 'annotations') || holds(data, 'annotations', 'category_id', 'image_id', 'segmentation')
  const isLabelStudio = holds(task, 'annotations', 'result') || holds(task, 'result', 'from_name', 'value')
  const name = isCoco
    ? 'a COCO annotation file'
    : isLabelStudio
      ? 'a Label Studio export'
      : holds(data, 'shapes', 'points')
        ? 'a LabelMe file'
        : null
  if (name) {
    throw new LayoutError(`The layout is ${name}, which is not read: its boxes belong to other pictures. ${EXPORT_ADVICE}`)
  }
}

/**
 * Throws LayoutError if the text is a Pascal VOC annotation or other XML.
 * @param {string} text
 */
export function refuseXml(text) {
  if (/^\s*<(annotation|\?xml)/i.test(text)) {
    throw new LayoutError(`The layout is XML, such as a Pascal VOC annotation, which is not read. ${EXPORT_ADVICE}`)
  }
}
