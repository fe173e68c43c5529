// A ComfyUI server with this pack, a browser, and a page object for the layout editor.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import sparticuz from '@sparticuz/chromium'
import { chromium } from 'playwright-core'

const PACK = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
const HOST = process.env.COMFYUI_PATH ?? join(homedir(), 'comfy', 'ComfyUI')
const PYTHON = join(HOST, '.venv', 'bin', 'python')
const START_MS = 180_000
const WAIT_MS = 30_000
const SEARCH_MS = 3000 // until the node search opens
const NODE_SIZE = [760, 640]
export const EMPTY_CANVAS = [1050, 250] // px of the page, beside the layout node

const NEWEST = join(PACK, 'build', 'frontend', 'comfyui_frontend_package') // installed by make test-web
const PIXELS = { width: 1400, height: 900 }

const CHOSEN = process.env.IFADAPTER_WEB_LEG ?? ''

/**
 * Frontends and renderers under test. IFADAPTER_WEB_LEG selects those with the given text in their name, or "all".
 * briefly: only the cases of hands.js run in `make test`, since each half of the leg is whole in another one: the
 * renderer in the first, the frontend in the last.
 */
export const LEGS = [
  { name: "the host's frontend, classic", frontend: null, renderer: 'classic' },
  { name: 'newest frontend, classic', frontend: NEWEST, renderer: 'classic', briefly: CHOSEN === '' },
  { name: 'newest frontend, Nodes 2.0', frontend: NEWEST, renderer: 'Nodes 2.0' }
].filter(({ name }) => CHOSEN === 'all' || name.includes(CHOSEN))

/** Why the browser tests of a leg must be skipped, or false. */
export function reasonToSkip({ frontend }) {
  if (!existsSync(PYTHON)) return `no ComfyUI with a .venv in ${HOST}`
  return frontend === null || existsSync(frontend)
    ? false
    : 'the newest frontend is not installed: run make test-web'
}

/** Starts a server with an empty base folder. frontend: folder of a frontend package, or null for the host's own. */
export async function startServer(frontend = null) {
  const base = mkdtempSync(join(tmpdir(), 'ifadapter-web-'))
  for (const folder of ['custom_nodes', 'models', 'input', 'output', 'user']) mkdirSync(join(base, folder))
  symlinkSync(PACK, join(base, 'custom_nodes', 'ComfyUI-IFAdapter'))
  symlinkSync(join(PACK, 'tests', 'web', 'preview_node.py'), join(base, 'custom_nodes', 'preview_node.py'))
  const port = await freePort()
  const options = [
    'main.py',
    '--cpu',
    '--port',
    String(port),
    '--base-directory',
    base,
    '--disable-api-nodes'
  ]
  if (frontend !== null) options.push('--front-end-root', join(frontend, 'static'))
  const child = spawn(PYTHON, options, {
    cwd: HOST,
    env: { ...process.env, OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data))
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + START_MS
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`The server did not start:\n${log.slice(-2000)}`)
    await pause(200)
  }
  return {
    url,
    base,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await new Promise((done) => child.on('exit', done))
      rmSync(base, { recursive: true, force: true })
    }
  }
}

export async function startBrowser(...args) {
  return chromium.launch({
    args: ['--no-sandbox', ...args],
    executablePath: await sparticuz.executablePath(),
    headless: true
  })
}

/** Contexts that several tests use one after the other, by browser: the frontend is loaded from their cache. */
const contexts = new WeakMap()
const sharedContexts = new WeakSet()

/** A page whose context stores nothing yet. options: of a context of its own. */
async function newPage(browser, server, options) {
  if (Object.keys(options).length)
    return (await browser.newContext({ viewport: PIXELS, ...options })).newPage()
  if (!contexts.has(browser)) contexts.set(browser, await browser.newContext({ viewport: PIXELS }))
  const context = contexts.get(browser)
  sharedContexts.add(context)
  await context.clearCookies()
  const page = await context.newPage()
  const session = await context.newCDPSession(page)
  const storageTypes = 'local_storage,indexeddb,websql,service_workers,file_systems'
  await session.send('Storage.clearDataForOrigin', { origin: server.url, storageTypes })
  await session.detach()
  return page
}

/** Opens a workflow with one IFAdapter Layout node in a renderer. context: further options of the browser's context. */
export async function openEditor(
  browser,
  server,
  renderer,
  { layout = '', palette = 'dark', language = 'en', ...context } = {}
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
  const page = await newPage(browser, server, context)
  page.setDefaultTimeout(WAIT_MS)
  const errors = []
  page.on('pageerror', (error) => errors.push(error.message))
  const isVueNodes = settings['Comfy.VueNodes.Enabled']
  do {
    // Once more, if the page of the test before stored its own settings after these.
    await fetch(`${server.url}/api/settings`, { method: 'POST', body: JSON.stringify(settings) })
    await page.goto(server.url)
    await openEmptyWorkflow(page)
  } while ((await page.evaluate(() => Boolean(window.LiteGraph.vueNodesMode))) !== isVueNodes)
  const editor = new Editor(page, errors)
  await editor.addNode(layout)
  return editor
}

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

/** Page object of the layout editor: mouse, keys and the node's value. */
export class Editor {
  constructor(page, errors) {
    this.page = page
    this.errors = errors
    this.root = page.getByTestId('ifa-editor').first()
    this.surface = page.getByTestId('ifa-surface').first()
  }

