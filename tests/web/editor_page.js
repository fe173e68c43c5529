// The page object of the layout editor.

import { openEmptyWorkflow } from './frontend.js'
import { poll } from './poll.js'

const NODE_SIZE = [760, 640]

/** Page object of the layout editor: mouse, keys and the node's value. */
export class Editor {
  /** close(passed): ends the use of the page. passed: whether the next test may use it. */
  constructor(page, close) {
    this.page = page
    this.close = close
    this.errors = []
    page.removeAllListeners('pageerror')
    page.on('pageerror', (error) => this.errors.push(error.message))
    this.root = page.getByTestId('ifa-editor').first()
    this.surface = page.getByTestId('ifa-surface').first()
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
