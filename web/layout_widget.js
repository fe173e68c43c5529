// @ts-check
// The layout editor as the widget of the IFAdapter Layout node: the only file that knows ComfyUI's frontend.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { LayoutEditor } from './layout_view.js'
import { estimateTokens, readWords } from './token_estimate.js'

/** @typedef {import('./layout_view.js').EditorHost} EditorHost */

/**
 * What a node's last run sent to its editor.
 * @typedef {object} RunResult
 * @property {string} [boxes] boxes of a linked input, as JSON
 * @property {string} [background] URL of the linked background picture
 * @property {Map<string, number>} [tokens] exact token count of each local description
 */

const TYPE = 'IFADAPTER_EDITOR' // the widget type in the node's schema
const PRESETS = 'ifadapter/layouts' // folder in the user's data
const MIN_WIDTH = 480 // px
const MIN_HEIGHT = 380 // px
/** @type {Record<string, unknown>} */
const DEFAULT_PREFERENCES = {
  snap: false,
  grid: 64,
  guides: true,
  thirds: false,
  dim: 0.5,
  background: true,
  live: false
}
const AS_WRITTEN = 'as written' // value of the node's units that leaves the unit to the text
const FALLBACK_PX = 1024 // canvas side if the node has no such widget
const LINKS = ['boxes', 'masks'] // inputs that replace the drawn boxes
const MAX_MEMOISED_TEXTS = 1000

/** @type {WeakMap<HTMLElement, LayoutEditor>} */
const editors = new WeakMap() // by root element
/** @type {WeakMap<ComfyNode, RunResult>} */
const runResults = new WeakMap()
/** @type {string | null} */
let lastPicture = null // URL of the last result
/** @type {string | null} */
let livePicture = null // URL of the latest sampling preview or result
let createdEditors = 0

app.registerExtension({
  name: 'IFAdapter.LayoutEditor',

  getCustomWidgets() {
    return { [TYPE]: makeWidget }
  },

  nodeCreated(node) {
    const editor = editorOf(node)
    if (!editor) return
    node.onConnectionsChange = chained(node.onConnectionsChange, () => setTimeout(() => editor.render()))
    node.onExecuted = chained(node.onExecuted, (output) => {
      keepRunResult(node, readOutput(output))
      editor.tell(output?.ifadapter_notices ?? [])
    })
    for (const widget of node.widgets ?? []) {
      if (['width', 'height'].includes(widget.name))
        widget.callback = chained(widget.callback, () => editor.canvasChanged())
      if (widget.name === 'units') widget.callback = chained(widget.callback, () => editor.render())
    }
    node.onConfigure = chained(node.onConfigure, () => editor.render())
    editor.render()
  }
})

api.addEventListener('executed', ({ detail }) => {
  const picture = detail?.output?.images?.at?.(-1)
  if (!picture?.filename) return
  lastPicture = viewUrl(picture)
  showLive(lastPicture)
})

api.addEventListener('b_preview', ({ detail }) => showLive(URL.createObjectURL(detail)))

api.addEventListener('ifadapter.linked_boxes', ({ detail }) => {
  const node = nodeOf(detail.node)
  if (node) keepRunResult(node, { boxes: detail.boxes })
})

/**
 * @param {ComfyNode} node
 * @param {string} name of the input
 * @param {any} [input] its type and options
 */
function makeWidget(node, name, [, options] = []) {
  const editor = new LayoutEditor(hostOf(node))
  editors.set(editor.root, editor)
  createdEditors += 1
  // Each widget has a unique type. Nodes 2.0 reuses the element of a widget with the same node id and type,
  // so after an undo of the graph, which recreates the node, it would show the old editor and lose what is
  // drawn there.
  const widget = node.addDOMWidget(name, `${TYPE}#${createdEditors}`, editor.root, {
    getValue: () => editor.value,
    /** @param {unknown} value */
    setValue: (value) => {
      editor.value = value
    },
    getMinHeight: () => MIN_HEIGHT,
    hideOnZoom: false,
    hideInPanel: true,
    socketless: true
  })
  widget.serializeValue = () => editor.runValue
  editor.value = options?.default ?? ''
  node.onRemoved = chained(node.onRemoved, () => editor.destroy())
  return { widget, minWidth: MIN_WIDTH, minHeight: MIN_HEIGHT }
}

/**
 * ComfyUI as the editor sees it.
 * @param {ComfyNode} node
 * @returns {EditorHost}
 */
