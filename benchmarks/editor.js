// How fast the layout editor is, in a real browser on a real ComfyUI: `node benchmarks/editor.js`.
//
// Frames: one of 100 boxes is dragged, with a movement in every frame; the time between frames, which no screen
// limits. Opening: a graph with 20 layout nodes of 8 boxes each, against one with 20 nodes of the same size that have no editor.

import { LEGS, openEditor, poll, reasonToSkip, startBrowser, startServer } from '../tests/web/comfyui.js'

const UNCAPPED = ['--disable-frame-rate-limit', '--disable-gpu-vsync'] // else no frame is shorter than the screen's 16.7 ms
const BOXES = 100
const MOVES = 120
const NODES = 20
const ROUNDS = 5

const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)]

function many(count) {
  const boxes = Array.from({ length: count }, (_, index) => ({
    x: (index % 10) / 11,
    y: Math.floor(index / 10) / 11,
    w: 0.12,
    h: 0.12,
    caption: `thing number ${index + 1} with a striped blue cover`
  }))
  return JSON.stringify({ version: 1, caption: 'a shelf', boxes })
}

/** Milliseconds of each frame: with one movement of the pointer in each while a box is dragged, or with none. */
async function frames(editor, dragging) {
  const [from, to] = [await editor.at([0.05, 0.05]), await editor.at([0.8, 0.8])]
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
          surface.dispatchEvent(new PointerEvent('pointermove', { pointerId: 1, clientX, clientY, bubbles: true, cancelable: true }))
          requestAnimationFrame(step)
        }
        requestAnimationFrame(step)
      }),
    [MOVES, from, to]
  )
  await editor.page.mouse.up()
  return gaps
}

/** Milliseconds until a graph of these nodes is loaded and drawn. */
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
  const editor = await openEditor(browser, server, leg.renderer, { layout: many(BOXES) })
  await poll(async () => (await editor.boxes()).length === BOXES)
  const idle = await frames(editor, false)
  const gaps = await frames(editor, true)
  const times = { with: [], without: [] }
  for (let round = 0; round < ROUNDS; round += 1) {
    times.with.push(await opening(editor, 'IFAdapterLayout', many(8)))
    times.without.push(await opening(editor, 'CLIPTextEncode', ''))
  }
  const added = median(times.with) - median(times.without)
  process.stdout.write(
    `${leg.name}: dragging one of ${BOXES} boxes, median frame ${median(gaps).toFixed(1)} ms (${median(idle).toFixed(1)} ms without a drag); ` +
      `opening ${NODES} nodes ${median(times.with).toFixed(0)} ms, ${added.toFixed(0)} ms more than ${NODES} text nodes\n`
  )
  await browser.close()
  await server.stop()
}
