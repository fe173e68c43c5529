// Room: the picture has most of the node, of a phone's screen and of full screen.

import assert from 'node:assert/strict'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const PHONE = { viewport: { width: 390, height: 844 }, hasTouch: true, isMobile: true }

/** Replaces the node by a new one, as a user adds it. */
async function addNew(editor, size = null) {
  await editor.page.evaluate((given) => {
    window.app.graph.clear()
    const node = window.LiteGraph.createNode('IFAdapterLayout')
    node.pos = [100, 40]
    window.app.graph.add(node)
    if (given) node.setSize(given)
    Object.assign(window.app.canvas.ds, { scale: 0.8, offset: [60, 20] })
    window.app.canvas.setDirty(true, true)
  }, size)
  await editor.surface.waitFor()
  await editor.settled()
}

/** Sets a widget of the layout node as a user does. */
function set(editor, name, value) {
  return editor.page.evaluate(
    ([key, given]) => {
      const widget = window.app.graph._nodes[0].widgets.find((each) => each.name === key)
      widget.value = given
      widget.callback?.(given)
    },
    [name, value]
  )
}

const area = ({ width, height }) => width * height

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function room(inEditor) {
  inEditor('in a new node, the picture has at least 60 % of the editor', EMPTY, async (editor) => {
    await addNew(editor)
    const [root, surface] = [await editor.root.boundingBox(), await editor.surface.boundingBox()]
    assert.ok(area(surface) >= 0.6 * area(root), `${area(surface) / area(root)}`)
    // The toolbar stands beside the outputs' names, which stay within reach.
    const bar = await editor.root.locator('.ifa-toolbar').boundingBox()
    assert.ok(surface.y - bar.y < 90 * 0.8, 'no empty rows between the toolbar and the picture')
    const over = await editor.page.evaluate(
      ([x, y]) => document.elementFromPoint(x, y)?.closest('.ifa-editor'),
      [root.x + root.width - 12, bar.y + bar.height / 2]
    )
    assert.equal(over, null)
    const lastInput = await editor.page.evaluate(() => {
      const { ds, canvas, graph } = window.app.canvas
      const [node] = graph._nodes
      const slot = node.inputs.findIndex((input) => input.name === 'layout_text')
      const [, y] = node.getConnectionPos(true, slot)
      return canvas.getBoundingClientRect().top + (y + ds.offset[1]) * ds.scale
    })
    assert.ok(lastInput < bar.y, 'the toolbar is below the names of the inputs')
  })

  inEditor('a wide picture takes the width of the editor', EMPTY, async (editor) => {
    await set(editor, 'width', 2048)
    await set(editor, 'height', 512)
    await editor.settled()
    const [root, surface] = [await editor.root.boundingBox(), await editor.surface.boundingBox()]
    assert.ok(surface.width > 0.95 * root.width)
    assert.ok(Math.abs(surface.width / surface.height - 4) < 0.05)
  })

  inEditor('nothing spills out of a small node, and its smallest width holds', TWO, async (editor) => {
    await addNew(editor, [100, 100])
    const width = await editor.page.evaluate(() => window.app.graph._nodes[0].size[0])
    assert.equal(width, 340)
    const root = await editor.root.boundingBox()
    assert.ok(root.width <= 340 * 0.8 && root.width > 300 * 0.8)
    const spilled = await editor.root.evaluate((frame) => {
      const outer = frame.getBoundingClientRect()
      return [
        ...frame.querySelectorAll('.ifa-toolbar, .ifa-toolbar *, .ifa-surface, .ifa-list, .ifa-exact *')
      ]
        .filter((part) => part.checkVisibility())
        .filter((part) => {
          const { left, right, bottom } = part.getBoundingClientRect()
          return left < outer.left - 1 || right > outer.right + 1 || bottom > outer.bottom + 1
        })
        .map((part) => part.className)
    })
    assert.deepEqual(spilled, [])
  })

  inEditor(
    'on a phone, the picture has 70 % of the width, and handles are outside of the boxes',
    TWO,
    async (editor) => {
      await editor.tool('expand').evaluate((button) => button.click())
      await editor.settled()
      const surface = await editor.surface.boundingBox()
      assert.ok(surface.width >= 0.7 * 390, `${surface.width}`)
      await editor.page.touchscreen.tap(...(await editor.at([0.3, 0.5])))
      const [box, handle] = await Promise.all(
        ['.ifa-active', '.ifa-active > .ifa-se'].map((part) => editor.root.locator(part).boundingBox())
      )
      assert.ok(handle.x >= box.x + box.width - 2 && handle.y >= box.y + box.height - 2)
      assert.ok(handle.width >= 24)
      await editor.page.evaluate(() => document.querySelector('[data-tool="full"]').click())
      const inline = await editor.root.locator('.ifa-inline').boundingBox()
      assert.ok(inline.x >= 0 && inline.x + inline.width <= 390)
    },
    PHONE
  )

  inEditor(
    'the picture can be zoomed with Ctrl and the wheel, moved with Space, and fitted again',
    TWO,
    async (editor) => {
      const before = await editor.surface.boundingBox()
      const graph = () => editor.page.evaluate(() => window.app.canvas.ds.scale)
      const scale = await graph()
      const anchor = [0.3, 0.5]
      const point = await editor.at(anchor)
      await editor.page.mouse.move(...point)
      await editor.page.keyboard.down('Control')
      await editor.page.mouse.wheel(0, -400)
      await editor.page.keyboard.up('Control')
      await poll(async () => (await editor.surface.boundingBox()).width > 1.5 * before.width)
      assert.equal(await graph(), scale, 'the graph keeps its zoom')
      const now = await editor.at(anchor)
      const shift = Math.hypot(now[0] - point[0], now[1] - point[1])
      assert.ok(shift < 4, `the point under the pointer stays: ${shift} px`)
      await editor.page.mouse.click(...point)
      await editor.page.keyboard.down('Space')
      await editor.dragPixels(point, [point[0] + 40, point[1] + 30])
      await editor.page.keyboard.up('Space')
      const moved = await editor.at(anchor)
      assert.ok(Math.abs(moved[0] - point[0] - 40) < 3 && Math.abs(moved[1] - point[1] - 30) < 3)
      await editor.drag([0.3, 0.5], [0.31, 0.52])
      assert.ok((await editor.boxes())[0].x > 0.1, 'boxes move with the pointer in a zoomed picture')
      await editor.tool('zoom').click()
      await poll(async () => Math.abs((await editor.surface.boundingBox()).width - before.width) < 1)
      await editor.tool('zoom').click()
      await poll(async () => Math.abs((await editor.surface.boundingBox()).width - 1024) < 1)
    }
  )

  inEditor('full screen runs the workflow, and shows its errors and its size', TWO, async (editor) => {
    const shown = await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
    await editor.tool('expand').click()
    const isAbove = await editor.page.evaluate(() =>
      document.querySelector('.ifa-overlay').matches(':popover-open')
    )
    assert.ok(isAbove)
    const run = editor.root.getByRole('button', { name: 'Run', exact: true })
    await run.click()
    await poll(async () => Object.values(await editor.history()).some(({ outputs }) => outputs[shown]))
    await editor.root.getByRole('textbox', { name: 'Description of box 2' }).fill('')
    await run.click()
    const bar = editor.root.locator('.ifa-run')
    await bar.getByText('Box 2 has no local description').waitFor()
    await bar.getByRole('button', { name: '1024 x 1024' }).click()
    await editor.root.getByRole('button', { name: '1344 x 768' }).click()
    await bar.getByRole('button', { name: '1344 x 768' }).waitFor()
    const sides = await editor.page.evaluate(() =>
      ['width', 'height'].map(
        (name) =>
          window.app.graph._nodes
            .find((node) => node.type === 'IFAdapterLayout')
            .widgets.find((widget) => widget.name === name).value
      )
    )
    assert.deepEqual(sides, [1344, 768])
    assertAt((await editor.boxes())[0], [0.1, 0.3, 0.4, 0.5])
  })

  inEditor('a run from full screen changes the seed as ComfyUI does', TWO, async (editor) => {
    const picture = await editor.create('IFAdapterTestPicture', {
      widgets: { seed: 5, control_after_generate: 'increment' },
      links: { layout: [await editor.id(), 'layout'] }
    })
    await editor.create('PreviewImage', { links: { images: [picture, 'image'] } })
    await editor.tool('expand').click()
    const known = Object.keys(await editor.history())
    const seedsOfRuns = async () =>
      Object.entries(await editor.history())
        .filter(([id]) => !known.includes(id))
        .map(([, { prompt }]) => prompt[2][picture].inputs.seed)
    for (const expected of [[5], [5, 6]]) {
      await editor.root.getByRole('button', { name: 'Run', exact: true }).click()
      await poll(async () => (await seedsOfRuns()).length === expected.length)
      assert.deepEqual((await seedsOfRuns()).sort(), expected)
    }
    const next = await editor.page.evaluate(
      (id) => window.app.graph.getNodeById(id).widgets.find((each) => each.name === 'seed').value,
      picture
    )
    assert.equal(next, 7)
  })

  inEditor('full screen shows the progress of a run, and cancels it', TWO, async (editor) => {
    await editor.create('IFAdapterTestSlow', { links: { layout: [await editor.id(), 'layout'] } })
    await editor.tool('expand').click()
    const cancel = editor.root.getByRole('button', { name: 'Cancel', exact: true })
    assert.ok(await cancel.isDisabled())
    await editor.root.getByRole('button', { name: 'Run', exact: true }).click()
    const progress = editor.root.getByRole('progressbar', { name: 'Progress of the run' })
    await poll(
      async () => (await progress.isVisible()) && (await progress.evaluate((bar) => bar.value)) >= 0.5
    )
    await cancel.click()
    await progress.waitFor({ state: 'hidden' })
    await poll(() => cancel.isDisabled())
  })

  inEditor(
    'two fingers zoom the picture, and change no box',
    TWO,
    async (editor) => {
      const before = await editor.surface.boundingBox()
      const session = await editor.page.context().newCDPSession(editor.page)
      const middle = await editor.at([0.4, 0.5])
      for (const [type, apart] of [
        ['touchStart', 30],
        ['touchMove', 50],
        ['touchMove', 90]
      ]) {
        const touchPoints = [-apart, apart].map((x, id) => ({ x: middle[0] + x, y: middle[1], id }))
        await session.send('Input.dispatchTouchEvent', { type, touchPoints })
      }
      await session.send('Input.dispatchTouchEvent', { type: 'touchEnd', touchPoints: [] })
      await poll(async () => (await editor.surface.boundingBox()).width > 2 * before.width)
      assert.deepEqual(
        (await editor.boxes()).map(({ x }) => x),
        [0.1, 0.55]
      )
      assert.equal((await editor.boxes()).length, 2)
    },
    { hasTouch: true }
  )

  inEditor('no tooltip for those who write JSON floats over the editor', TWO, async (editor) => {
    const options = await editor.page.evaluate(
      () => window.LiteGraph.registered_node_types.IFAdapterLayout.nodeData.input.required.layout[1]
    )
    assert.equal(options.tooltip, undefined)
  })

  inEditor('fields grow with their words, and boxes can be seen untinted', TWO, async (editor) => {
    const field = editor.root.getByRole('textbox', { name: 'Description of box 1' })
    const before = await field.boundingBox()
    await field.fill('a ginger cat with white paws and a blue collar '.repeat(4))
    assert.ok((await field.boundingBox()).height > 2 * before.height)
    assert.equal(await field.getAttribute('dir'), 'auto')
    await editor.tool('picture').click()
    await editor.root.getByLabel('Opacity of the boxes').fill('0')
    const tint = await editor.root
      .locator('[data-box="cat"]')
      .evaluate((box) => getComputedStyle(box).backgroundColor)
    assert.match(tint, /(\/ 0\)|, 0\))$/)
    await editor.root.getByLabel('Size of the words in the boxes').fill('20')
    const size = await editor.root
      .locator('[data-box="cat"] .ifa-words')
      .evaluate((part) => getComputedStyle(part).fontSize)
    assert.equal(size, '20px')
  })
}
