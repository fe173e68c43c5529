// @ts-check
// The layout editor as the widget of the IFAdapter Layout node. The only module that registers something.

import { app } from '../../../scripts/app.js'
import { LayoutEditor } from '../view/editor.js'
import { addEditor, editorOf, endEditor } from './editors.js'
import { showFaces } from './faces.js'
import {
  SUBGRAPH_INPUT,
  captureUndoState,
  captureUndoStateSoon,
  chained,
  forwardToGraph,
  linkOf,
  linkedNode,
  slotOf
} from './graph.js'
import { useLanguage } from './language.js'
import { keepText, linkedTextOf, listenToTexts } from './links/texts.js'
import { preference } from './preferences.js'
import { presets } from './presets.js'
import { listenToPreviews, previewLayout } from './preview.js'
import { backgroundOf, keepResult, listenToRuns, readOutput, resultOf } from './results.js'
import { cancelRun, listenToProgress, runState, startRun } from './run.js'
import { canvasOf, setCanvas, unitsOf } from './sizes.js'
import { tokensOf } from './tokens.js'

const NODE = 'IFAdapterLayout'
const TYPE = 'IFADAPTER_EDITOR'
const MIN_WIDTH = 340 // px
const MIN_HEIGHT = 340 // px
const NEW_NODE = { width: 480, height: 860 } // px
const LINKS = ['boxes', 'masks'] // inputs that replace the drawn boxes

let createdEditors = 0

/**
 * @param {ComfyNode} node
 * @param {string} name of the input
 * @param {any} [input] its type and options
 */
function makeWidget(node, name, [, options] = []) {
  useLanguage()
  const editor = new LayoutEditor(hostOf(node))
  addEditor(editor, node)
  editor.root.classList.add('ifa-in-node')
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
    hideInPanel: true
  })
  widget.serializeValue = () => editor.runValue
  editor.value = options?.default ?? ''
  node.onRemoved = chained(node.onRemoved, () => endEditor(editor))
  return { widget, minWidth: NEW_NODE.width, minHeight: NEW_NODE.height }
}

/**
 * ComfyUI as the editor sees it.
 * @param {ComfyNode} node
 * @returns {EditorHost}
 */
function hostOf(node) {
  return {
    canvas: () => canvasOf(node),
    setCanvas: (size) => setCanvas(node, size),
    run: { start: startRun, cancel: cancelRun, state: runState },
    units: () => unitsOf(node),
    changed() {
      node.setDirtyCanvas?.(true, false)
      captureUndoStateSoon()
    },
    committed: captureUndoState,
    tokens: (text) => tokensOf(node, text),
    presets,
    results: () => picturesOf(node),
    preview: () => previewLayout(node),
    ownership: () => resultOf(node).ownership ?? null,
    dropOwnership: () => resultOf(node).ownership && keepResult(node, { ownership: null }),
    livePicture: () => resultOf(node).live ?? null,
    background: () => backgroundOf(node),
    textLinked: () => isTextLinked(node),
    linkedText: () => linkedTextOf(node, isTextLinked(node)),
    linked() {
      const isLinked = LINKS.some((name) => linkedNode(node, name) !== undefined)
      return isLinked ? { boxes: resultOf(node).boxes ?? null } : null
    },
    unlink() {
      for (const name of LINKS) {
        const slot = slotOf(node, name)
        if (slot >= 0) node.disconnectInput(slot)
      }
    },
    preference: (name, ...value) => preference(node, name, ...value),
    forward: forwardToGraph
  }
}

/**
 * @param {ComfyNode} node
 * @returns {import('../view/results.js').RunPictures}
 */
function picturesOf(node) {
  const { pictures = [], before = [], layout = null, marks = [] } = resultOf(node)
  return { pictures, before, layout, marks }
}

/**
 * Holds the smallest width of a node: the classic renderer asks computeSize, Nodes 2.0 only tells onResize.
 * @param {ComfyNode} node
 */
function holdWidth(node) {
  const computeSize = node.computeSize?.bind(node)
  if (computeSize) {
    node.computeSize = (...values) => {
      const size = computeSize(...values)
      size[0] = Math.max(size[0], MIN_WIDTH)
      return size
    }
  }
  node.onResize = chained(node.onResize, (size) => {
    if (size?.[0] < MIN_WIDTH) size[0] = MIN_WIDTH
  })
}

/**
 * Whether the layout comes from the face of a subgraph node, which has an editor of its own.
 * @param {ComfyNode} node
 */
function isPromoted(node) {
  const link = linkOf(node, slotOf(node, 'layout'))
  return String(link?.origin_id) === SUBGRAPH_INPUT
}

/**
 * Whether the layout itself comes from a link, so that a run does not get what is drawn.
 * @param {ComfyNode} node
 */
function isTextLinked(node) {
  return linkedNode(node, 'layout') !== undefined && !isPromoted(node)
}

/** @param {ComfyNode} node */
function connect(node) {
  const editor = editorOf(node)
  if (!editor) return
  node.onConnectionsChange = chained(node.onConnectionsChange, () =>
    setTimeout(() => {
      editor.render()
      showAllFaces()
    })
  )
  node.onExecuted = chained(node.onExecuted, (output) => {
    keepResult(node, readOutput(output))
    keepText(node, output?.ifadapter_text?.at(-1) ?? null)
    editor.tell(output?.ifadapter_notices ?? [])
  })
  for (const widget of node.widgets ?? []) {
    if (['width', 'height'].includes(widget.name))
      widget.callback = chained(widget.callback, () => editor.canvasChanged())
    if (widget.name === 'units') widget.callback = chained(widget.callback, () => editor.render())
  }
  holdWidth(node)
  node.onConfigure = chained(node.onConfigure, () => editor.render())
  editor.render()
}

/** Shows the editor on every subgraph node to which it is promoted. */
function showAllFaces() {
  showFaces(app.rootGraph ?? app.graph, TYPE, hostOf)
}

app.registerExtension({
  name: 'ComfyUI.IFAdapter.LayoutEditor',
  setup() {
    listenToRuns()
    listenToTexts()
    listenToProgress()
    listenToPreviews()
  },
  // Without this script, the input stays the text field of the node's schema.
  beforeRegisterNodeDef(_, definition) {
    const options = definition.name === NODE && definition.input?.required?.layout?.[1]
    if (!options) return
    options.widgetType = TYPE
    options.socketless = false // an input, so that subgraphs and apps can show the editor
    delete options.tooltip // for those who write JSON: it would float over the graph
  },
  getCustomWidgets: () => ({ [TYPE]: makeWidget }),
  nodeCreated: connect,
  afterConfigureGraph: showAllFaces
})
