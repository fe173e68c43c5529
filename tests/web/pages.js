// Pages of a browser with a layout editor, one for each test or one for several in turn.

import { Editor } from './editor_page.js'
import { openEmptyWorkflow, rendererOf } from './frontend.js'
import { WAIT_MS } from './poll.js'

const PIXELS = { width: 1400, height: 900 }

/**
 * Opens a workflow with one IFAdapter Layout node in a renderer. It may be in the page of the test before, which loads
 * ComfyUI once: a page takes five of the six seconds of a test.
 * fresh: in a page of its own. context: further options of the browser's context, whose page is always new.
 */
export async function openEditor(
  browser,
  server,
  renderer,
  { layout = '', palette = 'dark', language = 'en', fresh = false, ...context } = {}
) {
  const settings = {
    'Comfy.VueNodes.Enabled': renderer === 'Nodes 2.0',
    'Comfy.TutorialCompleted': true,
    'Comfy.Workflow.Persist': false,
    'Comfy.Graph.CanvasInfo': false,
    'Comfy.RightSidePanel.IsOpen': false,
    'Comfy.ColorPalette': palette,
    'Comfy.Locale': language
  }
  const key = fresh || Object.keys(context).length ? null : JSON.stringify(settings)
  const page = (await reusedPage(browser, key, renderer)) ?? (await openedPage(browser, server, settings, context))
  const editor = new Editor(page, (passed) => close(page, passed ? key : null))
  await editor.addNode(layout)
  return editor
}

/** The page that the next test may use, with the settings it has, by browser. */
const reusable = new WeakMap()
/** Contexts that several tests use one after the other, by browser: the frontend is loaded from their cache. */
const contexts = new WeakMap()

/** The page of the test before with an empty workflow and nothing stored, or null if it has other settings. */
async function reusedPage(browser, key, renderer) {
  const { page, key: had } = reusable.get(browser) ?? {}
  if (!page) return null
  reusable.delete(browser)
  if (key === null || had !== key || renderer !== (await rendererOf(page))) {
    await page.close()
    return null
  }
  await page.unrouteAll()
  await page.evaluate(async () => {
    const { workflow, command } = window.app.extensionManager
    const old = [...workflow.openWorkflows]
    await command.execute('Comfy.NewBlankWorkflow')
    for (const each of old) await workflow.closeWorkflow(each)
    localStorage.clear()
    sessionStorage.clear()
  })
  await page.mouse.move(0, 0)
  return page
}

/** A new page with an empty workflow and nothing stored. */
async function openedPage(browser, server, settings, context) {
  const page = await newPage(browser, server, context)
  page.setDefaultTimeout(WAIT_MS)
  do {
    // Once more, if the page of the test before stored its own settings after these.
    await fetch(`${server.url}/api/settings`, { method: 'POST', body: JSON.stringify(settings) })
    await page.goto(server.url)
    await openEmptyWorkflow(page)
  } while ((await rendererOf(page)) !== (settings['Comfy.VueNodes.Enabled'] ? 'Nodes 2.0' : 'classic'))
  return page
}

/** A page whose context stores nothing yet. options: of a context of its own. */
async function newPage(browser, server, options) {
  if (Object.keys(options).length)
    return (await browser.newContext({ viewport: PIXELS, ...options })).newPage()
  if (!contexts.has(browser)) contexts.set(browser, await browser.newContext({ viewport: PIXELS }))
  const context = contexts.get(browser)
  await context.clearCookies()
  const page = await context.newPage()
  const session = await context.newCDPSession(page)
  const storageTypes = 'local_storage,indexeddb,websql,service_workers,file_systems'
  await session.send('Storage.clearDataForOrigin', { origin: server.url, storageTypes })
  await session.detach()
  return page
}

/** Closes a page, unless another test may use it. key: names its settings; null = none may. */
async function close(page, key) {
  const context = page.context()
  const browser = context.browser()
  if (key !== null) reusable.set(browser, { page, key })
  else if (contexts.get(browser) === context) await page.close()
  else await context.close()
}
