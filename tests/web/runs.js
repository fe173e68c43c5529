// What the editor shows before, during and after a run: errors, token counts, linked boxes and pictures.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function runs(inEditor) {
  inEditor(
    'a run outputs caption and prompt, and an error numbers boxes as the editor does',
    TWO,
    async (editor) => {
      const id = await editor.id()
      const shown = [await editor.create('PreviewAny', { links: { source: [id, 'caption'] } })]
      shown.push(await editor.create('PreviewAny', { at: [900, 400], links: { source: [id, 'prompt'] } }))
      const { outputs } = await editor.run()
      assert.deepEqual(
        shown.map((each) => outputs[each].text[0]),
        ['a cat and a teapot', 'a cat and a teapot, a ginger cat, a green teapot']
      )
      await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
      await editor.root.getByRole('textbox', { name: 'Description of box 2' }).fill('')
      const failed = await editor.run()
      const [, { exception_message: message }] = failed.status.messages.find(
        ([kind]) => kind === 'execution_error'
      )
      assert.match(message, /Box 2 has no local description/)
    }
  )

  inEditor(
    'token counts are estimates while typing and exact after a run, until the text changes',
    TWO,
    async (editor) => {
      const note = (number) =>
        editor.root
          .locator('.ifa-row')
          .nth(2 - number)
          .locator('.ifa-note') // front first
      const field = editor.root.getByRole('textbox', { name: 'Description of box 1' })
      await note(1).getByText('about 5 of 77 tokens', { exact: true }).waitFor()
      await field.fill('a tortoiseshell cat, 12 years old')
      const exact = 13 // the estimate is 11
      const estimate = note(1).getByText(/^about \d+ of 77 tokens$/)
      await estimate.waitFor()
      assert.ok(Math.abs(parseInt((await note(1).innerText()).replace('about ', ''), 10) - exact) <= 2)
      await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
      await editor.run()
      await note(1).getByText(`${exact} of 77 tokens`, { exact: true }).waitFor()
      await note(2).getByText('5 of 77 tokens', { exact: true }).waitFor()
      await field.fill('a tortoiseshell cat, 13 years old')
      await estimate.waitFor()
      await note(2).getByText('5 of 77 tokens', { exact: true }).waitFor()
      await editor.saveAndLoad()
      await note(2).getByText('about 5 of 77 tokens', { exact: true }).waitFor()
    }
  )

  inEditor('without the word list the editor still estimates tokens', EMPTY, async (editor) => {
    await editor.page.route('**/clip_words.txt', (route) => route.abort())
    await editor.reload(TWO)
    await editor.root.getByText('about 5 of 77 tokens').first().waitFor()
  }, { fresh: true })

  inEditor(
    'boxes of linked masks are shown even after a failed run, and can be taken over',
    TWO,
    async (editor) => {
      const mask = await editor.create('SolidMask', { widgets: { value: 1, width: 512, height: 512 } })
      await editor.link(mask, 'MASK', 'masks')
      await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
      const button = editor.root.getByRole('button', { name: 'Edit them here' })
      assert.ok(await button.isDisabled())
      const failed = await editor.run()
      assert.match(
        JSON.stringify(failed.status.messages),
        /1 masks are linked but the layout text describes 2/
      )
      await editor.root.locator('.ifa-ghost').waitFor()
      await button.click()
      const boxes = await editor.boxes()
      assert.equal(boxes.length, 1)
      assertAt(boxes[0], [0, 0, 1, 1])
      assert.equal(boxes[0].caption, 'a ginger cat')
      await editor.root.locator('.ifa-link').waitFor({ state: 'hidden' })
      assert.equal((await editor.run()).status.status_str, 'success')
      await editor.tool('undo').click()
      assert.equal((await editor.boxes()).length, 2)
    }
  )

  inEditor('the background shows a linked picture or the last result', TWO, async (editor) => {
    const picture = await editor.create('EmptyImage', { widgets: { width: 64, height: 64, color: 0xff8800 } })
    await editor.link(picture, 'IMAGE', 'background')
    const id = await editor.id()
    const result = await editor.create('IFAdapterTestPicture', { links: { layout: [id, 'layout'] } })
    await editor.create('PreviewImage', { links: { images: [result, 'image'] } })
    await editor.create('PreviewImage', { links: { images: [id, 'picture'] } })
    const image = editor.root.locator('.ifa-background').first()
    assert.ok(await image.isHidden())
    await editor.run()
    await poll(() => image.evaluate((element) => element.complete && element.naturalWidth === 64))
    await editor.page.evaluate(() => {
      const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
      node.disconnectInput(node.findInputSlot('background'))
    })
    await image.waitFor({ state: 'hidden' })
    await editor.tool('picture').click()
    await editor.root.getByRole('button', { name: 'Use the last result' }).click()
    await poll(() => image.evaluate((element) => element.complete && element.naturalWidth === 256))
    await editor.root.getByRole('button', { name: 'Remove' }).click()
    await image.waitFor({ state: 'hidden' })
  })

  inEditor('the background can follow a run: previews, then the result', TWO, async (editor) => {
    const image = editor.root.locator('.ifa-background').first()
    const shows = (width) =>
      poll(() =>
        image.evaluate(
          (element, side) => !element.hidden && element.complete && element.naturalWidth === side,
          width
        )
      )
    const id = await editor.id()
    const result = await editor.create('IFAdapterTestPicture', { links: { layout: [id, 'layout'] } })
    const output = await editor.create('PreviewAny', { links: { source: [result, 'image'] } })
    await editor.run()
    assert.ok(await image.isHidden())
    await editor.tool('picture').click()
    await editor.root.getByLabel('Follow the run').check()
    await shows(64)
    await editor.page.evaluate((each) => window.app.graph.remove(window.app.graph.getNodeById(each)), output)
    await editor.create('PreviewImage', { links: { images: [result, 'image'] } })
    // Neither another branch of the graph nor the drawing of the layout is a result.
    await editor.create('IFAdapterTestPreview', { widgets: { side: 96 } })
    await editor.create('PreviewImage', { links: { images: [id, 'picture'] } })
    await editor.run()
    await shows(256)
    await editor.root.getByLabel('Follow the run').uncheck()
    await image.waitFor({ state: 'hidden' })
  })
}
