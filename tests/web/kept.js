// What the user typed, pasted or set is kept: numbers, unreadable texts, words before a reload, dropped files.

import assert from 'node:assert/strict'

import { poll } from './comfyui.js'
import { assertAt, TWO } from './gestures.js'

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

  inEditor('a number that is being typed belongs to its box, whatever is clicked next', TWO, async (editor) => {
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
}
