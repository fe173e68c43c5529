// The picture answers: crops of the result, verdicts about instances, and a preview of the layout alone.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { TWO } from './gestures.js'

const ONE = JSON.stringify({ boxes: [{ id: 'cat', x: 0.1, y: 0.3, w: 0.4, h: 0.5, caption: 'a ginger cat' }] })

/** Adds a node that makes pictures of the layout, and one that shows them. */
async function sampled(editor, widgets = {}) {
  const id = await editor.id()
  const picture = await editor.create('IFAdapterTestPicture', { widgets, links: { layout: [id, 'layout'] } })
  await editor.create('PreviewImage', { at: [900, 400], links: { images: [picture, 'image'] } })
  await editor.create('PreviewImage', { at: [1200, 400], links: { images: [id, 'picture'] } })
  return picture
}

/** The colour in the middle of what an element shows as its background. */
function shownColour(locator) {
  return locator.evaluate(async (part) => {
    const style = getComputedStyle(part)
    const image = new Image()
    image.src = style.backgroundImage.slice(5, -2)
    await image.decode()
    const [x, y] = style.backgroundPosition.split(' ').map((value) => parseFloat(value) / 100)
    const [w, h] = style.backgroundSize.split(' ').map((value) => 100 / parseFloat(value))
    const canvas = document.createElement('canvas')
    canvas.width = canvas.height = 1
    const context = canvas.getContext('2d')
    const [left, top] = [x * (1 - w) * image.naturalWidth, y * (1 - h) * image.naturalHeight]
    context.drawImage(image, left, top, w * image.naturalWidth, h * image.naturalHeight, 0, 0, 1, 1)
    return [...context.getImageData(0, 0, 1, 1).data].slice(0, 3)
  })
}

/** Whether two colours are equal but for the scaling of the picture. */
function isNear(a, b) {
  return a.every((value, index) => Math.abs(value - b[index]) < 8)
}

/** The number of runs that the server works on. */
function running(editor) {
  return editor.page.evaluate(async () => {
    const answer = await window.comfyAPI.api.api.fetchApi('/queue')
    return (await answer.json()).queue_running.length
  })
}

