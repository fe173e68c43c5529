// Thumbnails of the workflows for ComfyUI's template browser: `make thumbnails`.
// Each shows the workflow's layouts in the editor and, where the models come with the pack, the result of its run.

import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import { fileURLToPath } from 'node:url'

import { openEditor } from './pages.js'
import { poll } from './poll.js'
import { LEGS, reasonToSkip, startBrowser, startServer } from './server.js'

const WORKFLOWS = join(resolve(dirname(fileURLToPath(import.meta.url)), '..', '..'), 'workflows')
const RUNS_HERE = 'try_it_without_downloads'
const SIDE_PX = 512 // the template browser shows squares
const SECOND_PX = 300 // side of each of two pictures
const MARGIN_PX = 20
const QUALITY = 85
const POLL_MS = 500

/** Layouts such as a run may make, for workflows whose layout comes from a link. */
const MADE_BY_A_RUN = {
  layout_from_a_prompt: {
    caption: 'a breakfast table in the morning',
    boxes: [
      { x: 0.52, y: 0.06, w: 0.34, h: 0.56, caption: 'a glass vase with three yellow tulips' },
      { x: 0.08, y: 0.3, w: 0.46, h: 0.6, caption: 'a grey kitten with a red knitted scarf' },
      { x: 0.64, y: 0.6, w: 0.26, h: 0.28, caption: 'a white mug with a chipped handle' }
    ]
  },
  layout_from_a_picture: {
    caption: 'a street in the old town, photo',
    boxes: [
      { x: 0.04, y: 0.2, w: 0.3, h: 0.72, caption: 'a woman in a green coat with a straw hat' },
      { x: 0.38, y: 0.46, w: 0.36, h: 0.46, caption: 'a red bicycle with a wicker basket' },
      { x: 0.78, y: 0.6, w: 0.18, h: 0.32, caption: 'a black dog with a white chest' }
    ]
  }
}

const leg = LEGS.at(-1)
const reason = reasonToSkip(leg)
if (reason) throw new Error(`No thumbnails: ${reason}.`)
const [server, browser] = await Promise.all([startServer(leg.frontend), startBrowser()])

/** A PNG of the layout as the editor shows it. */
async function layoutPicture(layout) {
  const editor = await openEditor(browser, server, leg.renderer, {
    layout,
    deviceScaleFactor: 2,
    viewport: { width: 1400, height: 1000 }
  })
  await poll(async () => (await editor.boxes()).every(({ caption }) => caption))
  await editor.page.mouse.move(5, 500)
  await editor.settled()
  const picture = await editor.surface.screenshot()
  await editor.close()
  return picture
}

/** The PNG that a run of the graph saves. */
async function result(graph) {
  const queued = await (
    await fetch(`${server.url}/prompt`, { method: 'POST', body: JSON.stringify({ prompt: graph }) })
  ).json()
  let entry
  while (!entry) {
    await setTimeout(POLL_MS)
    entry = (await (await fetch(`${server.url}/history/${queued.prompt_id}`)).json())[queued.prompt_id]
  }
  if (!entry.status.completed) throw new Error(`The run failed: ${JSON.stringify(entry.status.messages)}`)
  const [id] = Object.entries(graph).find(([, node]) => node.class_type === 'SaveImage')
  const [{ filename, subfolder, type }] = entry.outputs[id].images
  const query = new URLSearchParams({ filename, subfolder, type })
  return Buffer.from(await (await fetch(`${server.url}/view?${query}`)).arrayBuffer())
}

/** Writes one picture, or two on a diagonal, as a square JPEG. */
async function compose(pictures, path) {
  const page = await browser.newPage({ viewport: { width: SIDE_PX, height: SIDE_PX } })
  const images = pictures.map((png, index) => {
    const side = pictures.length > 1 ? SECOND_PX : SIDE_PX - 2 * MARGIN_PX
    const corner = index
      ? `right: ${MARGIN_PX}px; bottom: ${MARGIN_PX}px`
      : `left: ${MARGIN_PX}px; top: ${MARGIN_PX}px`
    return `<img width="${side}" height="${side}" style="position: absolute; outline: 1px solid #4a4e56; box-shadow: 0 0 18px #000; ${corner}" src="data:image/png;base64,${png.toString('base64')}">`
  })
  await page.setContent(`<body style="margin: 0; background: #1a1b1e">${images.join('')}</body>`)
  await page.screenshot({ path, type: 'jpeg', quality: QUALITY })
  await page.close()
}

try {
  for (const file of readdirSync(join(WORKFLOWS, 'api'))) {
    const stem = file.replace(/\.json$/, '')
    const graph = JSON.parse(readFileSync(join(WORKFLOWS, 'api', file), 'utf8'))
    const layouts = Object.values(graph).filter((node) => node.class_type === 'IFAdapterLayout')
    const pictures = []
    const made = MADE_BY_A_RUN[stem]
    for (const node of layouts)
      pictures.push(await layoutPicture(made ? JSON.stringify(made) : node.inputs.layout))
    if (stem === RUNS_HERE) pictures.push(await result(graph))
    await compose(pictures, join(WORKFLOWS, `${stem}.jpg`))
  }
} finally {
  await browser.close()
  await server.stop()
}
