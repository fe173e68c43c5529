// @ts-check
// A run of the layout alone: only the nodes that its picture needs, without sampling.

import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { descendantsOf, promptId } from './descendants.js'
import { forAll } from './editors.js'
import { keepResult, viewUrl } from './results.js'

const PREVIEW = 'ifadapter_preview_' // and a number: id of the node that shows the picture, only in the prompt

/** @type {Map<string, { node: WeakRef<ComfyNode>, text: unknown }>} */
const waiting = new Map() // nodes whose previews run, with the texts of their layouts
let previews = 0 // started since the page was opened

/** Listens to the previews of the server. */
export function listenToPreviews() {
  api.addEventListener('executed', ({ detail }) => {
    const preview = waiting.get(detail?.node)
    const node = preview?.node.deref()
    const file = detail?.output?.images?.[0]
    waiting.delete(detail?.node)
    if (node && file && isCurrent(node, preview?.text)) keepResult(node, { ownership: viewUrl(file) })
  })
}

/**
 * Whether a node's editor still shows the layout that a run got.
 * @param {ComfyNode} node
 * @param {unknown} text that the run got
 */
function isCurrent(node, text) {
  let isSame = typeof text !== 'string' // from a link
  forAll((editor, each) => {
    if (each === node) isSame ||= editor.state.layoutOf(String(text)) === editor.state.history.present
  })
  return isSame
}

/**
 * Runs a layout node and its semantic map, if there is one, and shows the map's picture, else the layout's.
 * @param {ComfyNode} node
 */
export async function previewLayout(node) {
  const { output, workflow } = await app.graphToPrompt()
  const map = [...descendantsOf(node)].find((each) => each.type === 'IFAdapterSemanticMap')
  const mapId = map && promptId(map)
  const origin = map && mapId && output[mapId] ? map : node
  const slot = origin.outputs?.findIndex(({ name }) => name === 'picture') ?? -1
  const id = promptId(origin)
  const prompt = neededBy(output, id)
  previews += 1
  const shown = `${PREVIEW}${previews}`
  prompt[shown] = { class_type: 'PreviewImage', inputs: { images: [id, slot] } }
  waiting.set(shown, { node: new WeakRef(node), text: prompt[promptId(node)]?.inputs.layout })
  await api.queuePrompt(0, { output: prompt, workflow })
}

/**
 * The part of a prompt that a node needs.
 * @param {ComfyPrompt} prompt
 * @param {string} id
 */
function neededBy(prompt, id) {
  /** @type {ComfyPrompt} */
  const needed = {}
  const queue = [id]
  for (let next = queue.pop(); next !== undefined; next = queue.pop()) {
    if (needed[next] || !prompt[next]) continue
    needed[next] = prompt[next]
    for (const value of Object.values(prompt[next].inputs))
      if (Array.isArray(value)) queue.push(String(value[0]))
  }
  return needed
}
