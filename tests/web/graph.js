// The editor within ComfyUI: graph, undo, workflows and renderers.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const HOSTILE = `"><img src=x onerror="window.injected = true"><script>window.injected = true</script><svg onload="window.injected = true">`
const HOSTILE_LAYOUT = JSON.stringify({
  version: 1,
  caption: HOSTILE,
  boxes: [
    {
      id: HOSTILE,
      x: 0.1,
      y: 0.1,
      w: 0.5,
      h: 0.5,
      caption: HOSTILE,
      color: `red;background:url(javascript:window.injected=true)`
    },
    { x: 0.5, y: 0.5, w: 0.4, h: 0.4, caption: 'javascript:window.injected = true', color: HOSTILE }
  ]
})

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function graph(inEditor) {
  inEditor('texts and colours of a shared workflow never become markup', HOSTILE_LAYOUT, async (editor) => {
    await editor.click([0.3, 0.3])
    await editor.press('Control+d')
    await editor.saveAndLoad()
    await editor.settled()
    assert.equal(
      await editor.root.locator('script, iframe, object, [src="x"], [onerror], [onload]').count(),
      0
    )
    assert.equal(await editor.page.evaluate(() => window.injected), undefined)
    const boxes = await editor.boxes()
    assert.equal(boxes.length, 3)
    assert.ok(boxes.every((box) => box.color === undefined || /^#[0-9a-f]{6}$/i.test(box.color)))
    assert.equal(boxes[0].caption, HOSTILE)
    assert.ok((await editor.root.textContent()).includes('<script>window.injected'))
  })

  inEditor('after an undo of the graph, the visible editor belongs to the live node', TWO, async (editor) => {
    await editor.drag([0.55, 0.05], [0.9, 0.25])
    await editor.drag([0.1, 0.05], [0.4, 0.2])
    assert.equal((await editor.boxes()).length, 4)
    await editor.page.mouse.click(1250, 500)
    await editor.press('Control+z')
    await poll(async () => (await editor.boxes()).length === 3)
    await poll(() => editor.page.evaluate(() => window.app.graph._nodes[0].widgets[0].element.isConnected))
    await editor.settled()
    await editor.drag([0.1, 0.05], [0.4, 0.2])
    assert.equal((await editor.boxes()).length, 4)
    assert.equal(await editor.page.locator('.ifa-editor').count(), 1)
  })

  inEditor('a run gets boxes and descriptions, without colours and hidden boxes', TWO, async (editor) => {
    await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
    const { output } = await editor.page.evaluate(() => window.app.graphToPrompt())
    const [node] = Object.values(output)
    const sent = JSON.parse(node.inputs.layout)
    assert.deepEqual(sent.boxes, [
      { hidden: true },
      { x: 0.55, y: 0.45, w: 0.35, h: 0.4, caption: 'a green teapot', strength: 1 }
    ])
    assert.equal(sent.caption, 'a cat and a teapot')
  })

  inEditor(
    'saving and loading a workflow keeps the layout, with hidden boxes and colours',
    TWO,
    async (editor) => {
      await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
      const value = await editor.value()
      await editor.saveAndLoad()
      await poll(async () => (await editor.value()) === value)
    }
  )

  for (const scale of [0.5, 1.5]) {
    inEditor(`pointer positions are right when the graph is zoomed to ${scale}`, EMPTY, async (editor) => {
      await editor.page.evaluate((factor) => {
        Object.assign(window.app.canvas.ds, { scale: factor, offset: [20, 20] })
        window.app.canvas.setDirty(true, true)
      }, scale)
      await editor.settled()
      await editor.drag([0.2, 0.2], [0.6, 0.7])
      assertAt((await editor.boxes())[0], [0.2, 0.2, 0.4, 0.5])
    })
  }

  inEditor('each gesture is one undo step of the graph', TWO, async (editor) => {
    const steps = () =>
      editor.page.evaluate(
        () => window.app.extensionManager.workflow.activeWorkflow.changeTracker.undoQueue.length
      )
    const before = await steps()
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assert.equal(await steps(), before + 1)
    await editor.drag([0.7, 0.6], [0.7, 0.5])
    assert.equal(await steps(), before + 2)
  })

  inEditor('copies of the node have independent layouts', TWO, async (editor) => {
    await editor.page.evaluate(() => {
      const copy = window.app.graph._nodes[0].clone()
      copy.pos = [100, 800]
      window.app.graph.add(copy)
    })
    await poll(async () => (await editor.page.locator('.ifa-editor').count()) === 2)
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    const tops = [(await editor.boxes(0))[0].y, (await editor.boxes(1))[0].y].sort((a, b) => a - b)
    assert.ok(Math.abs(tops[0] - 0.2) < 0.006 && Math.abs(tops[1] - 0.3) < 0.006, `${tops}`)
  })

  inEditor('boxes can be copied from one node to another', TWO, async (editor) => {
    await editor.page.evaluate(() => (window.app.canvas.ds.scale = 0.5))
    await editor.addNode(EMPTY, [900, 80])
    await editor.page.evaluate(() => {
      Object.assign(window.app.canvas.ds, { scale: 0.6, offset: [20, 20] })
      window.app.canvas.setDirty(true, true)
    })
    await editor.settled()
    await editor.click([0.3, 0.5])
    await editor.press('Control+c')
    const other = editor.page.getByTestId('ifa-surface').nth(1)
    const area = await other.boundingBox()
    await editor.page.mouse.click(area.x + 20, area.y + 20)
    await editor.press('Control+v')
    const pasted = await editor.boxes(1)
    assert.deepEqual(
      pasted.map((box) => box.caption),
      ['a ginger cat']
    )
    assertAt(pasted[0], [0.1, 0.3, 0.4, 0.5])
    assert.equal((await editor.boxes(0)).length, 2)
  })

  inEditor('switching to another workflow and back keeps the editor working', TWO, async (editor) => {
    const value = await editor.value()
    const front = () =>
      editor.page.evaluate(() => {
        const { activeWorkflow, isBusy } = window.app.extensionManager.workflow
        return isBusy ? null : (activeWorkflow?.path ?? null)
      })
    const first = await front()
    await editor.page.evaluate(
      () => void window.app.extensionManager.command.execute('Comfy.NewBlankWorkflow')
    )
    await poll(async () => (await editor.page.evaluate(() => window.app.graph._nodes.length)) === 0)
    await poll(async () => ![null, first].includes(await front())) // only then can the first workflow be reopened
    await poll(async () => (await editor.page.locator('.ifa-editor').count()) === 0)
    await editor.page.evaluate(
      () => void window.app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')
    )
    await poll(async () => (await editor.page.evaluate(() => window.app.graph._nodes.length)) === 1)
    assert.equal(await editor.value(), value)
    await editor.settled()
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
  })

  inEditor('switching the renderer keeps the editor working', TWO, async (editor) => {
    const other = !(await editor.page.evaluate(() => Boolean(window.LiteGraph.vueNodesMode)))
    await editor.page.evaluate(
      (on) => window.app.extensionManager.setting.set('Comfy.VueNodes.Enabled', on),
      other
    )
    await poll(
      async () => (await editor.page.evaluate(() => Boolean(window.LiteGraph.vueNodesMode))) === other
    )
    await editor.surface.waitFor()
    await editor.settled()
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
    assert.equal(await editor.page.locator('.ifa-editor').count(), 1)
    // The page stores the setting later: not after the next test has set its own.
    const stored = () =>
      editor.page.evaluate(async () => (await (await fetch('/api/settings')).json())['Comfy.VueNodes.Enabled'])
    await poll(async () => (await stored()) === other)
  })

  inEditor('the editor works inside a subgraph, and a run uses its layout', TWO, async (editor) => {
    const id = await editor.id()
    await editor.create('PreviewAny', { links: { source: [id, 'prompt'] } })
    await editor.page.evaluate((number) => {
      const { canvas, graph } = window.app
      const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(number)]))
      canvas.setGraph(node.subgraph)
    }, id)
    await editor.surface.waitFor()
    await editor.settled()
    const held = () =>
      editor.page.evaluate(
        () => window.app.canvas.graph._nodes.find((node) => node.type === 'IFAdapterLayout').widgets[0].value
      )
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt(JSON.parse(await held()).boxes[0], [0.1, 0.2, 0.4, 0.5])
    await editor.root.getByRole('textbox', { name: 'Description of box 1' }).fill('a black cat')
    const { outputs } = await editor.run()
    assert.deepEqual(Object.values(outputs).find(({ text }) => text).text, [
      'a cat and a teapot, a black cat, a green teapot'
    ])
  })

  inEditor('collapsing, expanding and removing the node leaves no elements behind', TWO, async (editor) => {
    const fold = () => editor.page.evaluate(() => window.app.graph._nodes[0].collapse())
    await fold()
    await editor.surface.waitFor({ state: 'hidden' })
    await fold()
    await editor.surface.waitFor()
    await editor.settled()
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
    await editor.page.evaluate(() => window.app.graph.remove(window.app.graph._nodes[0]))
    await poll(async () => (await editor.page.locator('.ifa-editor').count()) === 0)
  })

  inEditor('removing the node in full screen removes the editor', TWO, async (editor) => {
    await editor.tool('expand').click()
    await editor.page.evaluate(() => window.app.graph.remove(window.app.graph._nodes[0]))
    await poll(async () => (await editor.page.locator('.ifa-overlay').count()) === 0)
  })

  inEditor('opening the side panel does not change the editor', TWO, async (editor) => {
    const before = await editor.root.boundingBox()
    const titles = editor.page.getByText('IFAdapter Layout', { exact: true })
    const shown = await titles.count()
    await editor.page.evaluate(() => window.app.canvas.selectNode(window.app.graph._nodes[0]))
    await editor.page.evaluate(() =>
      window.app.extensionManager.setting.set('Comfy.RightSidePanel.IsOpen', true)
    )
    await poll(async () => (await titles.count()) > shown) // the panel shows the node
    await editor.settled()
    assert.equal(await editor.page.locator('.ifa-editor').count(), 1)
    const after = await editor.root.boundingBox()
    assert.ok(Math.abs(after.width - before.width) < 1 && Math.abs(after.height - before.height) < 1)
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
  })

  inEditor(
    'the surface has the aspect ratio of the picture, and the node keeps its size',
    EMPTY,
    async (editor) => {
      const size = () => editor.page.evaluate(() => [...window.app.graph._nodes[0].size])
      const before = await size()
      await editor.page.evaluate(() => {
        const widget = window.app.graph._nodes[0].widgets.find((each) => each.name === 'width')
        widget.value = 2048
        widget.callback?.(2048, window.app.canvas, window.app.graph._nodes[0])
      })
      await editor.settled()
      const area = await editor.surface.boundingBox()
      assert.ok(Math.abs(area.width / area.height - 2) < 0.02)
      assert.deepEqual(await size(), before)
    }
  )

  inEditor('the wheel over the surface zooms the graph', TWO, async (editor) => {
    const view = () =>
      editor.page.evaluate(() => [window.app.canvas.ds.scale, ...window.app.canvas.ds.offset])
    const before = await view()
    await editor.page.mouse.move(...(await editor.at([0.3, 0.5])))
    await editor.page.mouse.wheel(0, -200)
    await poll(async () => JSON.stringify(await view()) !== JSON.stringify(before))
  })
}
