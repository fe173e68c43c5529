// Accessibility: contrast, labels and screen reader texts.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'

import { TWO } from './gestures.js'

const MISSING = JSON.stringify({
  boxes: [
    { x: 0.1, y: 0.1, w: 0.3, h: 0.3, caption: 'a cat' },
    { x: 0.5, y: 0.5, w: 0.3, h: 0.3, caption: '' }
  ]
})
const AXE = readFileSync(createRequire(import.meta.url).resolve('axe-core'), 'utf8')

/** inEditor(name, layout, act, options): a test with a new editor, see editor.test.js. */
export function looks(inEditor) {
  for (const palette of ['dark', 'light']) {
    inEditor(
      `axe finds no serious violation in the ${palette} theme`,
      TWO,
      async (editor) => {
        await editor.page.evaluate(AXE) // a script tag fails when the page's policy blocks anything meanwhile
        const check = async () => {
          const { violations } = await editor.page.evaluate(() => window.axe.run('.ifa-editor'))
          const serious = violations.filter(({ impact }) => impact === 'serious' || impact === 'critical')
          assert.deepEqual(
            serious.map(({ id, nodes }) => [id, ...nodes.map((node) => node.html.slice(0, 160))]),
            []
          )
        }
        await check()
        await editor.click([0.3, 0.5])
        for (const panel of ['picture', 'size', 'star', 'exchange']) {
          await editor.tool(panel).click()
          await check()
        }
      },
      { palette }
    )
  }

  for (const palette of ['dark', 'light']) {
    inEditor(
      `notes and errors have a contrast of 4.5 in the ${palette} theme`,
      MISSING,
      async (editor) => {
        const picture = await editor.create('EmptyImage', { widgets: { width: 512, height: 512 } })
        const size = await editor.create('GetImageSize', { links: { image: [picture, 'IMAGE'] } })
        await editor.link(size, 'width', 'width')
        await editor.create('PreviewAny', { links: { source: [await editor.id(), 'prompt'] } })
        await editor.run()
        await editor.root.getByRole('alert').filter({ visible: true }).waitFor()
        const poor = await editor.root.evaluate((root) => {
          const page = document.createElement('canvas').getContext('2d', { willReadFrequently: true })
          /** The colour of colours over each other. */
          const painted = (colours) => {
            for (const colour of colours) {
              page.fillStyle = colour
              page.fillRect(0, 0, 1, 1)
            }
            return [...page.getImageData(0, 0, 1, 1).data].slice(0, 3)
          }
          const light = (colour) =>
            colour
              .map((value) => value / 255)
              .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4))
              .reduce((sum, value, index) => sum + value * [0.2126, 0.7152, 0.0722][index], 0)
          const node = window.app.graph._nodes.find((each) => each.type === 'IFAdapterLayout')
          const found = []
          const texts = '.ifa-note, .ifa-label, .ifa-notice, .ifa-size, .ifa-warning'
          for (const part of root.querySelectorAll(texts)) {
            if (!part.checkVisibility() || !part.textContent) continue
            // In the classic renderer, the node around the editor is painted on a canvas.
            const behind = [node.renderingBgColor ?? window.LiteGraph.NODE_DEFAULT_BGCOLOR]
            const parents = []
            for (let each = part; each; each = each.parentElement) {
              parents.unshift(getComputedStyle(each).backgroundColor)
              if (each.matches('.dom-widget')) break
              if (each.matches('.lg-node')) behind.pop()
            }
            const back = light(painted([...behind, ...parents]))
            const front = light(painted([...behind, ...parents, getComputedStyle(part).color]))
            const contrast = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05)
            found.push([part.className, contrast])
          }
          if (found.length < 5) throw new Error(`only ${found.length} texts`)
          return found.filter(([, contrast]) => contrast < 4.5)
        })
        assert.deepEqual(poor, [])
      },
      { palette }
    )
  }

  for (const language of ['zh', 'ja']) {
    inEditor(
      `all words of the editor are in ${language}`,
      TWO,
      async (editor) => {
        await editor.tool('expand').click()
        await editor.page.keyboard.press('Control+a')
        const english = async () =>
          editor.root.evaluate((root) => {
            const texts = [...root.querySelectorAll('[aria-label], [title], [placeholder]')].flatMap((part) =>
              ['aria-label', 'title', 'placeholder'].map((name) => part.getAttribute(name) ?? '')
            )
            const walker = document.createTreeWalker(root, NodeFilter.SHOW_TEXT)
            while (walker.nextNode()) {
              if (!walker.currentNode.parentElement.closest('style')) texts.push(walker.currentNode.data)
            }
            // The user's words, an example of them, and names.
            const known =
              /a (cat and a teapot|ginger cat|green teapot)( on a wooden table)?|ComfyUI|IFAdapter|JSON|SDXL|Space|Ctrl|Shift|Enter|Delete|background|token|Alt|Tab|Esc|Del/g
            return texts.filter((text) => /[a-z]{3}/i.test(text.replaceAll(known, '')))
          })
        assert.deepEqual(await english(), [])
        for (const panel of ['picture', 'size', 'star', 'exchange']) {
          await editor.tool(panel).click()
          assert.deepEqual(await english(), [], panel)
          await editor.press('Escape')
        }
      },
      { language }
    )
  }

  inEditor(
    'Tab visits every box, announced with position and description, then leaves the editor',
    TWO,
    async (editor) => {
      await editor.click([0.02, 0.02])
      await editor.press('Tab')
      const first = editor.root.getByRole('option', {
        name: 'Box 1: a ginger cat, 102, 307, 410 x 512 pixels',
        selected: true
      })
      await first.waitFor({ state: 'attached' })
      const active = await editor.page.getByTestId('ifa-keys').first().getAttribute('aria-activedescendant')
      assert.equal(await first.getAttribute('id'), active)
      await editor.press('Tab')
      await editor.root
        .getByRole('option', { name: /^Box 2: a green teapot/, selected: true })
        .waitFor({ state: 'attached' })
      await editor.press('Tab')
      assert.ok(await editor.page.evaluate(() => !document.activeElement.classList.contains('ifa-keys')))
    }
  )
}
