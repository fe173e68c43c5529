// Where people work: menus, dropped files, pasted answers, starter layouts, several boxes at once.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'

import { poll } from './poll.js'
import { assertAt, EMPTY, TWO } from './gestures.js'

const ANSWER = `Here you are:
\`\`\`json
{"caption": "a desk", "boxes": [{"x": 0.1, "y": 0.2, "w": 0.3, "h": 0.4, "caption": "a brass lamp"}]}
\`\`\``
const THREE = JSON.stringify({
  boxes: [
    { id: 'a', x: 0.1, y: 0.1, w: 0.1, h: 0.2, caption: 'a' },
    { id: 'b', x: 0.25, y: 0.4, w: 0.2, h: 0.1, caption: 'b' },
    { id: 'c', x: 0.7, y: 0.6, w: 0.2, h: 0.2, caption: 'c' }
  ]
})

const WORKFLOWS = new URL('../../workflows/', import.meta.url)

/** The links of a prompt: [origin, output] by node and input. */
function linksOf(prompt) {
  const links = {}
  for (const [id, { inputs }] of Object.entries(prompt)) {
    for (const [name, value] of Object.entries(inputs))
      if (Array.isArray(value)) links[`${id} ${name}`] = value.map(String).join(' ')
  }
  return links
}

/** From now on, the editor is the one that can be seen. */
async function useVisible(editor) {
  editor.root = editor.page.getByTestId('ifa-editor').filter({ visible: true }).first()
  editor.surface = editor.page.getByTestId('ifa-surface').filter({ visible: true }).first()
  await editor.surface.waitFor()
  await editor.settled()
}

/** Drops a file on the surface. content: base64. */
function drop(editor, name, type, content) {
  return editor.surface.evaluate(
    (surface, [title, kind, text]) => {
      const bytes = Uint8Array.from(atob(text), (character) => character.charCodeAt(0))
      const dataTransfer = new DataTransfer()
      dataTransfer.items.add(new File([bytes], title, { type: kind }))
      for (const event of ['dragover', 'drop'])
        surface.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }))
    },
    [name, type, content]
  )
}

