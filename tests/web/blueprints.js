// The pack's blueprints in ComfyUI's page: found by name, and complete when they are added.

import assert from 'node:assert/strict'
import { readdirSync, readFileSync } from 'node:fs'

import { EMPTY_CANVAS, openNodeSearch } from './frontend.js'
import { poll } from './poll.js'
import { EMPTY } from './gestures.js'

const SEARCH_MS = 5000
const BLUEPRINTS = new URL('../../subgraphs/', import.meta.url)

/** inEditor(name, layout, act, options): a test in an editor of its own. */
export function blueprints(inEditor) {
  inEditor('each blueprint is found by its name, with its nodes, links and values', EMPTY, async (editor) => {
    const { page } = editor
    for (const file of readdirSync(BLUEPRINTS)) {
      const name = file.replace('.json', '')
      const {
        nodes: [outside],
        definitions: {
          subgraphs: [inside]
        }
      } = JSON.parse(readFileSync(new URL(file, BLUEPRINTS), 'utf-8'))
      const { output, widgets } = await addedBlueprint(page, name)
      assert.deepEqual(linksOfPrompt(output), linksOfSubgraph(inside), name)
      assert.deepEqual(
        widgets,
        outside.inputs.filter((input) => input.widget).map((input) => input.name),
        name
      )
      assert.ok(
        Object.values(output).every(({ inputs }) => Object.values(inputs).every((value) => value !== undefined))
      )
    }
  })
}

/** Adds a blueprint by the node search. Returns its nodes as a run gets them, and its widgets; removes it. */
async function addedBlueprint(page, name) {
  const count = () => page.evaluate(() => window.app.graph._nodes.length)
  const before = await count()
  const item = page.getByTestId('result-item').filter({ hasText: name }).first()
  await poll(async () => {
    const field = await openNodeSearch(page)
    try {
      await field.fill(name, { timeout: SEARCH_MS })
      await item.click({ timeout: SEARCH_MS })
      return true
    } catch {
      await page.keyboard.press('Escape') // a search that opened before the page was ready closes or stays empty
      return false
    }
  })
  await poll(async () => (await count()) > before)
  await page.mouse.click(...EMPTY_CANVAS) // places the node, which some frontends hold at the pointer
  return page.evaluate(async () => {
    const node = window.app.graph._nodes.at(-1)
    const { output } = await window.app.graphToPrompt()
    const inside = Object.entries(output).filter(([id]) => id.startsWith(`${node.id}:`))
    const widgets = node.widgets.map((widget) => widget.name)
    window.app.graph.remove(node)
    return { output: Object.fromEntries(inside), widgets }
  })
}

function linksOfPrompt(output) {
  return Object.values(output)
    .flatMap(({ class_type: type, inputs }) =>
      Object.entries(inputs)
        .filter(([, value]) => Array.isArray(value))
        .map(([input, [id, slot]]) => `${output[id].class_type} ${slot} -> ${type} ${input}`)
    )
    .sort()
}

function linksOfSubgraph({ nodes, links }) {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  return links
    .filter((link) => byId.has(link.origin_id) && byId.has(link.target_id))
    .map((link) => {
      const [from, to] = [byId.get(link.origin_id), byId.get(link.target_id)]
      return `${from.type} ${link.origin_slot} -> ${to.type} ${to.inputs[link.target_slot].name}`
    })
    .sort()
}
