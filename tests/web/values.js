// What the node's value means: linked sizes and boxes, errors at their box, and the text field without scripts.

import assert from 'node:assert/strict'

import { openEmptyWorkflow } from './frontend.js'
import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const PIXELS = '{"units": "pixels", "boxes": [{"x": 512, "y": 256, "w": 1024, "h": 512, "caption": "a cat"}]}'

/** The default value of the node's layout. */
function example(editor) {
  return editor.page.evaluate(async () => {
    const answer = await window.comfyAPI.api.api.fetchApi('/object_info/IFAdapterLayout')
    return (await answer.json()).IFAdapterLayout.input.required.layout[1].default
  })
}

/** The width by the height of the surface. */
async function shape(editor) {
  const { width, height } = await editor.surface.boundingBox()
  return width / height
}

/** Waits until the surface has a shape. */
async function hasShape(editor, expected) {
  await poll(async () => Math.abs((await shape(editor)) - expected) < 0.02)
}

/** Adds a node of one box, or several, without or with a label, and links it. */
async function linkBoxes(editor, boxes) {
  const box = await editor.create('IFAdapterTestBoxes', { widgets: { boxes: JSON.stringify(boxes) } })
  await editor.link(box, 'boxes', 'boxes')
  return editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function values(inEditor) {
  inEditor(
    'the example of a new node does not describe linked boxes; the error is at the editor',
    EMPTY,
    async (editor) => {
      await editor.reload(await example(editor))
      await linkBoxes(editor, [{ x: 10, y: 10, width: 300, height: 300 }])
      await editor.run()
      const alert = editor.root.getByRole('alert')
      await alert.getByText('Box 1 has no local description').waitFor()
      assert.ok(!(await alert.innerText()).includes('Traceback'))
      await editor.root.locator('.ifa-box.ifa-faulty[data-box]').waitFor()
      await editor.root.getByRole('textbox', { name: 'Global caption: the whole picture' }).fill('a room')
      await alert.waitFor({ state: 'hidden' })
    }
  )

  inEditor('a missing description is said at its box, until it is written', TWO, async (editor) => {
    await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    const field = editor.root.getByRole('textbox', { name: 'Description of box 2' })
    await field.fill('')
    await editor.run()
    await editor.root.locator('.ifa-row.ifa-faulty').getByText('Box 2 has no local description').waitFor()
    await editor.root.locator('.ifa-box.ifa-faulty').waitFor()
    await field.fill('a blue pot')
    await editor.root.getByRole('alert').waitFor({ state: 'hidden' })
    assert.equal(await editor.root.locator('.ifa-faulty').count(), 0)
  })

  inEditor(
    'words of the user win over as many labels, and it is said which were taken',
    TWO,
    async (editor) => {
      const labelled = [0, 500].map((x) => ({
        x,
        y: 10,
        width: 300,
        height: 300,
        metadata: { desc: 'thing' }
      }))
      const shown = await linkBoxes(editor, labelled)
      const { outputs } = await editor.run()
      assert.deepEqual(outputs[shown].text, ['a cat and a teapot, a ginger cat, a green teapot'])
      await editor.root.locator('.ifa-remark').getByText('in place of the labels (thing, thing)').waitFor()
      await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
      const second = await editor.run()
      assert.deepEqual(second.outputs[shown].text, ['a cat and a teapot, thing, thing'])
      await editor.root.locator('.ifa-remark').getByText('are their local descriptions').waitFor()
    }
  )

  inEditor('a linked width and height are followed to their value', TWO, async (editor) => {
    const width = await editor.create('PrimitiveInt', { widgets: { value: 512 } })
    await editor.link(width, 'INT', 'width')
    await hasShape(editor, 0.5)
    await editor.click([0.3, 0.5])
    const field = editor.root.getByRole('spinbutton', { name: 'width of the box in pixels' })
    assert.equal(await field.inputValue(), '205')
    await editor.page.evaluate((id) => {
      const [widget] = window.app.graph.getNodeById(id).widgets
      widget.value = 2048
      widget.callback?.(2048)
    }, width)
    await hasShape(editor, 2)
    assertAt((await editor.boxes())[0], [0.1, 0.3, 0.4, 0.5])
    const reroute = await editor.create('Reroute', {})
    await editor.page.evaluate(
      ([from, over]) => {
        const graph = window.app.graph
        const layout = graph._nodes.find((each) => each.type === 'IFAdapterLayout')
        graph.getNodeById(from).connect(0, graph.getNodeById(over), 0)
        graph.getNodeById(over).connect(0, layout, layout.findInputSlot('width'))
      },
      [width, reroute]
    )
    await editor.nextFrame()
    await hasShape(editor, 2)
  })

  inEditor(
    'a width that a run computes is shown as in the last run, and that is said',
    TWO,
    async (editor) => {
      const picture = await editor.create('EmptyImage', { widgets: { width: 512, height: 64 } })
      const size = await editor.create('GetImageSize', {
        at: [900, 500],
        links: { image: [picture, 'IMAGE'] }
      })
      await editor.link(size, 'width', 'width')
      await editor.root.getByText('Run the workflow once to see it here').waitFor()
      await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
      await editor.run()
      await editor.root.getByText('shown as in the last run').waitFor()
      await hasShape(editor, 0.5)
    }
  )

  inEditor('a size that comes into a subgraph is followed out of it', TWO, async (editor) => {
    const id = await editor.id()
    const width = await editor.create('PrimitiveInt', { widgets: { value: 512 } })
    await editor.link(width, 'INT', 'width')
    await editor.page.evaluate((number) => {
      const { canvas, graph } = window.app
      const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(number)]))
      canvas.setGraph(node.subgraph)
    }, id)
    await editor.surface.waitFor()
    await editor.settled()
    await hasShape(editor, 0.5)
  })

  inEditor('boxes in pixels wait for the size of a workflow that is being opened', EMPTY, async (editor) => {
    await editor.page.evaluate((text) => {
      const data = JSON.parse(JSON.stringify(window.app.graph.serialize()))
      data.nodes[0].widgets_values = [text, 2048, 1024]
      return window.app.loadGraphData(data)
    }, PIXELS)
    await poll(async () => (await editor.boxes()).length === 1)
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
    assert.ok(await editor.root.getByRole('alert').isHidden())
  })

  const misread = '{"boxes": [{"x": 0.9, "y": 0.1, "w": 0.8, "h": 0.2, "caption": "a cat"}]}'
  inEditor('a text that is not understood is neither moved, cut nor scaled', misread, async (editor) => {
    await editor.root.getByRole('alert').waitFor()
    await editor.drag([0.2, 0.2], [0.6, 0.6])
    await editor.press('Delete', 'ArrowLeft', 'Control+d')
    await editor.saveAndLoad()
    assert.equal(await editor.value(), misread)
    const { output } = await editor.page.evaluate(() => window.app.graphToPrompt())
    assert.equal(Object.values(output)[0].inputs.layout, misread)
  })

  inEditor("without the editor's scripts the node has its text field", EMPTY, async (editor) => {
    const { page } = editor
    await page.route('**/extensions/ComfyUI-IFAdapter/**', (route) => route.abort())
    await page.reload()
    await openEmptyWorkflow(page)
    const field = page.locator('textarea').filter({ visible: true })
    await poll(async () => {
      await page.evaluate(() => {
        window.app.graph.clear()
        const node = window.LiteGraph.createNode('IFAdapterLayout')
        node.pos = [100, 80]
        window.app.graph.add(node)
        Object.assign(window.app.canvas.ds, { scale: 1, offset: [100, 0] })
        window.app.canvas.setDirty(true, true)
      })
      return (await field.count()) > 0
    })
    assert.match(await field.first().inputValue(), /a ginger cat with white paws/)
    const { output } = await page.evaluate(() => window.app.graphToPrompt())
    assert.match(Object.values(output)[0].inputs.layout, /a ginger cat with white paws/)
  }, { fresh: true })
}
