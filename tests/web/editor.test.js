// The layout editor in a real ComfyUI and a real browser, for each frontend and renderer.

import assert from 'node:assert/strict'
import { after, before, describe, test } from 'node:test'

import { blueprints } from './blueprints.js'
import { rendererOf } from './frontend.js'
import { gestures } from './gestures.js'
import { graph } from './graph.js'
import { hands } from './hands.js'
import { kept } from './kept.js'
import { linkedTexts } from './linked_texts.js'
import { looks } from './looks.js'
import { openEditor } from './pages.js'
import { places } from './places.js'
import { results } from './results.js'
import { room } from './room.js'
import { runs } from './runs.js'
import { search } from './search.js'
import { LEGS, reasonToSkip, startBrowser, startServer } from './server.js'
import { texts } from './texts.js'
import { values } from './values.js'

const TEST_MS = 90_000
const LEGS_AT_ONCE = 2 // each has a browser and a server, which mostly wait for each other

describe('editor', { concurrency: LEGS_AT_ONCE }, () => {
  for (const leg of LEGS) {
    // One test at a time: they share the server's settings and history.
    describe(leg.name, { skip: reasonToSkip(leg), concurrency: 1 }, () => {
      let server
      let browser

      before(async () => {
        ;[server, browser] = await Promise.all([startServer(leg.frontend), startBrowser()])
      })

      after(async () => {
        await browser?.close()
        await server?.stop()
      })

      /** A test with a new editor. Errors on the page fail it. options: see openEditor. */
      function inEditor(name, layout, act, options = {}) {
        test(name, { timeout: TEST_MS }, async () => {
          const editor = await openEditor(browser, server, leg.renderer, { layout, ...options })
          let passed = false
          try {
            assert.equal(await rendererOf(editor.page), leg.renderer)
            await act(editor)
            assert.deepEqual(editor.errors, [])
            passed = true
          } finally {
            await editor.close(passed)
          }
        })
      }

      gestures(inEditor)
      graph(inEditor)
      runs(inEditor)
      looks(inEditor)
      search(inEditor)
      texts(inEditor)
      linkedTexts(inEditor)
      hands(inEditor) // keeps a preset
      kept(inEditor)
      values(inEditor)
      room(inEditor)
      results(inEditor)
      places(inEditor)
      blueprints(inEditor)
    })
  }
})
