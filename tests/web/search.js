// The frontend's node search: artists find the pack's nodes by the words that they type.

import assert from 'node:assert/strict'

import { openNodeSearch } from './frontend.js'
import { poll } from './poll.js'
import { EMPTY } from './gestures.js'

const WORDS = [
  'box',
  'boxes',
  'bbox',
  'bounding box',
  'region',
  'regional',
  'regional prompt',
  'layout',
  'place',
  'position',
  'area',
  'composition',
  'spatial',
  'instance',
  'multi subject',
  'characters',
  'attention couple',
  'gligen',
  'grounding'
]
const FIRST = 5 // results in which one of the pack's nodes must be, unless a core node has the word in its name
// The frontend sorts nodes that match only by an alias or by a similar word by their popularity. Six popular core nodes match
// "position" by words such as "composite" and "positive".
const FIRST_OF_WORD = { position: 7 }

/** inEditor(name, layout, act, options): a test in an editor of its own. */
export function search(inEditor) {
  inEditor("the node search finds the pack's nodes by the words that artists type", EMPTY, async (editor) => {
    const { page } = editor
    const field = await openNodeSearch(page)
    const core = await coreNames(page)
    for (const word of WORDS) {
      await field.fill('qqqqqqqq') // clears the results of the previous word
      await poll(async () => (await page.getByTestId('result-item').count()) === 0)
      await field.fill(word)
      const limit = core.some((name) => name.includes(word)) ? Infinity : (FIRST_OF_WORD[word] ?? FIRST)
      let results = []
      await poll(async () => {
        results = await page.getByTestId('result-item').allInnerTexts()
        const rank = results.findIndex((text) => text.includes('IFAdapter')) + 1
        return rank > 0 && rank <= limit
      }, 5000).catch(() =>
        assert.fail(`"${word}" finds none of the pack's nodes in the first ${limit}: ${results.slice(0, 8)}`)
      )
    }
    await editor.press('Escape')
  })
}

/** Ids and display names of ComfyUI's own nodes, in lower case. */
async function coreNames(page) {
  const nodes = await page.evaluate(async () =>
    (await window.comfyAPI.api.api.fetchApi('/object_info')).json()
  )
  return Object.values(nodes)
    .filter(({ python_module: module }) => module === 'nodes' || module.startsWith('comfy_extras.'))
    .flatMap(({ name, display_name: shown }) => [name, shown])
    .map((name) => (name ?? '').toLowerCase())
}