function hostOf(node) {
  /** @param {string} name */
  const size = (name) => Number(node.widgets?.find((widget) => widget.name === name)?.value) || FALLBACK_PX
  return {
    canvas: () => ({ width: size('width'), height: size('height') }),
    units() {
      const value = node.widgets?.find((widget) => widget.name === 'units')?.value
      return typeof value === 'string' && value !== AS_WRITTEN ? value : null
    },
    changed: () => node.setDirtyCanvas?.(true, false),
    committed: captureUndoState,
    tokens: (text) => tokensOf(node, text),
    presets,
    lastResult: () => lastPicture,
    livePicture: () => livePicture,
    background: () => backgroundOf(node),
    linked() {
      const isLinked = LINKS.some((name) => linkedNode(node, name) !== undefined)
      return isLinked ? { boxes: runResults.get(node)?.boxes ?? null } : null
    },
    unlink() {
      for (const name of LINKS) {
        const slot = slotOf(node, name)
        if (slot >= 0) node.disconnectInput(slot)
      }
    },
    preference(name, ...value) {
      if (value.length) node.setProperty?.(`editor_${name}`, value[0])
      return node.properties?.[`editor_${name}`] ?? DEFAULT_PREFERENCES[name]
    },
    forward: forwardToGraph
  }
}

/** @param {ComfyNode} node */
function editorOf(node) {
  const element = node.widgets?.find((widget) => widget.element && editors.has(widget.element))?.element
  return element ? (editors.get(element) ?? null) : null
}

/** Renders every editor in the page. */
function renderAll() {
  for (const root of document.querySelectorAll('.ifa-editor'))
    editors.get(/** @type {HTMLElement} */ (root))?.render()
}

/**
 * A callback that calls both, with the same arguments, and returns the first one's result.
 * @param {((...values: any[]) => unknown) | undefined} first
 * @param {(...values: any[]) => unknown} second
 * @returns {(...values: any[]) => unknown}
 */
function chained(first, second) {
  return function (...values) {
    // @ts-expect-error: `this` is the host's node or widget
    const result = first?.apply(this, values)
    // @ts-expect-error: the same
    second.apply(this, values)
    return result
  }
}

/**
 * Records a state for the graph's undo. The frontend does so on mouse-up events, which the editor's gestures
 * stop.
 */
function captureUndoState() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
}

/**
 * Sends wheel and middle-button events to the graph, which does not get them from an element in the classic
 * renderer.
 * @param {MouseEvent} event
 */
function forwardToGraph(event) {
  if (window.LiteGraph?.vueNodesMode) return
  const canvas = document.getElementById('graph-canvas')
  if (!canvas) return
  event.preventDefault()
  event.stopPropagation()
  const EventType = /** @type {typeof MouseEvent} */ (event.constructor)
  canvas.dispatchEvent(new EventType(event.type, event))
}

// Links and run results

/**
 * @param {ComfyNode} node
 * @param {string} name of an input
 */
function slotOf(node, name) {
  return node.inputs?.findIndex((input) => input.name === name) ?? -1
}

/**
 * The node that is linked to an input; null if it is out of reach, as beyond a subgraph's boundary; undefined
 * without a link.
 * @param {ComfyNode} node
 * @param {string} name of an input
 * @returns {ComfyNode | null | undefined}
 */
function linkedNode(node, name) {
  const slot = slotOf(node, name)
  if (slot < 0 || (node.inputs?.[slot].link ?? null) === null) return undefined
  return node.getInputNode?.(slot) ?? null
}

/**
 * The URL of the picture that is linked as background, or null.
 * @param {ComfyNode} node
 */
function backgroundOf(node) {
  const origin = linkedNode(node, 'background')
  return origin === undefined ? null : (pictureOf(origin) ?? runResults.get(node)?.background ?? null)
}

/**
 * The URL of the picture that a node shows or loads, or null.
 * @param {ComfyNode | null} node
 */
function pictureOf(node) {
  if (!node) return null
  if (node.imgs?.[0]?.src) return node.imgs[0].src
  const file = node.widgets?.find((widget) => widget.name === 'image')?.value
  if (typeof file !== 'string' || !file) return null
  const [, path = '', type = 'input'] = file.match(/^(.*?)(?: \[(\w+)\])?$/) ?? []
  const parts = path.split('/')
  return viewUrl({ filename: parts.pop() ?? '', subfolder: parts.join('/'), type })
}

