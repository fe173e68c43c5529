// What the user typed, pasted or set is kept: numbers, unreadable texts, words before a reload, files.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function kept(inEditor) {
  inEditor('a number sets itself alone, and an empty field sets nothing', TWO, async (editor) => {
    const field = (name) => editor.root.getByRole('spinbutton', { name: `${name} of the box` })
    const set = async (name, value) => {
      await field(name).fill(value)
      await editor.press('Enter')
    }
    await editor.click([0.3, 0.5])
    await set('width', '')
    await set('strength', '')
    const [cat] = await editor.boxes()
    assertAt(cat, [0.1, 0.3, 0.4, 0.5])
    assert.equal(cat.strength, 1)
    assert.deepEqual([await field('width').inputValue(), await field('strength').inputValue()], ['410', '1'])
    await set('left', '200')
    const [moved] = await editor.boxes()
    assert.deepEqual([moved.x, moved.y, moved.w, moved.h], [200 / 1024, 0.3, 0.4, 0.5])
    await set('width', '5000')
    assertAt((await editor.boxes())[0], [200 / 1024, 0.3, 1 - 200 / 1024, 0.5])
    assert.equal(await field('width').inputValue(), '824', 'the field shows what counts')
    await editor.root.locator('.ifa-flash').getByText('Set to 824').waitFor()
    await set('strength', '7')
    assert.equal(await field('strength').inputValue(), '3')
    assert.equal((await editor.boxes())[0].strength, 3)
    await field('top').fill('1')
    await editor.press('Escape')
    assertAt((await editor.boxes())[0], [200 / 1024, 0.3, 1 - 200 / 1024, 0.5])
  })

  inEditor('a number that is being typed belongs to its box, wherever you click', TWO, async (editor) => {
    await editor.click([0.15, 0.4])
    await editor.root.getByRole('spinbutton', { name: 'left of the box in pixels' }).fill('50')
    await editor.root.locator('[data-row="pot"] .ifa-note').click()
    await poll(async () => (await editor.boxes())[0].x === 50 / 1024)
    assertAt((await editor.boxes())[1], [0.55, 0.45, 0.35, 0.4])
    await editor.root.getByRole('spinbutton', { name: 'left of the box in pixels' }).fill('600')
    await editor.click([0.2, 0.5], { button: 'right' })
    await poll(async () => (await editor.boxes())[1].x === 600 / 1024)
    assert.equal((await editor.boxes())[0].x, 50 / 1024)
  })

  const misread = '{"boxes": [{"x": 0.9, "y": 0.1, "w": 0.8, "h": 0.2, "caption": "a cat"}]}'
  inEditor('undo brings back a text that could not be read', misread, async (editor) => {
    const alert = editor.root.getByRole('alert').filter({ visible: true })
    for (const replace of [
      () => editor.tool('add').click(),
      () => editor.root.getByRole('button', { name: 'Start an empty layout' }).click()
    ]) {
      await replace()
      await alert.waitFor({ state: 'hidden' })
      await editor.press('Escape')
      await editor.tool('undo').click()
      await alert.waitFor()
      assert.equal(await editor.value(), misread)
      await editor.tool('redo').click()
      await alert.waitFor({ state: 'hidden' })
      await editor.tool('undo').click()
      await alert.waitFor()
    }
  })

  inEditor('a pasted text is not overwritten by a choice of the format', TWO, async (editor) => {
    await editor.tool('exchange').click()
    const text = editor.root.getByRole('textbox', { name: 'The layout as JSON' })
    const format = editor.root.getByRole('combobox', { name: 'Format' })
    await format.selectOption("ComfyUI's box elements")
    assert.match(await text.inputValue(), /"bbox"/)
    await text.fill('{"boxes": [')
    await format.selectOption("IFAdapter's release")
    assert.equal(await text.inputValue(), '{"boxes": [')
    const problem = editor.root.locator('.ifa-panel').getByRole('alert')
    await problem.getByText('its format is recognised').waitFor()
    await editor.root.getByRole('button', { name: 'Use this text' }).click()
    await problem.getByText('it is cut off').waitFor()
    assert.equal((await editor.boxes()).length, 2)
  })

  inEditor('words that are being typed survive a reload of the page', TWO, async (editor) => {
    const { page } = editor
    await page.evaluate(() => window.app.extensionManager.setting.set('Comfy.Workflow.Persist', true))
    const field = editor.root.getByRole('textbox', { name: 'Description of box 1' })
    await field.click()
    await editor.press('End')
    await page.keyboard.type(' with a silver bell')
    const stored = () =>
      page.evaluate(() =>
        [localStorage, sessionStorage].some((storage) =>
          Object.values({ ...storage }).some((text) => text.includes('with a silver bell'))
        )
      )
    await poll(stored)
    await page.reload()
    await editor.surface.waitFor()
    await editor.root.locator('[data-box]').getByText('a ginger cat with a silver bell').waitFor()
    await page.evaluate(() =>
      window.comfyAPI.app.app.extensionManager.setting.set('Comfy.Workflow.Persist', false)
    )
  }, { fresh: true })

  inEditor('a key during a drag does not undo the drag, nor the drag the key', TWO, async (editor) => {
    await editor.page.mouse.move(...(await editor.at([0.3, 0.5])))
    await editor.page.mouse.down()
    await editor.page.mouse.move(...(await editor.at([0.35, 0.4])), { steps: 5 })
    await editor.nextFrame()
    await editor.press('Delete', 'Control+d', 'ArrowLeft')
    await editor.page.mouse.move(...(await editor.at([0.3, 0.4])), { steps: 5 })
    await editor.page.mouse.up()
    await editor.nextFrame()
    const boxes = await editor.boxes()
    assert.equal(boxes.length, 2)
    assertAt(boxes[0], [0.1, 0.2, 0.4, 0.5])
    await editor.press('Delete')
    assert.equal((await editor.boxes()).length, 1)
  })

  inEditor('a file dropped beside the picture is taken by the editor, too', TWO, async (editor) => {
    const link = await editor.create('EmptyImage', { widgets: { width: 64, height: 64 } })
    const dropOn = (part, name, type, text) =>
      editor.root.locator(part).evaluate(
        (target, [title, kind, content]) => {
          const dataTransfer = new DataTransfer()
          dataTransfer.items.add(new File([content], title, { type: kind }))
          for (const event of ['dragover', 'drop'])
            target.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }))
        },
        [name, type, text]
      )
    await dropOn('.ifa-list', 'layout.json', 'application/json', '{"boxes": [], "caption": "a desk"}')
    await editor.root.locator('.ifa-remark').getByText('the pasted one was left out: a desk').waitFor()
    assert.equal((await editor.layout()).caption, 'a cat and a teapot')
    await dropOn('.ifa-toolbar', 'cat.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>')
    await editor.root.locator('.ifa-background').first().waitFor({ state: 'attached' })
    assert.match(await editor.root.locator('.ifa-background').first().getAttribute('src'), /^blob:/)
    await editor.link(link, 'IMAGE', 'background')
    await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    await editor.run()
    await dropOn('.ifa-side', 'cat.svg', 'image/svg+xml', '<svg xmlns="http://www.w3.org/2000/svg"/>')
    await editor.root.locator('.ifa-flash').getByText('The linked background stays').waitFor()
    assert.equal(await editor.page.evaluate(() => window.app.graph._nodes.length), 3)
  })

  inEditor('pixels of a pasted text wait for a size that only a run knows', EMPTY, async (editor) => {
    const picture = await editor.create('EmptyImage', { widgets: { width: 512, height: 512 } })
    const size = await editor.create('GetImageSize', { links: { image: [picture, 'IMAGE'] } })
    await editor.link(size, 'width', 'width')
    await editor.link(size, 'height', 'height')
    const links = { layout: [await editor.id(), 'layout'] }
    const shown = await editor.create('IFAdapterTestPicture', { links })
    await editor.create('PreviewImage', { links: { images: [shown, 'image'] } })
    await editor.tool('exchange').click()
    await editor.root
      .getByRole('textbox', { name: 'The layout as JSON' })
      .fill('{"units": "pixels", "boxes": [{"x": 128, "y": 128, "w": 256, "h": 256, "caption": "a cat"}]}')
    await editor.root.getByRole('button', { name: 'Use this text' }).click()
    await editor.run()
    const crop = editor.root.locator('.ifa-crop')
    await crop.waitFor()
    assert.equal(await crop.evaluate((part) => part.style.backgroundSize), '200% 200%', 'half of the picture')
    await editor.drag([0.5, 0.5], [0.5, 0.6])
    assertAt((await editor.boxes())[0], [0.25, 0.35, 0.5, 0.5])
  })
}
