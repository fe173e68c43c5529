// The layout editor in a real ComfyUI, by mouse and keys, in both renderers.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { openEditor, poll, RENDERERS, skip, startBrowser, startServer } from './comfyui.js'

const TWO = JSON.stringify({
  version: 1,
  caption: 'a cat and a teapot',
  boxes: [
    { id: 'cat', x: 0.1, y: 0.3, w: 0.4, h: 0.5, caption: 'a ginger cat' },
    { id: 'pot', x: 0.55, y: 0.45, w: 0.35, h: 0.4, caption: 'a green teapot' }
  ]
})
const TEST_MS = 90_000
const EMPTY = '{"version":1,"caption":"","boxes":[]}'

const near = (a, b, within = 0.006) => Math.abs(a - b) <= within
const isAt = (box, [x, y, w, h]) => near(box.x, x) && near(box.y, y) && near(box.w, w) && near(box.h, h)

function assertAt(box, frame) {
  assert.ok(isAt(box, frame), `${[box.x, box.y, box.w, box.h]} is not ${frame}`)
}

let server
let browser

before(async () => {
  if (skip) return
  ;[server, browser] = await Promise.all([startServer(), startBrowser()])
})

after(async () => {
  await browser?.close()
  await server?.stop()
})

for (const renderer of RENDERERS) {
  describe(renderer, { skip }, () => {
    /** A test with an editor of its own; an error on the page fails it. */
    function inEditor(name, layout, act) {
      test(name, { timeout: TEST_MS }, async () => {
        const editor = await openEditor(browser, server, renderer, { layout })
        try {
          assert.equal(await editor.page.evaluate(() => Boolean(window.LiteGraph.vueNodesMode)), renderer === 'Nodes 2.0')
          await act(editor)
          assert.deepEqual(editor.errors, [])
        } finally {
          await editor.close()
        }
      })
    }

    inEditor('a box is drawn by dragging, from any corner, and never leaves the canvas', EMPTY, async (editor) => {
      await editor.root.getByText('Drag to draw a box, or press + Add').waitFor()
      await editor.drag([0.6, 0.4], [0.2, 0.1])
      await editor.drag([0.7, 0.7], [1.2, 1.3])
      const [first, second] = await editor.boxes()
      assertAt(first, [0.2, 0.1, 0.4, 0.3])
      assertAt(second, [0.7, 0.7, 0.3, 0.3])
      await editor.click([0.05, 0.9])
      assert.equal((await editor.boxes()).length, 2, 'a click draws nothing')
    })

    inEditor('a box is moved, resized at every handle, and undone step by step', TWO, async (editor) => {
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

    inEditor('keys act on the boxes and never on the graph', TWO, async (editor) => {
      await editor.click([0.3, 0.5])
      await editor.press('ArrowRight', 'Shift+ArrowDown')
      const [moved] = await editor.boxes()
      assert.ok(near(moved.x, 0.1 + 1 / 1024, 1e-6) && near(moved.y, 0.3 + 10 / 1024, 1e-6))
      await editor.press('Alt+ArrowRight')
      assert.ok(near((await editor.boxes())[0].w, 0.4 + 1 / 1024, 1e-6))
      await editor.press(']')
      assert.deepEqual((await editor.boxes()).map((box) => box.caption), ['a green teapot', 'a ginger cat'])
      await editor.press('[', 'Control+d')
      assert.deepEqual((await editor.boxes()).map((box) => box.caption), ['a ginger cat', 'a green teapot', 'a ginger cat'])
      await editor.press('h')
      assert.ok((await editor.boxes()).every((box) => box.hidden))
      await editor.press('h', 'l')
      assert.deepEqual((await editor.boxes()).map((box) => box.locked), [false, false, true])
      await editor.press('Delete', 'Control+a', 'Control+c', 'Control+v', 'Backspace')
      assert.deepEqual((await editor.boxes()).map((box) => box.caption), ['a ginger cat', 'a green teapot'])
      assert.equal(await editor.page.evaluate(() => window.app.graph._nodes.length), 1)
    })

    inEditor('words are written in the box and in the list', TWO, async (editor) => {
      await editor.page.mouse.dblclick(...(await editor.at([0.7, 0.7])))
      await editor.page.keyboard.type('a blue teapot')
      await editor.press('Escape')
      assert.equal((await editor.boxes())[1].caption, 'a blue teapot')
      const field = editor.root.getByRole('textbox', { name: 'Words of box 1' })
      await field.fill('a black cat with a bell')
      assert.equal((await editor.boxes())[0].caption, 'a black cat with a bell')
      await editor.root.getByText('8/77 tokens').waitFor()
      await field.fill('')
      await editor.root.getByText('needs a caption').waitFor()
      await editor.root.getByRole('textbox', { name: 'Global caption: the whole picture' }).fill('a quiet room')
      assert.equal((await editor.layout()).caption, 'a quiet room')
    })

    inEditor('below a box there may be another: Ctrl draws over, Alt picks below, the list reorders', TWO, async (editor) => {
      await editor.drag([0.15, 0.4], [0.4, 0.6], ['Control'])
      assert.equal((await editor.boxes()).length, 3)
      await editor.root.getByText('overlaps 3').waitFor()
      await editor.page.keyboard.down('Alt')
      await editor.click([0.3, 0.5])
      await editor.page.keyboard.up('Alt')
      await editor.press('Shift+ArrowUp')
      assertAt((await editor.boxes())[0], [0.1, 0.3 - 10 / 1024, 0.4, 0.5])
      const rows = editor.root.locator('.ifa-row')
      const [grip, last] = [await rows.first().locator('.ifa-grip').boundingBox(), await rows.last().boundingBox()]
      await editor.dragPixels([grip.x + 5, grip.y + 5], [last.x + 10, last.y + last.height - 4])
      assert.equal((await editor.boxes())[0].caption, '')
    })

    inEditor('after an undo of the graph the editor that is seen is the one that counts', TWO, async (editor) => {
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

    inEditor('a run gets boxes and words, and neither colours nor what is hidden', TWO, async (editor) => {
      await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
      const { output } = await editor.page.evaluate(() => window.app.graphToPrompt())
      const [node] = Object.values(output)
      const sent = JSON.parse(node.inputs.layout)
      assert.deepEqual(sent.boxes, [{ x: 0.55, y: 0.45, w: 0.35, h: 0.4, caption: 'a green teapot', strength: 1 }])
      assert.equal(sent.caption, 'a cat and a teapot')
    })

    inEditor('a workflow that is saved and loaded has the same layout, hidden boxes and colours too', TWO, async (editor) => {
      await editor.root.getByRole('button', { name: 'Hide box 1' }).click()
      const value = await editor.value()
      await editor.page.evaluate(() => window.app.loadGraphData(JSON.parse(JSON.stringify(window.app.graph.serialize()))))
      await poll(async () => (await editor.value()) === value)
    })

    inEditor('full screen is the same editor, and Escape leaves it', TWO, async (editor) => {
      await editor.tool('expand').click()
      await editor.page.getByRole('dialog', { name: 'Layout editor' }).waitFor()
      await editor.settled()
      await editor.drag([0.55, 0.05], [0.9, 0.25])
      assert.equal((await editor.boxes()).length, 3)
      await editor.press('Escape')
      await editor.press('Escape')
      await poll(async () => (await editor.page.locator('.ifa-overlay').count()) === 0)
      assert.equal(await editor.page.locator('.ifa-editor').count(), 1)
    })

    inEditor('a text that is no layout is kept, said, and can be mended', '{"boxes": [{"x": 1}]}', async (editor) => {
      await editor.root.getByRole('alert').getByText('Box 1 lacks y, w, h').waitFor()
      assert.equal(await editor.value(), '{"boxes": [{"x": 1}]}')
      await editor.root.getByRole('button', { name: 'Show the text' }).click()
      await editor.root.getByRole('textbox', { name: 'The layout as JSON' }).fill(TWO)
      await editor.root.getByRole('button', { name: 'Use this text' }).click()
      assert.equal((await editor.boxes()).length, 2)
    })

    inEditor('a layout is kept as a preset and comes back', TWO, async (editor) => {
      const name = `two ${renderer}`
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
    })
  })
}