/**
 * The `ui` result of the layout node, see nodes/host/editor.py.
 * @param {{
 *   ifadapter_background?: ComfyFile[],
 *   ifadapter_tokens?: { text: string, tokens: number }[]
 * } | undefined} output
 * @returns {RunResult}
 */
function readOutput(output) {
  /** @type {RunResult} */
  const result = {}
  const picture = output?.ifadapter_background?.[0]
  if (picture) result.background = viewUrl(picture)
  const counted = output?.ifadapter_tokens
  if (counted) result.tokens = new Map(counted.map(({ text, tokens }) => [text, tokens]))
  return result
}

/**
 * @param {ComfyNode} node
 * @param {RunResult} result replaces the parts that it has
 */
function keepRunResult(node, result) {
  runResults.set(node, { ...runResults.get(node), ...result })
  editorOf(node)?.render()
}

/**
 * The node with an id of the server's, in which the ids of surrounding subgraph nodes come first, separated
 * by colons.
 * @param {unknown} id
 */
function nodeOf(id) {
  /** @type {ComfyGraph | undefined} */
  let graph = app.rootGraph ?? app.graph
  /** @type {ComfyNode | null} */
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(part) ?? null
    graph = node?.subgraph
  }
  return node
}

// Tokens: exact after a run, else estimated

/** @type {Set<string> | null} */
let oneTokenWords = null // null until clip_words.txt is loaded
let wordsRequested = false
/** @type {Map<string, number>} */
const estimates = new Map() // memoised, by text

/**
 * @param {ComfyNode} node
 * @param {string} text a local description
 * @returns {import('./layout_view.js').TokenCount}
 */
function tokensOf(node, text) {
  const exact = runResults.get(node)?.tokens?.get(text.trim())
  if (exact !== undefined) return { count: exact, exact: true }
  if (!wordsRequested) loadWords()
  const known = estimates.get(text)
  if (known !== undefined) return { count: known, exact: false }
  if (estimates.size >= MAX_MEMOISED_TEXTS) estimates.clear()
  const count = estimateTokens(text, oneTokenWords)
  estimates.set(text, count)
  return { count, exact: false }
}

/** Loads the word list, once, for better estimates. Without it they stay coarser. */
async function loadWords() {
  wordsRequested = true
  try {
    const answer = await fetch(new URL('./clip_words.txt', import.meta.url))
    await expectOk(answer, 'clip_words.txt cannot be loaded')
    oneTokenWords = readWords(await answer.text())
  } catch (error) {
    console.warn('IFAdapter: token counts are estimated by the length of words.', error)
    return
  }
  estimates.clear()
  renderAll()
}

// Pictures

/** @param {string} url */
function showLive(url) {
  if (livePicture?.startsWith('blob:')) URL.revokeObjectURL(livePicture)
  livePicture = url
  renderAll()
}

/** @param {ComfyFile} file */
function viewUrl({ filename, subfolder = '', type = 'output' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

// Presets, in the user's data on the server

/** @type {import('./layout_view.js').Presets} */
const presets = {
  async list() {
    const answer = await api.fetchApi(`/userdata?${new URLSearchParams({ dir: PRESETS })}`)
    if (answer.status === 404) return []
    await expectOk(answer, 'The presets cannot be listed')
    /** @type {string[]} */
    const files = await answer.json()
    return files.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  },

  async load(name) {
    const answer = await api.fetchApi(presetPath(name))
    await expectOk(answer, `The preset ${name} cannot be loaded`)
    return answer.text()
  },

  async save(name, text) {
    const answer = await api.fetchApi(`${presetPath(name)}?overwrite=true`, { method: 'POST', body: text })
    await expectOk(answer, `The preset ${name} cannot be saved`)
  },

  async remove(name) {
    await expectOk(
      await api.fetchApi(presetPath(name), { method: 'DELETE' }),
      `The preset ${name} cannot be deleted`
    )
  }
}

/** @param {string} name */
function presetPath(name) {
  // ComfyUI decodes the name twice: an encoded slash would lead to another folder.
  if (/[\\/%\p{Cc}]/u.test(name)) {
    throw new Error('The name of a preset must not contain a slash, % or a control character.')
  }
  return `/userdata/${encodeURIComponent(`${PRESETS}/${name}.json`)}`
}

/**
 * @param {Response} answer
 * @param {string} problem start of the error message
 */
async function expectOk(answer, problem) {
  if (!answer.ok) throw new Error(`${problem}: ${answer.status} ${answer.statusText}`)
}
