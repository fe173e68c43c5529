// A layout text from a link: which layout counts, taking it over, and errors in it.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, TWO } from './gestures.js'

/** A layout of one box as text. */
function one(caption, units = 'fractions') {
  const side = units === 'pixels' ? 512 : 0.5
  const box = { x: 0, y: 0, w: side, h: side, caption }
  return JSON.stringify({ caption: `with ${caption}`, units, boxes: [box] })
}

/** Adds a node that holds a text, links it, and returns its id. */
async function linkText(editor, text, at = [900, 500]) {
  const id = await editor.create('PrimitiveStringMultiline', { at, widgets: { value: text } })
  await editor.link(id, 'STRING', 'layout_text')
  return id
}

/** Adds nodes that only a run reads, links them, and returns the id of the node that holds the text. */
async function linkComputed(editor, text) {
  const held = await editor.create('PrimitiveStringMultiline', { at: [900, 500], widgets: { value: text } })
  const joined = await editor.create('StringConcatenate', {
    at: [1200, 500],
    links: { string_a: [held, 'STRING'] }
  })
  await editor.link(joined, 'STRING', 'layout_text')
  return held
}

/** Adds an output that shows the prompt; returns a function that runs it. */
async function promptOf(editor) {
  const shown = await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
  return async () => {
    const { outputs, status } = await editor.run()
    assert.equal(status.status_str, 'success', JSON.stringify(status))
    assert.ok(outputs[shown], JSON.stringify({ outputs, status }))
    return outputs[shown].text[0]
  }
}

/** Types a text into a node that holds one, as a user does. */
async function type(editor, id, text) {
  await editor.page.evaluate(
    ([node, value]) => {
      const [widget] = window.app.graph.getNodeById(node).widgets
      widget.value = value
      widget.callback?.(value)
    },
    [id, text]
  )
  await editor.nextFrame()
}

