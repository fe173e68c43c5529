// @ts-check
// A run of the layout alone: only the nodes that its picture needs, without sampling.

import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { descendantsOf, promptId } from './descendants.js'
import { keepResult, viewUrl } from './results.js'

const PREVIEW = 'ifadapter_preview' // id of the node that shows the picture, in the prompt alone

/** @type {WeakRef<ComfyNode> | null} */
let waiting = null // the node whose preview runs

/** Listens to the previews of the server. */
export function listenToPreviews() {
  api.addEventListener('executed', ({ detail }) => {
    const node = detail?.node === PREVIEW ? waiting?.deref() : null
    const file = detail?.output?.images?.[0]
    if (node && file) keepResult(node, { ownership: viewUrl(file) })
  })
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
  prompt[PREVIEW] = { class_type: 'PreviewImage', inputs: { images: [id, slot] } }
  waiting = new WeakRef(node)
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
