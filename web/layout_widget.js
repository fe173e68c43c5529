// The layout editor as the widget of the IFAdapter Layout node: the only file that knows ComfyUI's frontend.

import { app } from '../../scripts/app.js'
import { api } from '../../scripts/api.js'
import { LayoutEditor } from './layout_view.js'

const TYPE = 'IFADAPTER_EDITOR' // the widget type that the node asks for
const PRESETS = 'ifadapter/layouts' // folder in the user's data
const MIN_WIDTH = 480
const MIN_HEIGHT = 380
const DEFAULTS = { snap: false, grid: 64, guides: true, dim: 0.5, background: true }
const FALLBACK_PX = 1024
const RETRIES_MS = [0, 50, 200, 500] // after a workflow was loaded, until the page has caught up

const owners = new WeakMap() // root element -> { node, editor }
let lastPicture = null // URL

app.registerExtension({
  name: 'IFAdapter.LayoutEditor',

  getCustomWidgets() {
    return { [TYPE]: makeWidget }
  },

  nodeCreated(node) {
    const editor = editorOf(node)
    if (!editor) return
    for (const name of ['width', 'height']) {
      const widget = node.widgets?.find((each) => each.name === name)
      if (widget) widget.callback = chained(widget.callback, () => editor.render())
    }
    editor.render()
  },

  afterConfigureGraph() {
    for (const wait of RETRIES_MS) setTimeout(replaceStaleEditors, wait)
  }
})

api.addEventListener('executed', ({ detail }) => {
  const picture = detail?.output?.images?.at?.(-1)
  if (picture?.filename) lastPicture = viewUrl(picture)
})

function makeWidget(node, name, [, options] = []) {
  const editor = new LayoutEditor(hostOf(node))
  owners.set(editor.root, { node, editor })
  editor.root.addEventListener('pointerdown', (event) => guard(editor, event), true)
  editor.root.addEventListener('focusin', (event) => guard(editor, event), true)
  const widget = node.addDOMWidget(name, TYPE, editor.root, {
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
    preference(name, ...value) {
      if (value.length) node.setProperty?.(`editor_${name}`, value[0])
      return node.properties?.[`editor_${name}`] ?? DEFAULTS[name]
    },
    forward: forwardToGraph
  }
}

function editorOf(node) {
  const widget = node.widgets?.find((each) => each.element && owners.has(each.element))
  return widget ? owners.get(widget.element).editor : null
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

// Editors whose node is gone. After the graph's own undo, the page may go on showing the element of a node that was replaced.

function isLive(node) {
  return node.graph?.getNodeById?.(node.id) === node
}

function liveEditor(node) {
  const live = (node.graph ?? app.graph)?.getNodeById?.(node.id)
  return live && live !== node ? editorOf(live) : null
}

function replaceStaleEditors() {
  for (const root of document.querySelectorAll('.ifa-editor')) {
    const owner = owners.get(root)
    if (!owner || isLive(owner.node)) continue
    const live = liveEditor(owner.node)
    if (!live || live.root.isConnected) continue
    root.replaceWith(live.root)
    live.render()
  }
}

/** Nothing is done to an editor whose node is gone. */
function guard(editor, event) {
  const { node } = owners.get(editor.root)
  if (isLive(node) || !liveEditor(node)) return
  event.stopImmediatePropagation()
  event.preventDefault()
  replaceStaleEditors()
}

// Pictures

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
