// @ts-check
// What runs send to the editors: boxes of links, backgrounds, token counts and pictures.

import { api } from '../../../scripts/api.js'
import { editorOf, forAll, renderAll } from './editors.js'
import { linkedNode, nodeOf, widgetOf } from './graph.js'

/**
 * What a node's last run sent to its editor.
 * @typedef {object} RunResult
 * @property {string} [boxes] boxes of a linked input, as JSON
 * @property {string} [background] URL of the linked background picture
 * @property {{ width: number, height: number }} [canvas] size of the picture in pixels
 * @property {Map<string, number>} [tokens] exact token count of each local description
 */

/** @type {WeakMap<ComfyNode, RunResult>} */
const runResults = new WeakMap()
/** @type {{ last: string | null, live: string | null }} */
const pictures = { last: null, live: null } // URLs of the last result, and of the latest preview or result

/** Listens to the runs of the server. */
export function listenToRuns() {
  api.addEventListener('executed', ({ detail }) => {
    const picture = detail?.output?.images?.at?.(-1)
    if (!picture?.filename) return
    pictures.last = viewUrl(picture)
    showLive(pictures.last)
  })
  api.addEventListener('execution_start', () => forAll((editor) => editor.fail(null)))
  api.addEventListener('execution_error', ({ detail }) => {
    const message = String(detail?.exception_message ?? '').trim()
    if (message) editorOf(nodeOf(detail.node_id))?.fail(message)
  })
  api.addEventListener('b_preview', ({ detail }) => showLive(URL.createObjectURL(detail)))
  api.addEventListener('ifadapter.linked_boxes', ({ detail }) => {
    const node = nodeOf(detail.node)
    if (node) keepResult(node, { boxes: detail.boxes })
  })
}

/** @param {ComfyNode} node */
export function resultOf(node) {
  return runResults.get(node) ?? {}
}

/** URL of the last result, or null. */
export function lastResult() {
  return pictures.last
}

/** URL of the latest preview or result of a run, or null. */
export function livePicture() {
  return pictures.live
}

/** @param {string} url */
function showLive(url) {
  if (pictures.live?.startsWith('blob:')) URL.revokeObjectURL(pictures.live)
  pictures.live = url
  renderAll()
}

/**
 * @param {ComfyNode} node
 * @param {RunResult} result replaces the parts that it has
 */
export function keepResult(node, result) {
  runResults.set(node, { ...runResults.get(node), ...result })
  editorOf(node)?.render()
}

/**
 * The `ui` result of the layout node, see nodes/host/editor.py.
 * @param {{
 *   ifadapter_background?: ComfyFile[],
 *   ifadapter_canvas?: { width: number, height: number }[],
 *   ifadapter_tokens?: { text: string, tokens: number }[]
 * } | undefined} output
 * @returns {RunResult}
 */
export function readOutput(output) {
  /** @type {RunResult} */
  const result = {}
  const picture = output?.ifadapter_background?.[0]
  if (picture) result.background = viewUrl(picture)
  const canvas = output?.ifadapter_canvas?.at(-1)
  if (canvas) result.canvas = canvas
  const counted = output?.ifadapter_tokens
  if (counted) result.tokens = new Map(counted.map(({ text, tokens }) => [text, tokens]))
  return result
}

/**
 * The URL of the picture that is linked as background, or null.
 * @param {ComfyNode} node
 */
export function backgroundOf(node) {
  const origin = linkedNode(node, 'background')
  return origin === undefined ? null : (pictureOf(origin) ?? resultOf(node).background ?? null)
}

/**
 * The URL of the picture that a node shows or loads, or null.
 * @param {ComfyNode | null} node
 */
function pictureOf(node) {
  if (!node) return null
  if (node.imgs?.[0]?.src) return node.imgs[0].src
  const file = widgetOf(node, 'image')?.value
  if (typeof file !== 'string' || !file) return null
  const [, path = '', type = 'input'] = file.match(/^(.*?)(?: \[(\w+)\])?$/) ?? []
  const parts = path.split('/')
  return viewUrl({ filename: parts.pop() ?? '', subfolder: parts.join('/'), type })
}

/** @param {ComfyFile} file */
export function viewUrl({ filename, subfolder = '', type = 'output' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}
