// ComfyUI's page: its workflows, its node search, its renderer.

import { pause, poll } from './poll.js'

const SEARCH_MS = 3000 // until the node search opens
export const EMPTY_CANVAS = [1050, 250] // px of the page, beside the layout node

/** Waits until ComfyUI has started in the page, sets window.app, and opens an empty workflow. */
export async function openEmptyWorkflow(page) {
  await page.waitForFunction(
    () => window.LiteGraph?.registered_node_types?.IFAdapterLayout && window.comfyAPI?.app?.app?.graph
  )
  await page.evaluate(() => void (window.app = window.comfyAPI.app.app))
  await poll(async () => (await activeWorkflow(page)) !== null)
  const first = await activeWorkflow(page)
  await poll(async () => {
    // ComfyUI may still be opening its first workflow, which then becomes the active one
    if ((await activeWorkflow(page)) === first)
      await page.evaluate(() => void window.app.extensionManager.command.execute('Comfy.NewBlankWorkflow'))
    await pause(300)
    return (
      (await activeWorkflow(page)) !== first &&
      (await page.evaluate(() => window.app.graph._nodes.length)) === 0
    )
  })
}

/** Opens ComfyUI's node search by a double click beside the layout node; returns its text field. */
export async function openNodeSearch(page) {
  const field = page.getByRole('combobox', { name: 'Add a node...' })
  await poll(async () => {
    await page.mouse.dblclick(...EMPTY_CANVAS, { delay: 5 }) // two single clicks if the page is slow
    try {
      await field.waitFor({ timeout: SEARCH_MS }) // another click would close a search that is about to open
    } catch {
      return false
    }
    await pause(300)
    return field.isVisible() // one that opened before the page was ready closes again
  })
  return field
}

/** The path of the active workflow, or null. */
function activeWorkflow(page) {
  return page.evaluate(() => window.app.extensionManager?.workflow?.activeWorkflow?.path ?? null)
}

/** 'classic' or 'Nodes 2.0'. */
export function rendererOf(page) {
  return page.evaluate(() => (window.LiteGraph.vueNodesMode ? 'Nodes 2.0' : 'classic'))
}