/** Sets a widget of a node as a user does. */
function set(editor, id, name, value) {
  return editor.page.evaluate(
    ([node, key, given]) => {
      const widget = window.app.graph.getNodeById(node).widgets.find((each) => each.name === key)
      widget.value = given
      widget.callback?.(given)
    },
    [id, name, value]
  )
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function results(inEditor) {
  inEditor('each row shows its crop of the result, large and against the run before', TWO, async (editor) => {
    const crop = editor.root.locator('[data-row="cat"] .ifa-crop')
    assert.ok(await crop.isHidden())
    const picture = await sampled(editor, { count: 2, seed: 0 })
    await editor.run()
    await crop.waitFor()
    // The test's pictures are inverted in the boxes: 0, 0, 0.5 becomes 1, 1, 0.5.
    assert.ok(isNear(await shownColour(crop), [255, 255, 128]))
    const { width, height } = await crop.boundingBox()
    assert.ok(Math.abs(width / height - 0.8) < 0.05)
    await editor.root.getByText('image 1 of 2').waitFor()
    await editor.root.getByRole('button', { name: 'Next image' }).click()
    await editor.root.getByText('image 2 of 2').waitFor()
    assert.ok(isNear(await shownColour(crop), [128, 255, 128]))
    await editor.root.getByRole('button', { name: 'Next image' }).click()
    await set(editor, picture, 'seed', 4)
    await editor.run()
    await poll(async () => isNear(await shownColour(crop), [255, 128, 128]))
    await crop.click()
    const large = editor.root.getByRole('img', { name: 'Box 1 in the result' })
    assert.ok((await large.boundingBox()).height > 200)
    assert.ok(isNear(await shownColour(large), [255, 128, 128]))
    await editor.root.getByRole('button', { name: 'Before', exact: true }).click()
    assert.ok(isNear(await shownColour(large), [255, 255, 128]))
    await editor.root.getByRole('button', { name: 'After', exact: true }).click()
    assert.ok(isNear(await shownColour(large), [255, 128, 128]))
    await editor.press('Escape')
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assert.ok(isNear(await shownColour(crop), [255, 128, 128]), 'the crop stays where the box was in the run')
  })

  inEditor('rows and boxes show which instances a check finds right, wrong or missing', TWO, async (editor) => {
    const layout = await editor.id()
    const picture = await sampled(editor)
    const answers = await editor.create('IFAdapterTestAnswers', {
      widgets: { answers: JSON.stringify(['Yes, it does.', 'It is a red teapot.']) }
    })
    const check = await editor.create('IFAdapterCheck', {
      links: { image: [picture, 'image'], layout: [layout, 'layout'], answers: [answers, 'answers'] }
    })
    await editor.run()
    const row = (id) => editor.root.locator(`[data-row="${id}"] .ifa-mark`)
    await row('cat').getByText('right', { exact: true }).waitFor()
    await row('pot').getByText('wrong', { exact: true }).waitFor()
    assert.equal(await row('pot').getAttribute('title'), 'Seen: It is a red teapot.')
    await editor.root.locator('[data-box="pot"] .ifa-mark-wrong').waitFor()
    await editor.root.locator('[data-box="cat"] .ifa-mark-right').waitFor()
    await editor.root.locator('[data-row="pot"] .ifa-crop').click()
    await editor.root.locator('.ifa-panel').getByText('Seen: It is a red teapot.').waitFor()
    await editor.press('Escape')
    await editor.root.getByRole('textbox', { name: 'Description of box 2' }).fill('a red teapot')
    await row('pot').waitFor({ state: 'hidden' })
    assert.ok(await row('cat').isVisible(), 'only the changed box loses its verdict')

    const boxes = [{ x: 140.8, y: 115.2, width: 89.6, height: 102.4, label: 'teapot' }] // the pot in 256 pixels
    const found = await editor.create('IFAdapterTestBoxes', { widgets: { boxes: JSON.stringify(boxes) } })
    await editor.page.evaluate(
      ([from, to]) => {
        const [origin, target] = [from, to].map((id) => window.app.graph.getNodeById(id))
        origin.connect(0, target, target.findInputSlot('boxes'))
        target.disconnectInput(target.findInputSlot('answers'))
      },
      [found, check]
    )
    await editor.run()
    await row('cat').getByText('not found', { exact: true }).waitFor()
    await row('pot').getByText('right', { exact: true }).waitFor()
  })

  inEditor('the marked picture and the failed instances of a check are no results', TWO, async (editor) => {
    const layout = await editor.id()
    const picture = await sampled(editor)
    const answers = await editor.create('IFAdapterTestAnswers', {
      widgets: { answers: JSON.stringify(['no', 'yes']) }
    })
    const check = await editor.create('IFAdapterCheck', {
      links: { image: [picture, 'image'], layout: [layout, 'layout'], answers: [answers, 'answers'] }
    })
    await editor.create('PreviewImage', { at: [1500, 80], links: { images: [check, 'picture'] } })
    // Another check, of the failed instances alone: its first box is not the layout's.
    const other = await editor.create('IFAdapterTestAnswers', { widgets: { answers: '["yes"]' } })
    const plain = await editor.create('EmptyImage', { at: [1500, 400] })
    await editor.create('IFAdapterCheck', {
      at: [1800, 80],
      links: { image: [plain, 'IMAGE'], layout: [check, 'failed'], answers: [other, 'answers'] }
    })
    await editor.run()
    const row = (id) => editor.root.locator(`[data-row="${id}"] .ifa-mark`)
    await row('pot').getByText('right', { exact: true }).waitFor()
    await row('cat').getByText('wrong', { exact: true }).waitFor()
    const crop = editor.root.locator('[data-row="cat"] .ifa-crop')
    await crop.waitFor()
    // The test's pictures are inverted in the boxes. A marked one has an outline and 512 pixels.
    assert.ok(isNear(await shownColour(crop), [255, 255, 128]))
    const url = await crop.evaluate((part) => getComputedStyle(part).backgroundImage.slice(5, -2))
    const width = await editor.page.evaluate(async (source) => {
      const image = new Image()
      image.src = source
      await image.decode()
      return image.naturalWidth
    }, url)
    assert.equal(width, 256)
  })

  inEditor('a check of a part of the layout marks no box of the whole', TWO, async (editor) => {
    const picture = await sampled(editor)
    const part = await editor.create('IFAdapterLayoutCrop', {
      links: { layout: [await editor.id(), 'layout'] },
      widgets: { x: 600, y: 400, width: 424, height: 624 } // the teapot alone, there the first box
    })
    const answers = await editor.create('IFAdapterTestAnswers', { widgets: { answers: '["yes"]' } })
    await editor.create('IFAdapterCheck', {
      links: { image: [picture, 'image'], layout: [part, 'layout'], answers: [answers, 'answers'] }
    })
    await editor.run()
    await editor.root.locator('[data-row="cat"] .ifa-crop').waitFor()
    for (const id of ['cat', 'pot'])
      assert.ok(await editor.root.locator(`[data-row="${id}"] .ifa-mark`).isHidden(), id)
  })

  inEditor('parts of a picture are no results, and a repair loses old verdicts', ONE, async (editor) => {
    const id = await editor.id()
    const picture = await sampled(editor, { seed: 0, control_after_generate: 'fixed' })
    const cut = { image: [picture, 'image'], layout: [id, 'layout'] }
    const crops = await editor.create('IFAdapterCrops', { links: cut, widgets: { context: 0.5 } })
    await editor.create('PreviewImage', { links: { images: [crops, 'crops'] } })
    const answers = await editor.create('IFAdapterTestAnswers', { widgets: { answers: '["no"]' } })
    const check = await editor.create('IFAdapterCheck', { links: { ...cut, answers: [answers, 'answers'] } })
    await editor.create('PreviewImage', { links: { images: [check, 'failed_image'] } })
    await editor.run()
    const crop = editor.root.locator('.ifa-crop')
    const mark = editor.root.locator('.ifa-row .ifa-mark')
    await mark.getByText('wrong', { exact: true }).waitFor()
    assert.ok(isNear(await shownColour(crop), [255, 255, 128]))
    assert.equal(await crop.evaluate((part) => part.style.backgroundSize), '250% 200%')
    const failed = await editor.create('IFAdapterCrops', {
      links: { image: [check, 'failed_image'], layout: [check, 'failed'] }
    })
    const dark = await editor.create('ImageInvert', { links: { image: [failed, 'crops'] } })
    const repaired = await editor.create('IFAdapterPaste', {
      links: { image: [check, 'failed_image'], crops: [dark, 'IMAGE'], places: [failed, 'places'] }
    })
    await editor.create('PreviewImage', { links: { images: [repaired, 'image'] } })
    await editor.run()
    await poll(async () => isNear(await shownColour(crop), [0, 0, 128]))
    assert.ok(await mark.isHidden())
  })

  inEditor('a result belongs to the layout that was queued', TWO, async (editor) => {
    const { page } = editor
    const queue = () => page.evaluate(() => window.app.queuePrompt(0))
    const slow = await editor.create('IFAdapterTestSlow', { links: { layout: [await editor.id(), 'layout'] } })
    await queue()
    await page.evaluate((id) => window.app.graph.remove(window.app.graph.getNodeById(id)), slow)
    await sampled(editor)
    await queue()
    await editor.drag([0.3, 0.5], [0.3, 0.2])
    await editor.root.getByRole('textbox', { name: 'Description of box 2' }).fill('a red pot')
    await page.evaluate(() => void window.app.graphToPrompt()) // as another run would
    await poll(async () => (await running(editor)) > 0)
    await page.evaluate(() => window.app.extensionManager.command.execute('Comfy.Interrupt'))
    const crop = editor.root.locator('[data-row="cat"] .ifa-crop')
    await crop.waitFor()
    const [x, y] = await crop.evaluate((part) =>
      part.style.backgroundPosition.split(' ').map((value) => parseFloat(value) / 100)
    )
    assert.ok(Math.abs(x * 0.6 - 0.1) < 0.01 && Math.abs(y * 0.5 - 0.3) < 0.01, `${x} ${y}`)
  })

  inEditor('a preview that comes too late is not shown over another layout', TWO, async (editor) => {
    let held = null
    const { page } = editor
    await page.route('**/prompt', async (route) => {
      if (route.request().method() !== 'POST') return route.continue()
      held = route
    })
    await editor.tool('preview').click()
    await poll(() => held !== null)
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    const before = Object.keys(await editor.history())
    await held.continue()
    await poll(async () => Object.keys(await editor.history()).length > before.length)
    await page.unroute('**/prompt')
    assert.ok(await editor.root.locator('.ifa-ownership').isHidden())
    await editor.tool('preview').click()
    await editor.root.locator('.ifa-ownership').waitFor()
  })

  inEditor('the layout alone can be previewed, without sampling', TWO, async (editor) => {
    await sampled(editor)
    const before = Object.keys(await editor.history())
    await editor.tool('preview').click()
    const shown = editor.root.locator('.ifa-ownership')
    await poll(() =>
      shown.evaluate((image) => !image.hidden && image.complete && image.naturalWidth === 1024)
    )
    const [run] = Object.entries(await editor.history()).filter(([id]) => !before.includes(id))
    const types = Object.values(run[1].prompt[2]).map((node) => node.class_type)
    assert.deepEqual(types.sort(), ['IFAdapterLayout', 'PreviewImage'])
    const box = editor.root.locator('[data-box="cat"]')
    assert.ok(await box.locator('.ifa-number-tag').isVisible())
    assert.ok(await box.locator('.ifa-words').isHidden(), 'the preview has words of its own')
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    await shown.waitFor({ state: 'hidden' })
    assert.ok(await box.locator('.ifa-words').isVisible())
  })

  inEditor("a preview runs the semantic map's nodes, if there are some", TWO, async (editor) => {
    const id = await editor.id()
    const encode = await editor.create('IFAdapterEncode', { links: { layout: [id, 'layout'] } })
    const map = await editor.create('IFAdapterSemanticMap', { links: { tokens: [encode, 'tokens'] } })
    let sent
    await editor.page.route('**/prompt', async (route) => {
      if (route.request().method() === 'POST') sent = route.request().postDataJSON().prompt
      await route.continue()
    })
    await editor.tool('preview').click()
    await poll(() => sent !== undefined)
    const shown = Object.keys(sent).find((each) => sent[each].class_type === 'PreviewImage')
    assert.deepEqual(Object.keys(sent).sort(), [String(id), String(encode), String(map), shown].sort())
    assert.deepEqual(sent[shown].inputs.images, [String(map), 1])
    await editor.root.getByRole('alert').filter({ visible: true }).waitFor() // no adapter is linked
  })
}
