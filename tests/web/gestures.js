// Mouse, touch, keys, text fields and panels of the editor.

import assert from 'node:assert/strict'

import { poll } from './poll.js'

export const EMPTY = '{"version":1,"caption":"","boxes":[]}'
export const TWO = JSON.stringify({
  version: 1,
  caption: 'a cat and a teapot',
  boxes: [
    { id: 'cat', x: 0.1, y: 0.3, w: 0.4, h: 0.5, caption: 'a ginger cat' },
    { id: 'pot', x: 0.55, y: 0.45, w: 0.35, h: 0.4, caption: 'a green teapot' }
  ]
})

const near = (a, b, within = 0.006) => Math.abs(a - b) <= within
const isAt = (box, [x, y, w, h]) => near(box.x, x) && near(box.y, y) && near(box.w, w) && near(box.h, h)

export function assertAt(box, frame) {
  assert.ok(isAt(box, frame), `${[box.x, box.y, box.w, box.h]} is not ${frame}`)
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function gestures(inEditor) {
  inEditor('dragging draws a box, from any corner, inside the canvas', EMPTY, async (editor) => {
    await editor.root.getByText('Drag to draw a box, or press + Add').waitFor()
    await editor.drag([0.6, 0.4], [0.2, 0.1])
    await editor.drag([0.7, 0.7], [1.2, 1.3])
    const [first, second] = await editor.boxes()
    assertAt(first, [0.2, 0.1, 0.4, 0.3])
    assertAt(second, [0.7, 0.7, 0.3, 0.3])
    await editor.click([0.05, 0.9])
    assert.equal((await editor.boxes()).length, 2, 'a click draws nothing')
  })

  inEditor('a box can be moved and resized at every handle, with one undo step each', TWO, async (editor) => {
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
    for (const handle of ['n', 'ne', 'e', 'se', 's', 'sw', 'w', 'nw']) {
      const before = (await editor.boxes())[0]
      const area = await editor.root.locator(`.ifa-active > .ifa-${handle}`).boundingBox()
      const start = [area.x + area.width / 2, area.y + area.height / 2]
      await editor.dragPixels(start, [start[0] + 12, start[1] + 9])
      const after = (await editor.boxes())[0]
      assert.equal(near(before.x, after.x, 1e-6), !handle.includes('w'), handle)
      assert.equal(near(before.y, after.y, 1e-6), !handle.includes('n'), handle)
      assert.equal(near(before.x + before.w, after.x + after.w, 1e-6), !handle.includes('e'), handle)
      assert.equal(near(before.y + before.h, after.y + after.h, 1e-6), !handle.includes('s'), handle)
    }
    for (let step = 0; step < 9; step += 1) await editor.press('Control+z')
    assertAt((await editor.boxes())[0], [0.1, 0.3, 0.4, 0.5])
    await editor.tool('redo').click()
    assertAt((await editor.boxes())[0], [0.1, 0.2, 0.4, 0.5])
  })

  inEditor('keys change the boxes and never the graph', TWO, async (editor) => {
    await editor.click([0.3, 0.5])
    await editor.press('ArrowRight', 'Shift+ArrowDown')
    const [moved] = await editor.boxes()
    assert.ok(near(moved.x, 0.1 + 1 / 1024, 1e-6) && near(moved.y, 0.3 + 10 / 1024, 1e-6))
    await editor.press('Alt+ArrowRight')
    assert.ok(near((await editor.boxes())[0].w, 0.4 + 1 / 1024, 1e-6))
    await editor.press(']')
    assert.deepEqual(
      (await editor.boxes()).map((box) => box.caption),
      ['a green teapot', 'a ginger cat']
    )
    await editor.press('[', 'Control+d')
    assert.deepEqual(
      (await editor.boxes()).map((box) => box.caption),
      ['a ginger cat', 'a green teapot', 'a ginger cat']
    )
    await editor.press('h', 'l', 'n')
    assert.ok((await editor.boxes()).every((box) => !box.hidden && !box.locked))
    assert.equal((await editor.boxes()).length, 3)
    await editor.press('Delete', 'Control+a', 'Control+c', 'Control+v', 'Backspace')
    assert.deepEqual(
      (await editor.boxes()).map((box) => box.caption),
      ['a ginger cat', 'a green teapot']
    )
    assert.equal(await editor.page.evaluate(() => window.app.graph._nodes.length), 1)
  })

  inEditor('descriptions can be edited in the box and in the list', TWO, async (editor) => {
    await editor.page.mouse.dblclick(...(await editor.at([0.7, 0.7])))
    await editor.page.keyboard.type('a blue teapot')
    await editor.press('Escape')
    assert.equal((await editor.boxes())[1].caption, 'a blue teapot')
    const field = editor.root.getByRole('textbox', { name: 'Description of box 1' })
    await field.fill('a black cat with a bell')
    assert.equal((await editor.boxes())[0].caption, 'a black cat with a bell')
    await editor.root.getByText('about 8 of 77 tokens').waitFor()
    await field.fill('')
    await editor.root.getByText('needs a caption').waitFor()
    await editor.root.getByRole('textbox', { name: 'Global caption: the whole picture' }).fill('a quiet room')
    assert.equal((await editor.layout()).caption, 'a quiet room')
  })

  inEditor(
    'overlapping boxes: Ctrl draws over a box, Alt selects the box below, the list reorders',
    TWO,
    async (editor) => {
      await editor.drag([0.15, 0.4], [0.4, 0.6], ['Control'])
      assert.equal((await editor.boxes()).length, 3)
      await editor.press('Escape')
      await editor.root.getByText('overlaps 3').waitFor()
      await editor.page.keyboard.down('Alt')
      await editor.click([0.3, 0.5])
      await editor.page.keyboard.up('Alt')
      await editor.press('Shift+ArrowUp')
      assertAt((await editor.boxes())[0], [0.1, 0.3 - 10 / 1024, 0.4, 0.5])
      const rows = editor.root.locator('.ifa-row')
      await rows.first().locator('.ifa-grip').scrollIntoViewIfNeeded() // the list has scrolled to the selected box
      const [grip, last] = [
        await rows.first().locator('.ifa-grip').boundingBox(),
        await rows.last().boundingBox()
      ]
      await editor.dragPixels([grip.x + 5, grip.y + 5], [last.x + 10, last.y + last.height - 4])
      assert.equal((await editor.boxes())[0].caption, '')
    }
  )

  inEditor('the hatching follows the area in which two boxes overlap', TWO, async (editor) => {
    const hatches = editor.root.locator('.ifa-overlap')
    assert.equal(await hatches.count(), 0)
    await editor.drag([0.3, 0.4], [0.4, 0.4]) // the cat is now at 0.2, 0.3
    const [{ x, y, w, h }, pot] = await editor.boxes()
    const area = await editor.surface.boundingBox()
    const found = await hatches.first().boundingBox()
    const [right, bottom] = [Math.min(x + w, pot.x + pot.w), Math.min(y + h, pot.y + pot.h)]
    const expected = [pot.x, pot.y, right - pot.x, bottom - pot.y]
    const frame = [
      (found.x - area.x) / area.width,
      (found.y - area.y) / area.height,
      found.width / area.width,
      found.height / area.height
    ]
    frame.forEach((value, index) => assert.ok(near(value, expected[index]), `${frame} is not ${expected}`))
    await editor.drag([0.25, 0.4], [0.15, 0.4])
    assert.equal(await hatches.count(), 0)
  })

  inEditor('full screen shows the same editor, and Escape leaves it', TWO, async (editor) => {
    await editor.tool('expand').click()
    await editor.page.getByRole('dialog', { name: 'Layout editor' }).waitFor()
    await editor.settled()
    await editor.drag([0.55, 0.05], [0.9, 0.25])
    assert.equal((await editor.boxes()).length, 3)
    await editor.press('Escape')
    assert.equal(await editor.page.locator('.ifa-overlay').count(), 1, 'the first Escape ends the typing')
    await editor.press('Escape')
    await poll(async () => (await editor.page.locator('.ifa-overlay').count()) === 0)
    assert.equal(await editor.page.locator('.ifa-editor').count(), 1)
  })

  inEditor(
    'an invalid layout is kept, reported and can be corrected',
    '{"boxes": [{"x": 1}]}',
    async (editor) => {
      await editor.root.getByRole('alert').getByText('Box 1 lacks y, w, h').waitFor()
      assert.equal(await editor.value(), '{"boxes": [{"x": 1}]}')
      await editor.root.getByRole('button', { name: 'Show the text' }).click()
      await editor.root.getByRole('textbox', { name: 'The layout as JSON' }).fill(TWO)
      await editor.root.getByRole('button', { name: 'Use this text' }).click()
      assert.equal((await editor.boxes()).length, 2)
    }
  )

  inEditor('a layout can be saved as a preset, loaded and deleted', TWO, async (editor) => {
    const name = 'two of them'
    await editor.tool('star').click()
    await editor.root.getByRole('textbox', { name: 'Name of this layout' }).fill(name)
    await editor.root.getByRole('button', { name: 'Save', exact: true }).click()
    await editor.root.getByRole('button', { name, exact: true }).waitFor()
    await editor.root.getByRole('button', { name: 'Close' }).click()
    await editor.click([0.3, 0.5])
    await editor.press('Delete')
    assert.equal((await editor.boxes()).length, 1)
    await editor.tool('star').click()
    await editor.root.getByRole('button', { name, exact: true }).click()
    await poll(async () => (await editor.boxes()).length === 2)
    await editor.tool('star').click()
    const kept = editor.root.getByRole('button', { name, exact: true })
    const remove = editor.root.getByRole('button', { name: `Delete the preset ${name}` })
    await remove.click()
    await editor.root.getByText('Press again to delete').first().waitFor({ state: 'attached' })
    assert.equal(await kept.count(), 1)
    await remove.click()
    await editor.root.getByText('No presets yet.').waitFor()
  })

  inEditor('selected boxes are moved and resized as a group', TWO, async (editor) => {
    await editor.drag([0.02, 0.05], [0.97, 0.97], ['Shift'])
    await editor.root.getByText('2 boxes selected').waitFor({ state: 'attached' })
    await editor.drag([0.3, 0.5], [0.3, 0.4])
    const [cat, pot] = await editor.boxes()
    assertAt(cat, [0.1, 0.2, 0.4, 0.5])
    assertAt(pot, [0.55, 0.35, 0.35, 0.4])
    const area = await editor.root.locator('.ifa-active > .ifa-se').boundingBox()
    const start = [area.x + area.width / 2, area.y + area.height / 2]
    await editor.dragPixels(start, [start[0] - 60, start[1] - 40])
    const after = await editor.boxes()
    assert.ok(after[0].w < cat.w && after[1].w < pot.w && after[0].h < cat.h && after[1].h < pot.h)
    assert.ok(near(after[0].w / after[1].w, cat.w / pot.w))
    await editor.page.keyboard.down('Shift')
    await editor.click([after[0].x + 0.05, after[0].y + 0.05])
    await editor.page.keyboard.up('Shift')
    await editor.press('Delete')
    assert.deepEqual(
      (await editor.boxes()).map((box) => box.caption),
      ['a ginger cat']
    )
  })

  inEditor('edges snap to the grid and to other boxes', TWO, async (editor) => {
    await editor.drag([0.56, 0.06], [0.903, 0.303])
    const drawn = (await editor.boxes())[2]
    assert.ok(
      near(drawn.x + drawn.w, 0.9, 1e-9) && near(drawn.y + drawn.h, 0.3, 1e-9),
      'guides: onto the edges of the teapot and the cat'
    )
    await editor.tool('thirds').click()
    assert.equal(await editor.root.locator('.ifa-thirds').count(), 8)
    await editor.tool('grid').click()
    await editor.root.getByRole('spinbutton', { name: 'Grid size in pixels' }).fill('128')
    await editor.press('Enter')
    await editor.drag([0.3, 0.5], [0.33, 0.52])
    const cat = (await editor.boxes())[0]
    assert.ok(near((cat.x * 1024) % 128, 0, 1e-6) && near((cat.y * 1024) % 128, 0, 1e-6))
  })

  inEditor('the Add button, a box over the whole picture, and exact pixels', EMPTY, async (editor) => {
    await editor.tool('add').click()
    await editor.page.keyboard.type('a lamp')
    await editor.tool('full').click()
    await editor.page.keyboard.type('a wall')
    const [lamp, wall] = await editor.boxes()
    assert.deepEqual([lamp.caption, wall.caption], ['a lamp', 'a wall'])
    assertAt(wall, [0, 0, 1, 1])
    for (const [name, value] of [
      ['width', '512'],
      ['height', '256'],
      ['left', '100'],
      ['top', '50']
    ]) {
      await editor.root.getByRole('spinbutton', { name: `${name} of the box in pixels` }).fill(value)
      await editor.press('Enter')
    }
    assertAt((await editor.boxes())[1], [100 / 1024, 50 / 1024, 0.5, 0.25])
    await editor.root.getByRole('spinbutton', { name: 'strength of the box' }).fill('0.5')
    await editor.press('Enter')
    assert.deepEqual(
      (await editor.boxes()).map((box) => box.strength),
      [1, 0.5]
    )
  })

  const column = JSON.stringify({
    boxes: [0, 1, 2, 3, 4, 5, 6, 7].map((row) => ({
      x: 0.1,
      y: row / 8,
      w: 0.5,
      h: 0.1,
      caption: `shelf ${row}`
    }))
  })
  inEditor('selecting a box scrolls the list to its row, and nothing else', column, async (editor) => {
    const before = await editor.root.boundingBox()
    for (const row of [0, 7, 3]) {
      await editor.click([0.3, row / 8 + 0.05])
      const [list, chosen] = await Promise.all(
        [editor.root.locator('.ifa-list'), editor.root.locator('.ifa-row.ifa-selected')].map((part) =>
          part.boundingBox()
        )
      )
      assert.ok(chosen.y >= list.y - 1 && chosen.y + chosen.height <= list.y + list.height + 1, `row ${row}`)
    }
    assert.deepEqual(await editor.root.boundingBox(), before)
  })

  inEditor('a locked box does not move: dragging on it draws a new box', TWO, async (editor) => {
    await editor.root.getByRole('button', { name: 'Lock box 1' }).click()
    await editor.drag([0.2, 0.4], [0.4, 0.6])
    const boxes = await editor.boxes()
    assertAt(boxes[0], [0.1, 0.3, 0.4, 0.5])
    assert.equal(boxes.length, 3)
  })

  inEditor('a drag may end outside the node, and Escape cancels it', TWO, async (editor) => {
    const start = await editor.at([0.7, 0.7])
    await editor.dragPixels(start, [start[0] + 900, start[1] - 700])
    assertAt((await editor.boxes())[1], [0.65, 0, 0.35, 0.4])
    await editor.page.mouse.move(...(await editor.at([0.3, 0.5])))
    await editor.page.mouse.down()
    await editor.page.mouse.move(...(await editor.at([0.5, 0.1])), { steps: 5 })
    await editor.press('Escape')
    await editor.page.mouse.up()
    assertAt((await editor.boxes())[0], [0.1, 0.3, 0.4, 0.5])
  })

  inEditor('other formats can be imported as text and as a file, and exported', TWO, async (editor) => {
    await editor.tool('exchange').click()
    const text = editor.root.getByRole('textbox', { name: 'The layout as JSON' })
    await editor.root.getByRole('combobox', { name: 'Format' }).selectOption("ComfyUI's box elements")
    assert.deepEqual(JSON.parse(await text.inputValue())[0], {
      type: 'obj',
      bbox: [300, 100, 800, 500],
      desc: 'a ginger cat'
    })
    await editor.root.getByRole('combobox', { name: 'Format' }).selectOption("IFAdapter's release")
    const release = await text.inputValue()
    assert.equal(JSON.parse(release).annotations.length, 2)
    const [chooser] = await Promise.all([
      editor.page.waitForEvent('filechooser'),
      editor.root.getByRole('button', { name: 'Open a file' }).click()
    ])
    const one = { annotations: [{ box: [76.8, 76.8, 384, 384], caption: 'a dog' }] }
    await chooser.setFiles({
      name: 'layout.json',
      mimeType: 'application/json',
      buffer: Buffer.from(JSON.stringify(one))
    })
    await poll(async () => (await editor.boxes()).length === 1)
    assertAt((await editor.boxes())[0], [0.1, 0.1, 0.5, 0.5])
    await editor.tool('exchange').click()
    const [saved] = await Promise.all([
      editor.page.waitForEvent('download'),
      editor.root.getByRole('button', { name: 'Save as a file' }).click()
    ])
    assert.equal(saved.suggestedFilename(), 'layout.json')
    await text.fill('{"boxes": 3}')
    await editor.root.getByRole('button', { name: 'Use this text' }).click()
    await editor.root.locator('.ifa-panel').getByRole('alert').getByText("'boxes' must be a list").waitFor()
    assert.equal((await editor.boxes()).length, 1)
  })

  inEditor(
    'touch draws and moves boxes',
    EMPTY,
    async (editor) => {
      const touch = async (from, to) => {
        const session = await editor.page.context().newCDPSession(editor.page)
        const points = [0, 0.3, 0.6, 1].map((part) => [
          from[0] + (to[0] - from[0]) * part,
          from[1] + (to[1] - from[1]) * part
        ])
        for (const [number, [x, y]] of points.entries()) {
          await session.send('Input.dispatchTouchEvent', {
            type: number ? 'touchMove' : 'touchStart',
            touchPoints: [{ x, y }]
          })
        }
        await editor.nextFrame()
        await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
        await editor.nextFrame()
      }
      await touch(await editor.at([0.2, 0.2]), await editor.at([0.5, 0.6]))
      assertAt((await editor.boxes())[0], [0.2, 0.2, 0.3, 0.4])
      await touch(await editor.at([0.35, 0.4]), await editor.at([0.55, 0.5]))
      assertAt((await editor.boxes())[0], [0.4, 0.3, 0.3, 0.4])
    },
    { hasTouch: true }
  )
}
