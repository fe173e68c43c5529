// @ts-check
// What runs send to the editors: boxes of links, backgrounds, token counts, pictures and marks.

import { api } from '../../../scripts/api.js'
import { descendantsOf, promptId } from './descendants.js'
import { forAll } from './editors.js'
import { linkedNode, nodeOf, widgetOf } from './graph.js'
import { lastTextOf } from './links/texts.js'
import { nodesOfRun } from './requests.js'

/** @typedef {import('../view/results.js').Mark} Mark */

/**
 * What a node's runs sent to its editor.
 * @typedef {object} RunResult
 * @property {string} [boxes] boxes of a linked input, as JSON
 * @property {string} [background] URL of the linked background picture
 * @property {{ width: number, height: number }} [canvas] size of the picture in pixels
 * @property {Map<string, number>} [tokens] exact token count of each local description
 * @property {string} [prompt] id of the run of the pictures
 * @property {string[]} [pictures] URLs of the last result: a batch
 * @property {string[]} [before] URLs of the result before
 * @property {import('../layout_model.js').Layout} [layout] that the pictures were made from
 * @property {Mark[]} [marks] of the instances in the pictures
 * @property {ComfyNode} [judge] the node that gave the marks
 * @property {ComfyNode} [shower] the node that showed the pictures
 * @property {string | null} [live] URL of the latest preview or result
 * @property {string | null} [ownership] URL of the previewed layout
 */

// Nodes whose layouts have other boxes than the editor's, or other numbers.
const OTHER_BOXES = new Set(['IFAdapterCaptions', 'IFAdapterCheck', 'IFAdapterCrops', 'IFAdapterLayoutCrop'])
const NOT_YET = { marks: undefined, judge: undefined, shower: undefined } // of a run that begins to answer

/** @type {WeakMap<ComfyNode, RunResult>} */
const runResults = new WeakMap()
/** @type {{ executing: unknown, preview: string | null }} */
const now = { executing: null, preview: null } // id of the running node; URL of the latest preview

/** Listens to the runs of the server. */
export function listenToRuns() {
  api.addEventListener('executing', ({ detail }) => {
    now.executing = typeof detail === 'object' ? detail?.node : detail
  })
  api.addEventListener('executed', ({ detail }) => onExecuted(detail))
  api.addEventListener('execution_start', ({ detail }) => {
    let hasEditor = false
    forAll((editor) => {
      hasEditor = true
      editor.fail(null)
    })
    if (hasEditor) nodesOfRun(detail?.prompt_id) // while the server still has it in its queue
  })
  api.addEventListener('execution_error', ({ detail }) => {
    const message = String(detail?.exception_message ?? '').trim()
    const node = nodeOf(detail?.node_id)
    forAll((editor, each) => each === node && message && editor.fail(message))
  })
  api.addEventListener('b_preview', ({ detail }) => onPreview(URL.createObjectURL(detail)))
  api.addEventListener('ifadapter.linked_boxes', ({ detail }) => {
    const node = nodeOf(detail.node)
    if (node) keepResult(node, { boxes: detail.boxes })
  })
}

/** @param {ComfyNode} node */
export function resultOf(node) {
  return runResults.get(node) ?? {}
}

/**
 * @param {ComfyNode} node
 * @param {RunResult} result replaces the parts that it has
 */
export function keepResult(node, result) {
  runResults.set(node, { ...runResults.get(node), ...result })
  forAll((editor, each) => each === node && editor.render())
}

/**
 * Calls a function with every layout node on whose layout a node depends.
 * @param {unknown} id of the node in the prompt
 * @param {(layoutNode: ComfyNode) => void} act
 */
function forAncestors(id, act) {
  const origin = id === null || id === undefined ? null : nodeOf(id)
  if (!origin) return
  forAll((_, node) => {
    if (descendantsOf(node).has(origin)) act(node)
  })
}

/** @param {{ node: unknown, prompt_id?: string, output?: ComfyOutput }} detail */
async function onExecuted({ node: id, prompt_id: prompt, output }) {
  const pictures = output?.images?.filter((file) => file.filename).map(viewUrl) ?? []
  const marks = output?.ifadapter_marks
  if (!pictures.length && !marks) return
  const run = await nodesOfRun(prompt)
  const origin = nodeOf(id)
  if (!origin || (marks && OTHER_BOXES.has(linkedNode(origin, 'layout')?.type ?? ''))) return
  forAncestors(id, (node) => {
    const known = resultOf(node)
    const isNew = known.prompt !== prompt
    const { judge, shower } = isNew ? {} : known
    /** @type {RunResult} */
    const result = { prompt, layout: isNew ? layoutIn(run, node) : known.layout }
    if (isNew) Object.assign(result, { before: known.pictures ?? [], ...NOT_YET })
    if (pictures.length && !isShownBy(origin, judge)) {
      Object.assign(result, { pictures, live: pictures.at(-1), shower: origin })
      if (isAfter(origin, judge)) result.marks = undefined
    }
    if (marks && !isAfter(shower, origin)) Object.assign(result, { marks, judge: origin })
    keepResult(node, result)
  })
}

/**
 * Whether a node shows what was made after a check, such as a repair, and not what was checked.
 * @param {ComfyNode | undefined} shower
 * @param {ComfyNode | undefined} judge
 */
function isAfter(shower, judge) {
  return Boolean(shower && judge && !isShownBy(shower, judge) && descendantsOf(judge, true).has(shower))
}

/**
 * Whether a node shows an output of a check, such as the best picture of a batch.
 * @param {ComfyNode} shower
 * @param {ComfyNode | undefined} judge
 */
function isShownBy(shower, judge) {
  return Boolean(judge && shower.inputs?.some(({ name }) => linkedNode(shower, name) === judge))
}

/**
 * The layout of a node in a run. Runs may wait in the queue while the layout is edited.
 * @param {ComfyPrompt | null} run
 * @param {ComfyNode} node
 */
function layoutIn(run, node) {
  const inputs = run?.[promptId(node)]?.inputs
  const text = inputs?.layout
  const linked = inputs && !inputs.layout_text ? null : lastTextOf(node)
  /** @type {import('../layout_model.js').Layout | undefined} */
  let layout
  forAll((editor, each) => {
    // On the face of a subgraph, an editor is not asked for its value.
    if (each === node && (editor.root.isConnected || !layout))
      layout = editor.state.layoutOf(typeof text === 'string' ? text : undefined, linked)
  })
  return layout
}

/** @param {string} url */
function onPreview(url) {
  if (now.preview) URL.revokeObjectURL(now.preview)
  now.preview = url
  forAncestors(now.executing, (node) => keepResult(node, { live: url }))
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