  async close() {
    if (sharedContexts.has(this.page.context())) await this.page.close()
    else await this.page.context().close()
  }

  /** Reloads the page, with one layout node in a new workflow. */
  async reload(layout) {
    await this.page.reload()
    await openEmptyWorkflow(this.page)
    await this.addNode(layout)
  }

  /** Saves and loads the workflow, which recreates its nodes. */
  async saveAndLoad() {
    await this.page.evaluate(() =>
      window.app.loadGraphData(JSON.parse(JSON.stringify(window.app.graph.serialize())))
    )
  }

  async addNode(layout, at = [100, 80]) {
    await this.page.evaluate(
      ([text, pos, size]) => {
        const node = window.LiteGraph.createNode('IFAdapterLayout')
        node.pos = pos
        window.app.graph.add(node)
        node.setSize(size)
        node.widgets.find((widget) => widget.name === 'layout').value = text
        window.app.canvas.ds.scale = 1
        window.app.canvas.ds.offset = [100, 0]
        window.app.canvas.setDirty(true, true)
      },
      [layout, at, NODE_SIZE]
    )
    await this.surface.waitFor()
    await this.settled()
  }

  /** Adds a node and returns its id. links: [node id, output name] by input. */
  async create(type, { at = [900, 80], widgets = {}, links = {} } = {}) {
    return this.page.evaluate(
      ([kind, pos, values, inputs]) => {
        const node = window.LiteGraph.createNode(kind)
        node.pos = pos
        window.app.graph.add(node)
        for (const [name, value] of Object.entries(values))
          node.widgets.find((widget) => widget.name === name).value = value
        for (const [name, [origin, output]] of Object.entries(inputs)) {
          const from = window.app.graph.getNodeById(origin)
          from.connect(from.findOutputSlot(output), node, node.findInputSlot(name))
        }
        return node.id
      },
      [type, at, widgets, links]
    )
  }

  /** Links a node's output to an input of the layout node. */
  async link(origin, output, name) {
    await this.page.evaluate(
      ([id, from, to]) => {
        const [node, layout] = [
          window.app.graph.getNodeById(id),
          window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
        ]
        node.connect(node.findOutputSlot(from), layout, layout.findInputSlot(to))
      },
      [origin, output, name]
    )
    await this.nextFrame()
  }

  /** The id of the first layout node. */
  async id() {
    return this.page.evaluate(
      () => window.app.graph._nodes.find((node) => node.type === 'IFAdapterLayout').id
    )
  }

  /** Runs the graph and returns the server's history entry of the run. */
  async run() {
    const known = Object.keys(await this.history())
    await this.page.evaluate(() => window.app.queuePrompt(0))
    let entry
    await poll(async () => {
      entry = Object.entries(await this.history()).find(([id]) => !known.includes(id))?.[1]
      return entry?.status?.completed !== undefined
    })
    return entry
  }

  async history() {
    return this.page.evaluate(async () => (await window.comfyAPI.api.api.fetchApi('/history')).json())
  }

  /** Waits until the surface has stopped moving. */
  async settled() {
    let before = null
    await poll(async () => {
      const area = JSON.stringify(await this.surface.boundingBox())
      const same = area === before && area !== 'null'
      before = area
      return same
    })
  }

  /** The widget's value. index: of the layout node, in the order of ids. */
  async value(index = 0) {
    return this.page.evaluate((at) => {
      const layouts = window.app.graph._nodes
        .filter((node) => node.type === 'IFAdapterLayout')
        .sort((a, b) => a.id - b.id)
      return layouts[at].widgets.find((widget) => widget.name === 'layout').value
    }, index)
  }

  async layout(index = 0) {
    return JSON.parse(await this.value(index))
  }

  async boxes(index = 0) {
    return (await this.layout(index)).boxes
  }

  /** The page pixels of a point of the surface, 0..1. */
  async at([x, y]) {
    const area = await this.surface.boundingBox()
    return [area.x + x * area.width, area.y + y * area.height]
  }

  async drag(from, to, keys = []) {
    const [start, end] = [await this.at(from), await this.at(to)]
    for (const key of keys) await this.page.keyboard.down(key)
    await this.dragPixels(start, end)
    for (const key of [...keys].reverse()) await this.page.keyboard.up(key)
  }

  async dragPixels(start, end) {
    await this.page.mouse.move(...start)
    await this.page.mouse.down()
    await this.page.mouse.move(...end, { steps: 10 })
    await this.nextFrame()
    await this.page.mouse.up()
    await this.nextFrame()
  }

  async click(place, options = {}) {
    await this.page.mouse.click(...(await this.at(place)), options)
    await this.nextFrame()
  }

  async press(...keys) {
    for (const key of keys) await this.page.keyboard.press(key)
    await this.nextFrame()
  }

  async nextFrame() {
    await this.page.evaluate(
      () => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
    )
  }

  tool(name) {
    return this.root.locator(`[data-tool="${name}"]`)
  }
}

/** Waits until a condition holds. Throws the last error, or a timeout, if it never does. */
export async function poll(holds, wait = WAIT_MS) {
  const deadline = Date.now() + wait
  for (;;) {
    try {
      if (await holds()) return
      if (Date.now() > deadline) throw new Error(`Timeout: ${holds}`)
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await pause(50)
  }
}

function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds))
}

async function answers(url) {
  try {
    return (await fetch(url)).ok
  } catch {
    return false
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}
