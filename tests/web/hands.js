// Nothing is lost: keys, words and layouts stay with the editor, whatever the hand did before.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const WORDS = 'a hen on a log with 2 brown eggs [nearby]'

/** The number of nodes in the graph. */
function nodes(editor) {
  return editor.page.evaluate(() => window.app.graph._nodes.length)
}

/** Selects the layout node in the graph, so that a key that leaks would act on it. */
async function selectNode(editor) {
  await editor.page.evaluate(() => {
    const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
    window.app.canvas.selectNode(node)
  })
  await editor.settled()
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function hands(inEditor) {
  inEditor('Delete after any button deletes the box and never the node', EMPTY, async (editor) => {
    await selectNode(editor)
    const presses = [
      () => editor.tool('guides').click(),
      () => editor.root.getByRole('button', { name: 'Lock box 1' }).click(),
      () => editor.root.getByRole('button', { name: 'Hide box 1' }).click(),
      () => editor.tool('redo').click({ force: true }), // disabled
      () => editor.root.getByText('Boxes, front on top').click(),
      () => editor.tool('thirds').press('Enter')
    ]
    for (const [number, press] of presses.entries()) {
      await editor.drag([0.2, 0.2], [0.6, 0.6])
      await editor.press('Escape')
      assert.equal((await editor.boxes()).length, 1, `drawn ${number}`)
      await press()
      if (number % 2) await editor.press('Control+c', 'Control+d', 'Control+z', 'Control+a')
      await editor.press(number % 2 ? 'Backspace' : 'Delete')
      assert.equal((await editor.boxes()).length, 0, `press ${number}`)
      assert.equal(await nodes(editor), 1, `press ${number}`)
    }
  })

  inEditor('words typed after drawing are the description of the box', TWO, async (editor) => {
    await editor.drag([0.55, 0.05], [0.9, 0.25])
    await editor.page.keyboard.type(WORDS)
    await editor.click([0.02, 0.98])
    await editor.page.keyboard.type('hln')
    const boxes = await editor.boxes()
    assert.deepEqual(
      boxes.map(({ caption, hidden, locked }) => [caption, hidden, locked]),
      [
        ['a ginger cat', false, false],
        ['a green teapot', false, false],
        [WORDS, false, false]
      ]
    )
    assertAt(boxes[0], [0.1, 0.3, 0.4, 0.5])
    await editor.drag([0.05, 0.05], [0.3, 0.25])
    await editor.press('Delete')
    assert.equal((await editor.boxes()).length, 3, 'Delete before the first word takes the new box')
    await editor.drag([0.05, 0.05], [0.3, 0.25])
    await editor.press('Control+z')
    assert.equal((await editor.boxes()).length, 3, 'and so does Undo')
    assert.equal(await nodes(editor), 1)
  })

  inEditor(
    'panels take the keys: the first field has the focus, Enter saves, Escape closes',
    TWO,
    async (editor) => {
      await selectNode(editor)
      const { page } = editor
      const dialogs = () => page.locator('[role="dialog"]:visible').count()
      await editor.tool('star').click()
      await page.keyboard.type('my cats')
      assert.equal(
        await editor.root.getByRole('textbox', { name: 'Name of this layout' }).inputValue(),
        'my cats'
      )
      assert.equal(await dialogs(), 1, 'nothing of the host opened')
      await editor.press('Enter')
      const kept = editor.root.getByRole('button', { name: 'my cats', exact: true })
      await kept.waitFor()
      await editor.press('Escape')
      await editor.root.locator('.ifa-panel').waitFor({ state: 'hidden' })
      for (const [panel, field] of [
        ['picture', 'Show the background'],
        ['exchange', 'The layout as JSON']
      ]) {
        await editor.tool(panel).click()
        assert.ok(
          await editor.root.getByLabel(field).evaluate((each) => each === document.activeElement),
          panel
        )
        await editor.press('r', 'm', 'w', 'Control+z')
        assert.equal(await dialogs(), 1, panel)
        await editor.press('Escape')
        await editor.root.locator('.ifa-panel').waitFor({ state: 'hidden' })
      }
      await editor.tool('star').click()
      await editor.root.getByRole('button', { name: 'Delete the preset my cats' }).press('Delete')
      await editor.press('Control+z', 'Escape')
      assert.equal(await nodes(editor), 1)
      assert.equal((await editor.boxes()).length, 2)
      await editor.press('Delete')
      assert.equal(await nodes(editor), 1)
    }
  )

  inEditor('undo survives a switch to another workflow and back', TWO, async (editor) => {
    const { page } = editor
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    await editor.drag([0.7, 0.6], [0.7, 0.5])
    const front = () =>
      page.evaluate(() => {
        const { activeWorkflow, isBusy } = window.app.extensionManager.workflow
        return isBusy ? null : (activeWorkflow?.path ?? null)
      })
    const first = await front()
    await page.evaluate(() => void window.app.extensionManager.command.execute('Comfy.NewBlankWorkflow'))
    await poll(async () => ![null, first].includes(await front()) && (await nodes(editor)) === 0)
    await poll(async () => (await page.locator('.ifa-editor').count()) === 0)
    await page.evaluate(
      () => void window.app.extensionManager.command.execute('Workspace.PreviousOpenedWorkflow')
    )
    await poll(async () => (await nodes(editor)) === 1)
    await editor.settled()
    await editor.tool('undo').click()
    await editor.press('Control+z')
    const [cat, pot] = await editor.boxes()
    assertAt(cat, [0.1, 0.3, 0.4, 0.5])
    assertAt(pot, [0.55, 0.45, 0.35, 0.4])
    await editor.tool('redo').click()
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
  })

  inEditor('Shift keeps the proportions of a resize, and Alt-drag duplicates', TWO, async (editor) => {
    await editor.click([0.3, 0.5])
    const area = await editor.root.locator('.ifa-active > .ifa-se').boundingBox()
    const start = [area.x + area.width / 2, area.y + area.height / 2]
    await editor.page.keyboard.down('Shift')
    await editor.dragPixels(start, [start[0] - 60, start[1] - 10])
    await editor.page.keyboard.up('Shift')
    const [cat] = await editor.boxes()
    assert.ok(Math.abs(cat.w / cat.h - 0.8) < 1e-6 && cat.w < 0.4, `${cat.w} ${cat.h}`)
    await editor.drag([0.7, 0.6], [0.7, 0.3], ['Alt'])
    const boxes = await editor.boxes()
    assert.deepEqual(
      boxes.map((box) => box.caption),
      ['a ginger cat', 'a green teapot', 'a green teapot']
    )
    assertAt(boxes[1], [0.55, 0.45, 0.35, 0.4])
    assert.ok(boxes[2].y < 0.2 && boxes[2].x > 0.5, 'the copy has moved')
    await editor.press('Control+z')
    assert.equal((await editor.boxes()).length, 2)
  })

  inEditor(
    'looking at the picture without boxes changes no run; the eye of a row does',
    TWO,
    async (editor) => {
      const sent = () =>
        editor.page.evaluate(
          async () => Object.values((await window.app.graphToPrompt()).output)[0].inputs.layout
        )
      const before = [await editor.value(), await sent()]
      await editor.tool('eye').click()
      const box = editor.root.locator('[data-box="cat"]')
      await box.waitFor({ state: 'hidden' })
      await editor.drag([0.2, 0.4], [0.4, 0.6])
      await editor.press('Delete')
      assert.deepEqual([await editor.value(), await sent()], before)
      await editor.tool('eye').click()
      await box.waitFor()
      await editor.root.getByRole('button', { name: 'Hide box 1: leave it out of the run' }).click()
      await editor.root.getByText('left out of the run').waitFor()
      assert.notEqual(await sent(), before[1])
      await editor.root.getByRole('button', { name: 'Show box 1: put it back into the run' }).click()
      assert.equal(await sent(), before[1])
    }
  )
}
