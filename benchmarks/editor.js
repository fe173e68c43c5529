// Speed of the layout editor in a real browser with a real ComfyUI: `node benchmarks/editor.js`.
//
// Frames: drag one of 100 boxes, with one pointer event per frame, and measure the time between frames
// without a frame rate limit. Opening: load a graph with 20 layout nodes of 8 boxes each, and one with 20 text
// nodes of the same size as baseline.

import { openEditor } from '../tests/web/pages.js'
import { poll } from '../tests/web/poll.js'
import { LEGS, reasonToSkip, startBrowser, startServer } from '../tests/web/server.js'

const UNCAPPED = ['--disable-frame-rate-limit', '--disable-gpu-vsync'] // default: at least 16.7 ms per frame
const BOXES = 100
const MOVES = 120
const NODES = 20
const ROUNDS = 5
const ZOOM_WHEEL = 300 // px of the wheel

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

/** A layout of count boxes, as JSON text. */
function layoutOf(count) {
  const boxes = Array.from({ length: count }, (_, index) => ({
    x: (index % 10) / 11,
    y: Math.floor(index / 10) / 11,
    w: 0.12,
    h: 0.12,
    caption: `thing number ${index + 1} with a striped blue cover`
  }))
  return JSON.stringify({ version: 1, caption: 'a shelf', boxes })
}

/**
 * Milliseconds of each frame, while a box is dragged (one pointer event per frame) or while idle.
 * from, to: pixels of the page
 */
async function frames(editor, [from, to], dragging) {
  await editor.page.mouse.move(...from)
  if (dragging) await editor.page.mouse.down()
  const gaps = await editor.page.evaluate(
    ([count, start, end]) =>
      new Promise((done) => {
        const surface = document.querySelector('.ifa-surface')
        const times = []
        const step = (now) => {
          times.push(now)
          if (times.length > count) return done(times.slice(1).map((time, index) => time - times[index]))
          const part = times.length / count
          const [clientX, clientY] = start.map((value, axis) => value + (end[axis] - value) * part)
          surface.dispatchEvent(
            new PointerEvent('pointermove', {
              pointerId: 1,
              clientX,
              clientY,
              bubbles: true,
              cancelable: true
            })
          )
          requestAnimationFrame(step)
        }
        requestAnimationFrame(step)
      }),
    [MOVES, from, to]
  )
  await editor.page.mouse.up()
  return gaps
}

/** Zooms into the picture around a place, which stays where it is. */
async function zoomIn({ page, root }, place) {
  const percent = () => root.locator('[data-tool="zoom"]').innerText()
  const before = await percent()
  await page.mouse.move(...place)
  await page.keyboard.down('Control')
  await page.mouse.wheel(0, -ZOOM_WHEEL)
  await page.keyboard.up('Control')
  await poll(async () => (await percent()) !== before)
}

/** Milliseconds until a graph of NODES nodes of a type is loaded and drawn. */
async function opening(editor, type, layout) {
  return editor.page.evaluate(
    async ([kind, count, text]) => {
      window.app.graph.clear()
      for (let number = 0; number < count; number += 1) {
        const node = window.LiteGraph.createNode(kind)
        node.pos = [(number % 5) * 520, Math.floor(number / 5) * 460]
        window.app.graph.add(node)
        node.setSize([500, 440])
        const widget = node.widgets?.find((each) => each.name === 'layout')
        if (widget) widget.value = text
      }
      const saved = JSON.parse(JSON.stringify(window.app.graph.serialize()))
      window.app.graph.clear()
      const start = performance.now()
      await window.app.loadGraphData(saved)
      await new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))
      return performance.now() - start
    },
    [type, NODES, layout]
  )
}

for (const leg of LEGS) {
  const reason = reasonToSkip(leg)
  if (reason) {
    process.stdout.write(`${leg.name}: skipped, ${reason}\n`)
    continue
  }
  const [server, browser] = await Promise.all([startServer(leg.frontend), startBrowser(...UNCAPPED)])
  const editor = await openEditor(browser, server, leg.renderer, { layout: layoutOf(BOXES) })
  await poll(async () => (await editor.boxes()).length === BOXES)
  const way = [await editor.at([0.05, 0.05]), await editor.at([0.8, 0.8])]
  const idle = await frames(editor, way, false)
  const gaps = await frames(editor, way, true)
  await zoomIn(editor, way[0])
  const zoomed = await frames(editor, way, true)
  const times = { with: [], without: [] }
  for (let round = 0; round < ROUNDS; round += 1) {
    times.with.push(await opening(editor, 'IFAdapterLayout', layoutOf(8)))
    times.without.push(await opening(editor, 'CLIPTextEncode', ''))
  }
  const added = median(times.with) - median(times.without)
  process.stdout.write(
    `${leg.name}: dragging one of ${BOXES} boxes, median frame ${median(gaps).toFixed(1)} ms, ` +
      `${median(zoomed).toFixed(1)} ms zoomed in (${median(idle).toFixed(1)} ms without a drag); ` +
      `opening ${NODES} nodes ${median(times.with).toFixed(0)} ms, ${added.toFixed(0)} ms more than ${NODES} text nodes\n`
  )
  await browser.close()
  await server.stop()
}
