// @ts-check
/** Exports of annotation tools, refused by name. `ifadapter_core/formats/exports.py` is the Python twin. */

import { LayoutError, hasKeys, isObject } from './fields.js'

const ADVICE =
  'Give the boxes of one picture, such as {"caption": "..", "width": 1024, "height": 768, ' +
  '"units": "pixels", "boxes": [{"x": 10, "y": 20, "w": 300, "h": 400, "caption": ".."}]}.'
const COCO_KEYS = ['category_id', 'image_id', 'segmentation']
const XML = /^\s*(```\w*\s*)?<(annotation|\?xml)/i

/**
 * Whether data[key] is a list whose first entry has one of these keys.
 * @param {Record<string, any>} data
 * @param {string} key
 * @param {string[]} inner
 */
function holds(data, key, ...inner) {
  return Array.isArray(data[key]) && hasAny(data[key][0], ...inner)
}

/**
 * @param {unknown} entry
 * @param {string[]} keys
 */
function hasAny(entry, ...keys) {
  return isObject(entry) && keys.some((key) => key in entry)
}

/** @type {[string, (data: Record<string, any>) => boolean][]} */
const EXPORTS = [
  [
    'a COCO annotation file',
    (data) =>
      hasKeys(data, 'images', 'annotations') ||
      holds(data, 'annotations', ...COCO_KEYS) ||
      ('bbox' in data && hasAny(data, ...COCO_KEYS))
  ],
  [
    'a Label Studio export',
    (data) =>
      holds(data, 'annotations', 'result') ||
      holds(data, 'result', 'from_name', 'value') ||
      hasKeys(data, 'from_name', 'value') ||
      Object.keys(data).some((key) => key !== 'boxes' && holds(data, key, 'rectanglelabels'))
  ],
  ['a LabelMe file', (data) => holds(data, 'shapes', 'points') || hasKeys(data, 'shapes', 'imagePath')],
  ['a Pascal VOC annotation', (data) => hasKeys(data.annotation, 'object')]
]

/**
 * Throws LayoutError that names the tool if parsed JSON is the export of an annotation tool.
 * @param {unknown} data
 */
export function refuseExports(data) {
  const first = Array.isArray(data) ? data[0] : data
  const found = isObject(first) ? EXPORTS.find(([, matches]) => matches(first)) : undefined
  if (found) {
    throw new LayoutError(
      `The layout is ${found[0]}, which is not read: its boxes may belong to other pictures. ${ADVICE}`
    )
  }
}

/**
 * Throws LayoutError if the text is a Pascal VOC annotation or other XML.
 * @param {string} text
 */
export function refuseXml(text) {
  if (XML.test(text)) {
    throw new LayoutError(`The layout is XML, such as a Pascal VOC annotation, which is not read. ${ADVICE}`)
  }
}
