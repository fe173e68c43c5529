// Pictures of the editor for the docs: `make pictures`.

import { mkdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import { LEGS, openEditor, poll, reasonToSkip, startBrowser, startServer } from './comfyui.js'
import { EMPTY } from './gestures.js'

const ROOT = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
const FOLDER = join(ROOT, 'build', 'pictures') // for review, not committed
const README = join(ROOT, 'docs', 'images', 'editor.png')
const HELP = join(ROOT, 'web', 'docs', 'IFAdapterLayout.png')
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

for (const palette of ['dark', 'light']) {
  const editor = await open(FIVE, palette)
  await photograph(editor, palette === 'dark' ? README : join(FOLDER, 'editor_light.png'))
  await editor.root.screenshot({ path: palette === 'dark' ? HELP : join(FOLDER, 'editor_alone_light.png') })
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
