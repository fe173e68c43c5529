// The layout editor as the widget of the IFAdapter Layout node: the only file that knows ComfyUI's frontend.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { LayoutEditor } from './layout_view.js'

const TYPE = 'IFADAPTER_EDITOR' // the widget type that the node asks for
const PRESETS = 'ifadapter/layouts' // folder in the user's data
const MIN_WIDTH = 480
const MIN_HEIGHT = 380
const DEFAULTS = { snap: false, grid: 64, guides: true, thirds: false, dim: 0.5, background: true, live: false }
const FALLBACK_PX = 1024
const LINKS = ['boxes', 'masks'] // inputs that take the place of what is drawn

const editors = new WeakMap() // root element -> editor
const received = new WeakMap() // node -> { boxes, background } of its last run: text of JSON, and a URL
let lastPicture = null // URL of the last result
let livePicture = null // URL of what the run shows: the previews of its sampling, then its result
let made = 0 // editors

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
      const picture = output?.ifadapter_background?.[0]
      if (picture) keep(node, { background: viewUrl(picture) })
    })
    for (const name of ['width', 'height']) {
      const widget = node.widgets?.find((each) => each.name === name)
      if (widget) widget.callback = chained(widget.callback, () => editor.render())
    }
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
  if (node) keep(node, { boxes: detail.boxes })
})

function makeWidget(node, name, [, options] = []) {
  const editor = new LayoutEditor(hostOf(node))
  editors.set(editor.root, editor)
  made += 1
  // A type of its own for each: where a node is replaced by one of the same number, as by the graph's undo, Nodes 2.0 would
  // go on showing the old node's element, and what is drawn there would be lost.
  const widget = node.addDOMWidget(name, `${TYPE}#${made}`, editor.root, {
    getValue: () => editor.value,
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

/** What the editor asks of ComfyUI. */
function hostOf(node) {
  const size = (name) => Number(node.widgets?.find((widget) => widget.name === name)?.value) || FALLBACK_PX
  return {
    canvas: () => ({ width: size('width'), height: size('height') }),
    changed: () => node.setDirtyCanvas?.(true, false),
    committed: captureUndoState,
    countTokens,
    presets,
    lastResult: () => lastPicture,
    livePicture: () => livePicture,
    background: () => backgroundOf(node),
    linked: () => (LINKS.some((name) => linkedNode(node, name) !== undefined) ? { boxes: received.get(node)?.boxes ?? null } : null),
    unlink() {
      for (const name of LINKS) {
        const slot = slotOf(node, name)
        if (slot >= 0) node.disconnectInput(slot)
      }
    },
    preference(name, ...value) {
      if (value.length) node.setProperty?.(`editor_${name}`, value[0])
      return node.properties?.[`editor_${name}`] ?? DEFAULTS[name]
    },
    forward: forwardToGraph
  }
}

function editorOf(node) {
  const widget = node.widgets?.find((each) => each.element && editors.has(each.element))
  return widget ? editors.get(widget.element) : null
}

function chained(first, second) {
  return function (...values) {
    const result = first?.apply(this, values)
    second.apply(this, values)
    return result
  }
}

/** The frontend takes its undo states on mouse-up events that the editor's gestures keep from it. */
function captureUndoState() {
  const tracker = app.extensionManager?.workflow?.activeWorkflow?.changeTracker
  if (tracker?.captureCanvasState) tracker.captureCanvasState()
  else tracker?.checkState?.()
}

/** In the classic renderer the graph sees no wheel and no middle button over an element. */
function forwardToGraph(event) {
  if (window.LiteGraph?.vueNodesMode) return
  const canvas = document.getElementById('graph-canvas')
  if (!canvas) return
  event.preventDefault()
  event.stopPropagation()
  canvas.dispatchEvent(new event.constructor(event.type, event))
}

// What is linked to the node, and what its run told

function slotOf(node, name) {
  return node.inputs?.findIndex((input) => input.name === name) ?? -1
}

/** The node that is linked to an input; null when it cannot be seen from here, as through a subgraph's edge; undefined without a link. */
function linkedNode(node, name) {
  const slot = slotOf(node, name)
  if (slot < 0 || (node.inputs[slot].link ?? null) === null) return undefined
  return node.getInputNode?.(slot) ?? null
}

/** The URL of the picture that is linked as background, or null. */
function backgroundOf(node) {
  const origin = linkedNode(node, 'background')
  return origin === undefined ? null : (pictureOf(origin) ?? received.get(node)?.background ?? null)
}

/** What a node shows already, or the file that it loads: a URL, or null. */
function pictureOf(node) {
  if (!node) return null
  if (node.imgs?.[0]?.src) return node.imgs[0].src
  const file = node.widgets?.find((widget) => widget.name === 'image')?.value
  if (typeof file !== 'string' || !file) return null
  const [, path, type = 'input'] = file.match(/^(.*?)(?: \[(\w+)\])?$/)
  const parts = path.split('/')
  return viewUrl({ filename: parts.pop(), subfolder: parts.join('/'), type })
}

function keep(node, parts) {
  received.set(node, { ...received.get(node), ...parts })
  editorOf(node)?.render()
}

/** The node of an id as the server has it: those in subgraphs have the ids of the nodes around them before their own. */
function nodeOf(id) {
  let graph = app.rootGraph ?? app.graph
  let node = null
  for (const part of String(id).split(':')) {
    node = graph?.getNodeById?.(part) ?? null
    graph = node?.subgraph
  }
  return node
}

// Pictures

function showLive(url) {
  if (livePicture?.startsWith('blob:')) URL.revokeObjectURL(livePicture)
  livePicture = url
  for (const root of document.querySelectorAll('.ifa-editor')) editors.get(root)?.render()
}

function viewUrl({ filename, subfolder = '', type = 'output' }) {
  return api.apiURL(`/view?${new URLSearchParams({ filename, subfolder, type })}`)
}

// The server

async function countTokens(texts) {
  try {
    const answer = await api.fetchApi('/ifadapter/tokens', { method: 'POST', body: JSON.stringify({ texts }) })
    return answer.ok ? (await answer.json()).counts : null
  } catch {
    return null
  }
}

const presets = {
  async list() {
    const answer = await api.fetchApi(`/userdata?${new URLSearchParams({ dir: PRESETS })}`)
    if (answer.status === 404) return []
    await expectOk(answer, 'The presets cannot be listed')
    return (await answer.json()).filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  },

  async load(name) {
    const answer = await api.fetchApi(presetPath(name))
    await expectOk(answer, `The preset ${name} cannot be loaded`)
    return answer.text()
  },

  async save(name, text) {
    await expectOk(await api.fetchApi(`${presetPath(name)}?overwrite=true`, { method: 'POST', body: text }), `The preset ${name} cannot be saved`)
  },

  async remove(name) {
    await expectOk(await api.fetchApi(presetPath(name), { method: 'DELETE' }), `The preset ${name} cannot be deleted`)
  }
}

function presetPath(name) {
  if (/[\\/]/.test(name)) throw new Error('The name of a preset must not contain a slash.')
  return `/userdata/${encodeURIComponent(`${PRESETS}/${name}.json`)}`
}

async function expectOk(answer, trouble) {
  if (!answer.ok) throw new Error(`${trouble}: ${answer.status} ${answer.statusText}`)
}
