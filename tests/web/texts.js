// Texts of layouts in the editor: repaired ones, units, and the notices of a run.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const ANSWER = `<think>A desk {with a lamp}.</think>
Here is your layout:

\`\`\`json
{
  "caption": "a desk", // the whole picture
  "boxes": [{"x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4, "caption": "a brass lamp",}],
}
\`\`\`
Enjoy!`
const THOUSANDTHS_OR_PIXELS = '[{"bbox_2d": [128, 256, 896, 768], "label": "a cat"}]'
const PIXELS = '{"boxes": [{"x": 512, "y": 256, "w": 1024, "h": 512, "caption": "a cat"}]}'

/** Sets a widget of the layout node as a user does. */
async function set(editor, name, value) {
  await editor.page.evaluate(
    ([key, given]) => {
      const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
      const widget = node.widgets.find((each) => each.name === key)
      widget.value = given
      widget.callback?.(given)
    },
    [name, value]
  )
  await editor.nextFrame()
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function texts(inEditor) {
  inEditor("a language model's answer can be pasted, and its repair is said once", EMPTY, async (editor) => {
    const remark = editor.root.locator('.ifa-remark')
    await editor.tool('exchange').click()
    await editor.root.getByRole('textbox', { name: 'The layout as JSON' }).fill(ANSWER)
    await editor.root.getByRole('button', { name: 'Use this text' }).click()
    await remark.getByText('Repaired: left out the text around the JSON, left out the reasoning').waitFor()
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.3, 0.4])
    assert.equal((await editor.layout()).caption, 'a desk')
    await editor.root.getByRole('textbox', { name: 'Description of box 1' }).fill('a copper lamp')
    await remark.waitFor({ state: 'hidden' })
    const stored = await editor.value()
    assert.deepEqual(Object.keys(JSON.parse(stored)).sort(), ['boxes', 'caption', 'units', 'version'])
    await editor.saveAndLoad()
    await poll(async () => (await editor.value()) === stored)
    assert.ok(await remark.isHidden())
    await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    assert.equal((await editor.run()).status.status_str, 'success')
  })

  inEditor('a workflow with a repaired text says so until it is dismissed', ANSWER, async (editor) => {
    const remark = editor.root.locator('.ifa-remark')
    await remark.getByText('Repaired').waitFor()
    assert.equal((await editor.boxes()).length, 1)
    await remark.getByRole('button', { name: 'Dismiss' }).click()
    await remark.waitFor({ state: 'hidden' })
  })

  inEditor('units of the node apply to a text that states none', THOUSANDTHS_OR_PIXELS, async (editor) => {
    assertAt((await editor.boxes())[0], [0.128, 0.256, 0.768, 0.512])
    await set(editor, 'units', 'pixels')
    assertAt((await editor.boxes())[0], [0.125, 0.25, 0.75, 0.5])
    await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    assert.equal((await editor.run()).status.status_str, 'success')
    await editor.drag([0.5, 0.5], [0.5, 0.6])
    await set(editor, 'units', 'percent')
    await editor.saveAndLoad()
    await poll(async () => (await editor.boxes()).length === 1)
    assertAt((await editor.boxes())[0], [0.125, 0.35, 0.75, 0.5])
    assert.equal((await editor.run()).status.status_str, 'success')
  })

  inEditor('an unreadable text is kept until the size and the units fit it', PIXELS, async (editor) => {
    const alert = editor.root.getByRole('alert')
    await alert.getByText('Box 1 lies outside the canvas').waitFor()
    assert.equal(await editor.value(), PIXELS)
    await set(editor, 'units', 'pixels')
    await alert.getByText('Box 1 lies outside the canvas').waitFor()
    await set(editor, 'width', 2048)
    await alert.waitFor({ state: 'hidden' })
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
    await set(editor, 'width', 512)
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
  })

  inEditor('a workflow sets the size and the units after the text', EMPTY, async (editor) => {
    await editor.page.evaluate((text) => {
      const data = JSON.parse(JSON.stringify(window.app.graph.serialize()))
      data.nodes[0].widgets_values = [text, 2048, 1024, 'xywh', 'pixels']
      return window.app.loadGraphData(data)
    }, PIXELS)
    await poll(async () => (await editor.boxes()).length === 1)
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
    await editor.root.locator('[data-box]').waitFor()
    assert.ok(await editor.root.getByRole('alert').isHidden())
  })

  inEditor('the notices of a run are shown', TWO, async (editor) => {
    const box = await editor.create('PrimitiveBoundingBox', {
      widgets: { x: 768, y: 0, width: 512, height: 512 }
    })
    await editor.link(box, await firstOutput(editor, box), 'boxes')
    await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    await editor.press('Escape')
    await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
    assert.equal((await editor.run()).status.status_str, 'success')
    await editor.root.locator('.ifa-remark').getByText('cut at the edges of the canvas: box 1').waitFor()
    assert.equal(await editor.root.locator('.ifa-ghost').count(), 1)
  })

  inEditor('names of presets that lead to another folder are refused', TWO, async (editor) => {
    await editor.tool('star').click()
    const name = editor.root.getByRole('textbox', { name: 'Name of this layout' })
    for (const refused of ['..%2f..%2fworkflows%2fevil', '../evil', '..\\evil', 'a\u0007b']) {
      await name.fill(refused)
      await editor.root.getByRole('button', { name: 'Save', exact: true }).click()
      await editor.root.locator('.ifa-flash').getByText('must not contain a slash').first().waitFor()
    }
    assert.equal(await editor.root.locator('.ifa-preset').count(), 1, 'the row of the text field alone')
  })
}

/** The name of a node's first output. */
function firstOutput(editor, id) {
  return editor.page.evaluate((number) => window.app.graph.getNodeById(number).outputs[0].name, id)
}
