// Pictures of the editor for the docs: `make pictures`.

import { mkdirSync, readFileSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { openEditor } from './pages.js'
import { poll } from './poll.js'
import { LEGS, reasonToSkip, startBrowser, startServer } from './server.js'
import { EMPTY } from './gestures.js'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FOLDER = join(ROOT, 'build', 'pictures') // for review, not committed
const README = join(ROOT, 'docs', 'images', 'editor.png')
const HELP = join(ROOT, 'web', 'docs', 'IFAdapterLayout.png')
const DEMO = JSON.parse(readFileSync(join(ROOT, 'workflows', 'try_it_without_downloads.json'), 'utf8'))
const RESULT_SIZE = [820, 680] // px, of the node with a result
// What a person says about the demo's picture, which is the same in every run.
const ANSWERS = ['No, two of the dots run together.', 'Yes.', 'Yes.', 'Yes.']
const RUN_MS = 600_000
const FIVE = JSON.stringify({
  version: 1,
  caption: 'a still life on a wooden table by a window',
  boxes: [
    { x: 0.04, y: 0.06, w: 0.42, h: 0.5, caption: 'a tall blue vase with white herons and a chipped rim' },
    { x: 0.5, y: 0.1, w: 0.44, h: 0.46, caption: 'a brass lamp with a green glass shade' },
    { x: 0.3, y: 0.38, w: 0.36, h: 0.4, caption: 'a ginger cat with white paws and a red collar' },
    { x: 0.58, y: 0.5, w: 0.34, h: 0.3, caption: 'a glazed teapot, turquoise, with a bamboo handle' },
    { x: 0.08, y: 0.66, w: 0.44, h: 0.28, caption: 'a striped bowl of ripe plums' }
  ]
})

const leg = LEGS.at(-1)
const reason = reasonToSkip(leg)
if (reason) throw new Error(`No pictures: ${reason}.`)
mkdirSync(FOLDER, { recursive: true })
const [server, browser] = await Promise.all([startServer(leg.frontend), startBrowser()])

/** An editor in a theme, ready for its picture. */
async function open(layout, palette) {
  const editor = await openEditor(browser, server, leg.renderer, {
    layout,
    palette,
    deviceScaleFactor: 1.5,
    viewport: { width: 1400, height: 1000 }
  })
  await poll(async () => (await editor.boxes()).every(({ caption }) => caption))
  if (layout !== EMPTY) {
    await editor.root.getByText('tokens').nth(4).waitFor()
    await editor.click([0.45, 0.5])
  }
  await editor.page.evaluate(() => {
    window.app.canvas.ds.offset = [150, 130]
    window.app.canvas.setDirty(true, true)
  })
  await rest(editor)
  return editor
}

/** Moves the pointer away and waits until nothing moves. */
async function rest(editor) {
  await editor.page.mouse.move(5, 500)
  await editor.settled()
}

/** Takes a picture of the node with some of the graph around it. */
async function photograph(editor, path) {
  const area = await editor.root.boundingBox()
  const [left, top, right, bottom] = [
    area.x - 40,
    area.y - 120,
    area.x + area.width + 40,
    area.y + area.height + 130
  ]
  await editor.page.screenshot({ path, clip: { x: left, y: top, width: right - left, height: bottom - top } })
}

/** The demo's workflow after a run, checked with the answers: its layout node with crops and verdicts. */
async function openResult(palette) {
  const editor = await openEditor(browser, server, leg.renderer, {
    palette,
    deviceScaleFactor: 1.5,
    viewport: { width: 1400, height: 1000 }
  })
  await editor.page.evaluate((graph) => window.app.loadGraphData(graph), DEMO)
  await editor.surface.waitFor()
  const ids = await editor.page.evaluate(() =>
    Object.fromEntries(window.app.graph._nodes.map((node) => [node.type, node.id]))
  )
  const answers = await editor.create('IFAdapterTestAnswers', {
    at: [1900, 900],
    widgets: { answers: JSON.stringify(ANSWERS) }
  })
  await editor.create('IFAdapterCheck', {
    at: [1500, 900],
    links: {
      image: [ids.VAEDecode, 'IMAGE'],
      layout: [ids.IFAdapterLayout, 'layout'],
      answers: [answers, 'answers']
    }
  })
  await editor.page.evaluate(() => window.app.queuePrompt(0))
  const verdicts = editor.root.locator('.ifa-row .ifa-mark').filter({ visible: true })
  await poll(async () => (await verdicts.count()) === ANSWERS.length, RUN_MS)
  await editor.tool('picture').click()
  await editor.root.getByLabel('Follow the run').check()
  await editor.root.getByLabel('Brightness').fill('1')
  await editor.root.getByLabel('Opacity of the boxes').fill('0.06')
  await editor.press('Escape')
  await editor.page.evaluate(
    ([id, size]) => {
      const { graph, canvas } = window.app
      const node = graph.getNodeById(id)
      node.pos = [4000, 0] // apart from its neighbours
      node.setSize(size)
      Object.assign(canvas.ds, { scale: 1, offset: [-3850, 130] })
      canvas.setDirty(true, true)
    },
    [ids.IFAdapterLayout, RESULT_SIZE]
  )
  await rest(editor)
  return editor
}

for (const palette of ['dark', 'light']) {
  const result = await openResult(palette)
  await photograph(result, palette === 'dark' ? README : join(FOLDER, 'editor_result_light.png'))
  await result.root.screenshot({ path: palette === 'dark' ? HELP : join(FOLDER, 'editor_alone_light.png') })
  await result.tool('expand').click()
  await rest(result)
  await result.page.screenshot({ path: join(FOLDER, `editor_result_full_${palette}.png`) })
  await result.close()
  const editor = await open(FIVE, palette)
  await photograph(editor, join(FOLDER, `editor_${palette}.png`))
  await editor.tool('expand').click()
  await rest(editor)
  await editor.page.screenshot({ path: join(FOLDER, `editor_full_${palette}.png`) })
  await editor.close()
  const empty = await open(EMPTY, palette)
  await photograph(empty, join(FOLDER, `editor_empty_${palette}.png`))
  await empty.close()
}
await browser.close()
await server.stop()
