// Layout texts from a link: which text counts. tests/core/layouts/test_linked_texts.py reads the same cases.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import { textHash } from '../../web/linked_text.js'
import { add } from '../../web/layout_model.js'
import { LayoutState } from '../../web/layout_state.js'

const DATA = JSON.parse(readFileSync(new URL('../layout_texts.json', import.meta.url), 'utf-8'))
const LINKED = '{"boxes": [{"x": 0.5, "y": 0.5, "w": 0.5, "h": 0.5, "caption": "a linked cat"}]}'
const OTHER = LINKED.replace('cat', 'bird')
const DRAWN = '{"caption": "a garden", "boxes": [{"x": 0, "y": 0, "w": 0.5, "h": 0.5, "caption": "a dog"}]}'

/** A state, and what surrounds it: a linked text, a canvas and units, which tests may change. */
function stateWith(linked, own = DRAWN) {
  const around = { linked, canvas: { width: 1000, height: 500 }, units: null }
  const state = new LayoutState({
    canvas: () => around.canvas,
    units: () => around.units,
    linkedText: () => around.linked
  })
  state.replace(own)
  state.refresh()
  return { state, around }
}

function text(value, always = false) {
  return { text: value, always }
}

function words(state) {
  return state.shown.boxes.map((box) => box.caption)
}

/** Draws a box. */
function draw(state) {
  state.record(add(state.layout, [{ x: 0, y: 0, w: 0.1, h: 0.1 }]).layout)
}

for (const { text: given, hash } of DATA.hashes) {
  test(`hash: ${JSON.stringify(given)}`, () => assert.equal(textHash(given), hash))
}

for (const { name, own, taken } of DATA.own_texts) {
  test(`taken over: ${name}`, () => {
    const { state } = stateWith(text(LINKED), own.replace('HASH', textHash(LINKED)))
    assert.equal(state.link.counts, taken ? 'taken' : 'linked')
  })
}

test('a linked text counts until it is taken over, and again when it changes', () => {
  const { state, around } = stateWith(text(LINKED))
  assert.deepEqual([state.link.counts, words(state)], ['linked', ['a linked cat']])
  assert.deepEqual(JSON.parse(state.value).caption, 'a garden', 'the drawn layout is kept')
  state.record(state.shown)
  assert.deepEqual([state.link.counts, words(state)], ['taken', ['a linked cat']])
  for (const value of [state.value, state.runValue])
    assert.equal(JSON.parse(value).taken_from, textHash(LINKED))
  around.linked = text(OTHER)
  state.refresh()
  assert.deepEqual([state.link.counts, words(state)], ['linked', ['a linked bird']])
  around.linked = null
  state.refresh()
  assert.deepEqual([state.link.counts, words(state)], ['none', ['a linked cat']])
})

test('a change takes the linked text over, and undo gives the word back to it', () => {
  const { state } = stateWith(text(LINKED))
  assert.ok(!state.canUndo && !state.canRedo)
  draw(state)
  assert.deepEqual([state.link.counts, words(state)], ['taken', ['a linked cat', '']])
  draw(state)
  state.undo()
  state.undo()
  assert.deepEqual([state.link.counts, words(state)], ['linked', ['a linked cat']])
  assert.deepEqual([state.canUndo, state.canRedo], [false, true], 'no step that is not seen')
  state.redo()
  assert.deepEqual([state.link.counts, words(state)], ['taken', ['a linked cat', '']])
})

test('the link can be used again without a new text, and undo takes that back', () => {
  const { state } = stateWith(text(LINKED))
  draw(state)
  state.useLink()
  assert.deepEqual([state.link.counts, words(state), state.canUndo], ['linked', ['a linked cat'], true])
  state.undo()
  assert.deepEqual([state.link.counts, words(state)], ['taken', ['a linked cat', '']])
})

test('a layout that was taken over is stored and read as such', () => {
  const { state } = stateWith(text(LINKED))
  draw(state)
  const stored = state.value
  const again = stateWith(text(LINKED), stored).state
  assert.equal(again.link.counts, 'taken')
  assert.deepEqual(JSON.parse(again.value), JSON.parse(stored))
  assert.equal(stateWith(text(undefined), stored).state.link.counts, 'taken', 'before the first run')
  assert.equal(stateWith(text(OTHER), stored).state.link.counts, 'linked')
})

test('the text is kept as taken over when another layout is opened in the editor', () => {
  const { state, around } = stateWith(text(undefined), DRAWN.replace('{', '{"taken_from": "0123456789abcdef", '))
  const opened = '{"units": "pixels", "boxes": [{"x": 0, "y": 0, "w": 500, "h": 500, "caption": "a cow"}]}'
  const layout = stateWith(null, opened).state.shown
  state.record(layout)
  state.given = { value: opened, canvas: around.canvas, units: null, pinned: false }
  around.canvas = { width: 2000, height: 500 }
  state.refresh()
  assert.equal(state.shown.boxes[0].w, 0.25)
  assert.deepEqual([state.link.counts, JSON.parse(state.value).taken_from], ['taken', '0123456789abcdef'])
})

test('before a run tells the text, the drawn layout is shown and known not to count', () => {
  const { state, around } = stateWith(text(undefined))
  assert.deepEqual([state.link.counts, words(state)], ['unknown', ['a dog']])
  draw(state)
  assert.equal(state.link.counts, 'unknown')
  around.linked = text(null)
  state.refresh()
  assert.deepEqual([state.link.counts, words(state)], ['absent', ['a dog', '']])
})

test('a text counts always if no run gets what is drawn', () => {
  const { state } = stateWith(text(LINKED, true))
  state.record(state.shown)
  assert.equal(state.link.counts, 'linked')
  assert.equal(stateWith(text(undefined, true), state.value).state.link.counts, 'unknown')
})

test('an error of a linked text names the input, and a change replaces the text', () => {
  for (const [given, message] of [
    ['', /^layout_text is empty: the linked node gave no text/],
    [' \n', /^layout_text is empty/],
    ['I cannot do that.', /^layout_text: The layout cannot be read as JSON/]
  ]) {
    const { state } = stateWith(text(given))
    assert.deepEqual([state.link.counts, words(state)], ['linked', []])
    assert.equal(state.unreadable.text, given)
    assert.match(state.unreadable.message, message)
    assert.equal(JSON.parse(state.value).caption, 'a garden')
    draw(state)
    assert.deepEqual([state.link.counts, words(state), state.unreadable], ['taken', [''], null])
  }
})

test('pixels of a linked text follow the canvas, and its repairs are said once', () => {
  const { state, around } = stateWith(text('[{"bbox_2d": [100, 50, 600, 300], "label": "a cat"}] Enjoy!'))
  around.units = 'pixels'
  state.refresh()
  assert.equal(state.shown.boxes[0].w, 0.5)
  assert.match(state.notices[0], /left out the text around the JSON/)
  state.notices = []
  state.refresh()
  assert.deepEqual(state.notices, [])
  around.canvas = { width: 2000, height: 500 }
  state.refresh()
  assert.equal(state.shown.boxes[0].w, 0.25)
})