/** Removes the link of the layout node's text. */
async function unlink(editor) {
  await editor.page.evaluate(() => {
    const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
    node.disconnectInput(node.findInputSlot('layout_text'))
  })
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function linkedTexts(inEditor) {
  const parts = (editor) => ({
    bar: editor.root.locator('.ifa-counts'),
    take: editor.root.getByRole('button', { name: 'Take over' }),
    use: editor.root.getByRole('button', { name: 'Use the linked text' }),
    caption: (number) => editor.root.getByRole('textbox', { name: `Description of box ${number}` }),
    global: editor.root.getByRole('textbox', { name: 'Global caption: the whole picture' })
  })

  inEditor('a linked text counts until it is taken over, and again when it changes', TWO, async (editor) => {
    const { bar, take, use, caption, global } = parts(editor)
    const prompt = await promptOf(editor)
    assert.ok(await bar.isHidden())
    const id = await linkText(editor, one('a red bird'))
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
    assert.equal(await global.inputValue(), 'with a red bird')
    assert.equal(await editor.root.locator('[data-box]').count(), 1)
    assert.equal((await editor.boxes()).length, 2, 'the drawn layout is kept')
    assert.equal(await prompt(), 'with a red bird, a red bird')

    await take.click()
    await bar.getByText('The layout drawn here counts').waitFor()
    assert.ok(await take.isHidden())
    await caption(1).fill('a black bird')
    await editor.drag([0.25, 0.25], [0.5, 0.5])
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
    assert.equal(await prompt(), 'with a red bird, a black bird')

    await type(editor, id, one('a green frog'))
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a green frog')
    assert.equal(await prompt(), 'with a green frog, a green frog')
    assert.ok(await use.isHidden())
    await unlink(editor)
    await bar.waitFor({ state: 'hidden' })
    assert.equal(await caption(1).inputValue(), 'a black bird')
    assert.equal(await prompt(), 'with a red bird, a black bird')
  })

  inEditor('undo gives the word back to the linked text, and the link can be used again', TWO, async (editor) => {
    const { bar, take, use, caption } = parts(editor)
    await linkText(editor, one('a red bird'))
    await take.waitFor()
    assert.ok(await editor.tool('undo').isDisabled())
    await editor.drag([0.25, 0.25], [0.5, 0.5])
    await bar.getByText('The layout drawn here counts').waitFor()
    assertAt((await editor.boxes())[0], [0.25, 0.25, 0.5, 0.5])
    await editor.tool('undo').click()
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal((await editor.boxes()).length, 2)
    assert.ok(await editor.tool('undo').isDisabled())
    await editor.press('Control+z')
    assert.equal((await editor.boxes()).length, 2)
    await editor.tool('redo').click()
    await bar.getByText('The layout drawn here counts').waitFor()
    assert.equal((await editor.boxes()).length, 1)
    await use.click()
    await take.waitFor()
    const box = await editor.root.locator('.ifa-box[data-box]').boundingBox()
    const [x, y] = await editor.at([0, 0])
    assert.ok(Math.abs(box.x - x) < 3 && Math.abs(box.y - y) < 3, 'shown where the text has it')
    await editor.tool('undo').click()
    await use.waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
  })

  inEditor('what counts is kept when the workflow is saved and opened again', TWO, async (editor) => {
    const { bar, take, caption } = parts(editor)
    const held = await linkComputed(editor, one('a red bird'))
    const prompt = await promptOf(editor)
    await bar.getByText('not from what is drawn here').waitFor()
    assert.ok(await take.isHidden())
    assert.equal(await caption(1).inputValue(), 'a ginger cat')
    assert.equal(await prompt(), 'with a red bird, a red bird')
    await take.click()
    await caption(1).fill('a black bird')
    await caption(1).blur()
    const value = await editor.value()
    assert.match(value, /"taken_from":"[0-9a-f]{16}".*a black bird/)
    await editor.saveAndLoad()
    await poll(async () => (await editor.value()) === value)
    await bar.getByText('The layout drawn here counts').waitFor()
    assert.equal(await prompt(), 'with a red bird, a black bird')
    await bar.getByText('The layout drawn here counts').waitFor()
    await type(editor, held, one('a green frog'))
    await bar.getByText('The layout drawn here counts, until').waitFor()
    assert.equal(await prompt(), 'with a green frog, a green frog')
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a green frog')
    await editor.saveAndLoad()
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a green frog', 'as in the last run')
    assert.equal(await prompt(), 'with a green frog, a green frog')
    assert.ok(await take.isVisible())
  })

  inEditor('a text from the cache of the server is shown, too', TWO, async (editor) => {
    const { bar, take, caption } = parts(editor)
    await linkComputed(editor, one('a red bird'))
    const prompt = await promptOf(editor)
    await prompt()
    await take.waitFor()
    await editor.page.evaluate(() => {
      const data = JSON.parse(JSON.stringify(window.app.graph.serialize()))
      for (const node of data.nodes) delete node.properties.editor_linked_text
      return window.app.loadGraphData(data)
    })
    await bar.getByText('not from what is drawn here').waitFor()
    assert.equal(await prompt(), 'with a red bird, a red bird')
    await take.waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
  })

  inEditor('an error in a linked text is shown, before and after a run, and can be corrected', TWO, async (editor) => {
    const { bar, take, caption } = parts(editor)
    const alert = editor.root.getByRole('alert')
    const prompt = await promptOf(editor)
    const held = await linkComputed(editor, 'I cannot do that.')
    assert.equal((await editor.run()).status.status_str, 'error')
    await alert.getByText('layout_text: The layout cannot be read as JSON').waitFor()
    await bar.getByText('it cannot be read').waitFor()
    assert.ok(await take.isHidden())
    await unlink(editor)
    await alert.waitFor({ state: 'hidden' })
    await editor.page.evaluate((id) => window.app.graph.remove(window.app.graph.getNodeById(id)), held)

    const id = await linkText(editor, '', [900, 800])
    await alert.getByText('layout_text is empty').waitFor()
    await type(editor, id, `${one('a red bird')} [`)
    await alert.getByText('layout_text: ').waitFor()
    await editor.root.getByRole('button', { name: 'Show the text' }).click()
    const field = editor.root.getByRole('textbox', { name: 'The layout as JSON' })
    assert.equal(await field.inputValue(), `${one('a red bird')} [`)
    await field.fill(one('a red bird'))
    await editor.root.getByRole('button', { name: 'Use this text' }).click()
    await bar.getByText('The layout drawn here counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
    assert.equal(await prompt(), 'with a red bird, a red bird')
  })

  inEditor('pixels of a linked text follow the size, and linked boxes replace its boxes', TWO, async (editor) => {
    const { bar, take } = parts(editor)
    const prompt = await promptOf(editor)
    await linkText(editor, one('a red bird', 'pixels'))
    await take.waitFor()
    const width = async () => {
      const [box, surface] = [editor.root.locator('.ifa-box[data-box]'), editor.surface]
      return (await box.boundingBox()).width / (await surface.boundingBox()).width
    }
    assert.ok(Math.abs((await width()) - 0.5) < 0.02)
    await editor.page.evaluate(() => {
      const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
      const widget = node.widgets.find((each) => each.name === 'width')
      widget.value = 2048
      widget.callback?.(2048)
    })
    await poll(async () => Math.abs((await width()) - 0.25) < 0.02)
    const boxes = JSON.stringify([{ x: 1024, y: 512, width: 512, height: 256 }])
    const box = await editor.create('IFAdapterTestBoxes', { at: [900, 800], widgets: { boxes } })
    await editor.link(box, 'boxes', 'boxes')
    await editor.root.getByText('The linked text only gives their descriptions').waitFor()
    assert.equal(await prompt(), 'with a red bird, a red bird')
    await editor.root.locator('.ifa-remark').getByText('layout_text gives captions only').waitFor()
    await editor.root.getByRole('button', { name: 'Edit them here' }).click()
    await bar.getByText('The layout drawn here counts').waitFor()
    const [taken] = await editor.boxes()
    assertAt(taken, [0.5, 0.5, 0.25, 0.25])
    assert.equal(taken.caption, 'a red bird')
  })

  inEditor('a node that is muted or bypassed brings no text, and what it passes on counts', TWO, async (editor) => {
    const { bar, take, caption } = parts(editor)
    const prompt = await promptOf(editor)
    const drawn = 'a cat and a teapot, a ginger cat, a green teapot'
    const held = await linkComputed(editor, one('a red bird'))
    const joined = await editor.page.evaluate(
      () => window.app.graph._nodes.find((each) => each.type === 'StringConcatenate').id
    )
    const set = (id, mode) =>
      editor.page.evaluate(
        ([node, value]) => {
          window.app.graph.getNodeById(node).mode = value
          const layout = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
          layout.widgets.find((each) => each.name === 'width').callback?.(1024)
        },
        [id, mode]
      )
    await set(joined, 2)
    await bar.waitFor({ state: 'hidden' })
    assert.equal(await prompt(), drawn)
    await set(joined, 4)
    await take.waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
    assert.equal(await prompt(), 'with a red bird, a red bird')
    await set(held, 4)
    await bar.waitFor({ state: 'hidden' })
    assert.equal(await caption(1).inputValue(), 'a ginger cat')
    assert.equal(await prompt(), drawn)
  })

  inEditor('results are shown at the boxes of the text that the run got', TWO, async (editor) => {
    const { take, caption } = parts(editor)
    await linkComputed(editor, one('a red bird'))
    const layout = [await editor.id(), 'layout']
    const picture = await editor.create('IFAdapterTestPicture', { links: { layout } })
    await editor.create('PreviewImage', { at: [900, 800], links: { images: [picture, 'image'] } })
    await editor.run()
    await take.waitFor()
    const crop = editor.root.locator('.ifa-row .ifa-crop')
    await crop.waitFor()
    assert.equal(await crop.count(), 1)
    const { width, height } = await crop.boundingBox()
    assert.ok(Math.abs(width / height - 1) < 0.05)
    await caption(1).fill('a black bird')
    assert.ok(await crop.isVisible())
  })

  inEditor('a text that comes into a subgraph is followed out of it', TWO, async (editor) => {
    const { bar, take, caption } = parts(editor)
    const id = await editor.id()
    const shown = await editor.create('PreviewAny', { links: { source: [id, 'prompt'] } })
    const held = await linkText(editor, one('a red bird'))
    await editor.page.evaluate((number) => {
      const { canvas, graph } = window.app
      const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(number)]))
      canvas.setGraph(node.subgraph)
    }, id)
    await editor.surface.waitFor()
    await editor.settled()
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.equal(await caption(1).inputValue(), 'a red bird')
    await take.click()
    await caption(1).fill('a black bird')
    assert.deepEqual((await editor.run()).outputs[shown].text, ['with a red bird, a black bird'])
    await type(editor, held, one('a green frog'))
    await bar.getByText('The layout of the linked text counts').waitFor()
    assert.deepEqual((await editor.run()).outputs[shown].text, ['with a green frog, a green frog'])
  })
}