/** Pastes a text where the focus is. */
function paste(editor, text) {
  return editor.page.evaluate((given) => {
    const clipboardData = new DataTransfer()
    clipboardData.setData('text/plain', given)
    const event = new ClipboardEvent('paste', { clipboardData, bubbles: true, cancelable: true })
    document.activeElement.dispatchEvent(event)
  }, text)
}

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function places(inEditor) {
  inEditor('a right-click on a box opens its own menu', TWO, async (editor) => {
    const menu = editor.root.getByRole('menu')
    const order = async () => (await editor.boxes()).map((box) => box.id)
    const choose = async (at, name) => {
      await editor.click(at, { button: 'right' })
      await menu.getByRole('menuitem', { name, exact: true }).click()
      await menu.waitFor({ state: 'hidden' })
    }
    await choose([0.3, 0.5], 'Bring to the front')
    assert.deepEqual(await order(), ['pot', 'cat'])
    await choose([0.3, 0.5], 'Send to the back')
    assert.deepEqual(await order(), ['cat', 'pot'])
    await choose([0.3, 0.5], 'Lock')
    assert.ok((await editor.boxes())[0].locked)
    await choose([0.3, 0.5], 'Unlock')
    await choose([0.3, 0.5], 'Full width')
    assertAt((await editor.boxes())[0], [0, 0.3, 1, 0.5])
    await choose([0.05, 0.7], 'Edit the description')
    await editor.page.keyboard.type('a black cat')
    await editor.press('Escape')
    assert.equal((await editor.boxes())[0].caption, 'a black cat')
    await choose([0.05, 0.7], 'Duplicate')
    assert.equal((await editor.boxes()).length, 3)
    await editor.click([0.05, 0.72], { button: 'right' })
    await editor.press('ArrowUp', 'Enter') // the last item: Delete
    await poll(async () => (await editor.boxes()).length === 2)
    await editor.click([0.05, 0.72], { button: 'right' })
    await editor.press('Escape')
    await menu.waitFor({ state: 'hidden' })
    await editor.press('Delete')
    assert.equal((await editor.boxes()).length, 1)
    assert.equal(await editor.page.evaluate(() => window.app.graph._nodes.length), 1)
    await editor.click([0.5, 0.05], { button: 'right' })
    assert.ok(await menu.isHidden(), 'beside all boxes there is no menu')
  })

  inEditor('a dropped picture becomes the background, a dropped text the layout', EMPTY, async (editor) => {
    const picture = await editor.page.evaluate(() => {
      const canvas = document.createElement('canvas')
      canvas.width = canvas.height = 48
      return canvas.toDataURL('image/png').split(',')[1]
    })
    await drop(editor, 'cat.png', 'image/png', picture)
    const image = editor.root.locator('.ifa-background').first()
    await poll(() => image.evaluate((element) => !element.hidden && element.naturalWidth === 48))
    await drop(editor, 'layout.json', 'application/json', Buffer.from(TWO).toString('base64'))
    await poll(async () => (await editor.boxes()).length === 2)
    assert.equal(await editor.page.evaluate(() => window.app.graph._nodes.length), 1, 'no node is made of it')
  })

  inEditor("a language model's answer can be pasted onto the surface", EMPTY, async (editor) => {
    await editor.click([0.5, 0.5])
    await paste(editor, ANSWER)
    const layout = await editor.layout()
    assert.equal(layout.caption, 'a desk')
    assertAt(layout.boxes[0], [0.1, 0.2, 0.3, 0.4])
    await paste(editor, ANSWER)
    assert.equal((await editor.boxes()).length, 2, 'a second answer adds its boxes')
    await paste(editor, ANSWER)
    const places = (await editor.boxes()).map(({ x, y }) => `${x.toFixed(3)} ${y.toFixed(3)}`)
    assert.equal(new Set(places).size, 3, 'no box covers another one exactly')
    await paste(editor, 'no layout at all')
    await editor.root.locator('.ifa-flash').waitFor()
    assert.equal((await editor.boxes()).length, 3)
  })

  inEditor('the presets panel has layouts to start from', TWO, async (editor) => {
    await editor.tool('star').click()
    const starters = editor.root.locator('.ifa-starter')
    assert.ok((await starters.count()) >= 8)
    assert.equal(await starters.locator('svg').count(), await starters.count())
    await starters.filter({ hasText: 'Grid of four' }).click()
    const boxes = await editor.boxes()
    assert.equal(boxes.length, 4)
    assert.ok(boxes.every((box) => box.caption))
    await editor.press('Control+z')
    assert.equal((await editor.boxes()).length, 2)
  })

  inEditor('several boxes can be aligned and distributed', THREE, async (editor) => {
    const align = editor.root.getByRole('group', { name: 'Align the selected boxes' })
    await editor.click([0.15, 0.15])
    assert.ok(await align.isHidden())
    await editor.press('Control+a')
    await align.getByRole('button', { name: 'Equal gaps across' }).click()
    const gaps = (await editor.boxes()).map((box) => [box.x, box.x + box.w])
    assert.ok(Math.abs(gaps[1][0] - gaps[0][1] - (gaps[2][0] - gaps[1][1])) < 1e-9)
    await align.getByRole('button', { name: 'Align bottom' }).click()
    for (const { y, h } of await editor.boxes()) assert.ok(Math.abs(y + h - 0.8) < 1e-9)
    await align.getByRole('button', { name: 'Align left' }).click()
    assert.ok((await editor.boxes()).every(({ x }) => Math.abs(x - 0.1) < 1e-9))
  })

  inEditor(
    'the editor can be promoted to the face of a subgraph, with a value of its own',
    TWO,
    async (editor) => {
      const { page } = editor
      const id = await editor.id()
      const shown = await editor.create('PreviewAny', { links: { source: [id, 'prompt'] } })
      await page.evaluate((number) => {
        const { graph } = window.app
        const { node } = graph.convertToSubgraph(new Set([graph.getNodeById(number)]))
        node.setSize([600, 700])
        node.pos = [50, 60]
        const [inner] = node.subgraph._nodes
        for (const [name, type] of [
          ['layout', 'STRING'],
          ['height', 'INT']
        ])
          node.subgraph.addInput(name, type).connect(
            inner.inputs.find((input) => input.name === name),
            inner
          )
        window.app.canvas.setDirty(true, true)
      }, id)
      await useVisible(editor)
      await editor.drag([0.55, 0.05], [0.9, 0.25])
      await page.keyboard.type('a hen')
      await editor.press('Escape')
      await page.evaluate(() =>
        window.app.loadGraphData(JSON.parse(JSON.stringify(window.app.graph.serialize())))
      )
      await useVisible(editor)
      assert.equal(await editor.root.locator('[data-box]').count(), 3)
      const { outputs } = await editor.run()
      assert.deepEqual(outputs[shown].text, ['a cat and a teapot, a ginger cat, a green teapot, a hen'])
      const inner = await page.evaluate(
        () => window.app.graph._nodes.find((node) => node.subgraph).subgraph._nodes[0].widgets[0].value
      )
      assert.equal(JSON.parse(inner).boxes.length, 2, 'the node inside keeps its own layout')
    }
  )

  inEditor('the editor can be an input of an app', TWO, async (editor) => {
    const { page } = editor
    const id = await editor.id()
    const output = await editor.create('PreviewImage', { links: { images: [id, 'picture'] } })
    await page.evaluate(
      async ([layout, picture]) => {
        const data = JSON.parse(JSON.stringify(window.app.graph.serialize()))
        data.extra = { ...data.extra, linearData: { inputs: [[layout, 'layout']], outputs: [picture] } }
        await window.app.loadGraphData(data)
        await window.app.extensionManager.command.execute('Comfy.ToggleLinear')
      },
      [id, output]
    )
    const skip = page.getByRole('button', { name: 'Skip' })
    await useVisible(editor)
    await poll(async () => {
      if (await skip.isVisible()) await skip.click() // the host's tour of apps
      return editor.surface.evaluate((surface) => {
        const { left, top, width, height } = surface.getBoundingClientRect()
        return surface.contains(document.elementFromPoint(left + width / 2, top + height / 2))
      })
    })
    const [root, surface] = [await editor.root.boundingBox(), await editor.surface.boundingBox()]
    assert.ok(root.x > 700, 'in the panel of the app')
    assert.ok(surface.width >= 0.7 * root.width, `${surface.width / root.width}`)
    await editor.drag([0.55, 0.05], [0.9, 0.25])
    await page.keyboard.type('a hen')
    await editor.press('Escape')
    assert.equal((await editor.boxes()).at(-1).caption, 'a hen')
  })

  inEditor('a layout text from a link says that it is used', TWO, async (editor) => {
    const text = await editor.create('PrimitiveStringMultiline', { widgets: { value: TWO } })
    await editor.link(text, 'STRING', 'layout')
    // Nodes 2.0 hides a widget whose input is linked.
    const said = editor.root.getByText('The layout comes from a link')
    await poll(
      async () => (await editor.root.count()) === 0 || (await editor.root.isHidden()) || said.isVisible()
    )
  })

  inEditor('workflows keep their links, with the editor as an input', EMPTY, async (editor) => {
    for (const name of readdirSync(WORKFLOWS).filter((file) => file.endsWith('.json'))) {
      const data = JSON.parse(readFileSync(new URL(name, WORKFLOWS), 'utf-8'))
      const twin = JSON.parse(readFileSync(new URL(`api/${name}`, WORKFLOWS), 'utf-8'))
      const { output } = await editor.page.evaluate(async (graph) => {
        await window.app.loadGraphData(graph)
        return window.app.graphToPrompt()
      }, data)
      assert.deepEqual(linksOf(output), linksOf(twin), name)
    }
  })
}
