// Reading and writing layouts. tests/core/layouts/test_texts.py reads the same texts.

import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { test } from 'node:test'

import * as formats from '../../web/layout_formats.js'
import * as model from '../../web/layout_model.js'
import { LayoutState } from '../../web/layout_state.js'
import { CANVAS, forMany, layout, same } from './random_layouts.js'

const { cases } = JSON.parse(readFileSync(new URL('../layout_texts.json', import.meta.url), 'utf-8'))

/** A list in a list in a list, so many levels deep. */
function nested(levels) {
  let value = []
  for (let level = 1; level < levels; level += 1) value = [value]
  return value
}

for (const { name, text, width, height, expect, repairs, notices: further = [], strengths } of cases) {
  test(`text: ${name}`, () => {
    const canvas = { width, height }
    if (expect.error_names) {
      assert.throws(
        () => formats.readLayout(text, canvas),
        (error) => {
          const message = error.message.toLowerCase()
          const lacking = expect.error_names.filter((word) => !message.includes(word.toLowerCase()))
          assert.deepEqual([error.constructor, lacking], [model.LayoutError, []], error.message)
          return true
        }
      )
      return
    }
    const { layout: read, notices } = formats.readLayout(text, canvas)
    assert.equal(read.caption, expect.caption)
    const shown = model.visible(read)
    assert.deepEqual(
      shown.map((box) => box.caption),
      expect.descriptions
    )
    const edges = shown.flatMap(({ x, y, w, h }) => [x, y, x + w, y + h])
    assert.ok(edges.length === 4 * expect.boxes.length, `${edges}`)
    expect.boxes.flat().forEach((edge, index) => assert.ok(Math.abs(edges[index] - edge) < 1e-9, `${edges}`))
    assert.deepEqual(
      shown.map((box) => box.strength),
      strengths ?? expect.boxes.map(() => 1)
    )
    const said = repairs.length ? [repairs, ...further] : further
    assert.equal(notices.length, said.length, notices.join('\n'))
    said.forEach((words, index) => {
      for (const word of words) assert.ok(notices[index].includes(word), notices[index])
    })
  })
}

test('serialising and parsing a layout is lossless', () => {
  forMany((next) => {
    const given = layout(next)
    assert.deepEqual(formats.parse(formats.serialize(given), CANVAS), given)
  })
})

test('unknown keys of the layout and of its boxes are kept', () => {
  const text = JSON.stringify({
    caption: '',
    mood: 'calm',
    boxes: [{ x: 0, y: 0, w: 1, h: 1, caption: 'sea', depth: 3 }]
  })
  const written = JSON.parse(formats.serialize(formats.parse(text, CANVAS)))
  assert.equal(written.mood, 'calm')
  assert.equal(written.boxes[0].depth, 3)
})

test('a run gets neither hidden boxes nor keys of the editor', () => {
  forMany((next) => {
    const given = layout(next)
    const run = JSON.parse(formats.serializeForRun(given))
    assert.deepEqual(
      run.boxes.map((box) => box.caption),
      given.boxes.map((box) => (box.hidden ? undefined : box.caption))
    )
    const recoloured = model.change(
      given,
      given.boxes.map((box) => box.id),
      () => ({ color: '#123456', locked: true })
    )
    assert.equal(formats.serializeForRun(recoloured), formats.serializeForRun(given))
  })
})

test('every input format is parsed to the same box', () => {
  const expected = { x: 0.1, y: 0.2, w: 0.5, h: 0.6, caption: 'a cat' }
  const values = {
    own: { boxes: [{ x: 0.1, y: 0.2, w: 0.5, h: 0.6, caption: 'a cat' }] },
    release: { annotations: [{ box: [76.8, 153.6, 384, 460.8], caption: 'a cat' }] },
    'release with its own canvas': {
      width: 100,
      height: 10,
      annotations: [{ box: [10, 2, 50, 6], caption: ['a cat', 'a pet'] }]
    },
    'bounding boxes': [{ x: 100, y: 100, width: 500, height: 300, metadata: { desc: 'a cat' } }],
    'one bounding box': { x: 100, y: 100, width: 500, height: 300, label: 'a cat' },
    frames: [[{ x: 100, y: 100, width: 500, height: 300, label: 'a cat' }]],
    elements: [{ type: 'obj', bbox: [200, 100, 800, 600], desc: 'a cat' }]
  }
  for (const [name, value] of Object.entries(values)) {
    for (const given of [value, JSON.stringify(value)]) {
      const [box] = formats.parse(given, CANVAS).boxes
      assert.ok(same(box, expected) && box.caption === 'a cat', name)
    }
  }
})

test('an empty value is an empty layout', () => {
  for (const value of ['', '  ', '[]', null, undefined, []])
    assert.deepEqual(formats.parse(value, CANVAS).boxes, [])
})

test('exported formats restore the boxes, to a pixel or a thousandth', () => {
  forMany((next) => {
    const given = layout(next)
    const shown = given.boxes.filter((box) => !box.hidden)
    const back = formats.parse(formats.toRelease(given, CANVAS), CANVAS)
    assert.equal(back.boxes.length, shown.length)
    shown.forEach((box, index) =>
      assert.deepEqual(model.toPixels(back.boxes[index], CANVAS), model.toPixels(box, CANVAS))
    )
    const elements = formats.parse(formats.toElements(given), CANVAS)
    shown.forEach((box, index) => {
      for (const key of ['x', 'y', 'w', 'h'])
        assert.ok(Math.abs(elements.boxes[index][key] - box[key]) <= 0.0011, key)
      assert.equal(elements.boxes[index].caption, box.caption)
    })
  })
})

test('an invalid layout is rejected with a message that names the problem', () => {
  const box = { x: 0, y: 0, w: 0.5, h: 0.5, caption: 'a' }
  const cases = [
    ['{"boxes": [', /cannot be read as JSON: it is cut off/],
    ['7', /a number \(7\) of no known format/],
    ['{"cats": 1}', /an object \(.*\) of no known format/],
    [{ version: 2, boxes: [] }, /format version must be 1, got a number \(2\).*Update/],
    [{ boxes: 'none' }, /'boxes' must be a list, got text/],
    [{ boxes: [box, 3] }, /Box 2 must be an object.*a number/],
    [{ boxes: [{ x: 0, y: 0, w: 1, caption: 'a' }] }, /Box 1 lacks h/],
    [{ boxes: [{ ...box, w: '1' }] }, /Box 1: w must be a number, got text/],
    [{ boxes: [{ ...box, w: 0 }] }, /Box 1 is inverted or has no area/],
    [{ boxes: [{ ...box, h: -1 }] }, /Box 1 is inverted or has no area/],
    [{ boxes: [{ ...box, caption: 5 }] }, /Box 1: caption must be text/],
    [{ boxes: [{ ...box, strength: null, caption: {} }] }, /Box 1: caption must be text/],
    [{ boxes: [], caption: 3 }, /caption must be text/],
    [{ boxes: Array(101).fill(box) }, /101 instances; at most 100/],
    [{ annotations: [{ box: [1, 2, 3], caption: 'a' }] }, /\[x, y, width, height\]/],
    [[{ type: 'obj', bbox: ['a', 0, 1, 1] }], /ymin must be a number/],
    [
      { boxes: [{ ...box, caption: 'a'.repeat(10_001) }] },
      /Box 1: caption has 10001 characters; at most 10000/
    ],
    [nested(5000), /nested too deeply/]
  ]
  for (const [value, message] of cases) {
    assert.throws(
      () => formats.parse(value, CANVAS),
      (error) => error instanceof model.LayoutError && message.test(error.message),
      String(message)
    )
  }
})

test('a misspelt key and what it leads to are told together, at the box of the error', () => {
  const box = { x: 0, y: 0, w: 0.5, h: 0.5, captoin: 'a cat' }
  const named = 'Keys that are not read, as they seem misspelt: "captoin" of box 1 (did you mean "caption"?).'
  assert.deepEqual(formats.readLayout({ boxes: [box] }, CANVAS).notices, [named])
  const state = new LayoutState({ canvas: () => CANVAS, units: () => null, linkedText: () => null })
  state.failure = `Box 2 has no local description. ${named}`
  assert.equal(state.faultyBox, 2)
  state.failure = `The layout has different captions under caption and prompt. ${named}`
  assert.equal(state.faultyBox, null)
})

test('invalid colours and missing or duplicate ids are replaced', () => {
  const box = { x: 0, y: 0, w: 0.5, h: 0.5, caption: 'a' }
  const { boxes } = formats.parse(
    { boxes: [{ ...box, id: 'one', color: 'url(x)' }, { ...box, id: 'one' }, box] },
    CANVAS
  )
  assert.equal(new Set(boxes.map((each) => each.id)).size, 3)
  assert.equal(boxes[0].id, 'one')
  assert.ok(boxes.every((each) => model.isColor(each.color)))
})

test('a layout read from another format is stored in the own format', () => {
  for (const { text, width, height, expect, kept } of cases.filter((each) => each.expect.boxes)) {
    const canvas = { width, height }
    const { layout: read } = formats.readLayout(text, canvas)
    const stored = formats.serialize(read)
    const notices = kept ?? [] // misspelt keys are kept
    assert.deepEqual(formats.readLayout(stored, { width: 64, height: 64 }), { layout: read, notices })
    const run = formats.serializeForRun(read)
    assert.deepEqual(formats.readLayout(run, { width: 64, height: 64 }).notices, notices)
    assert.equal(JSON.parse(stored).boxes.filter((box) => !box.hidden).length, expect.boxes.length)
    assert.equal(formats.serialize(formats.parse(stored, canvas)), stored)
  }
})

test('a size that the user sets does not stretch a layout that was read', () => {
  let canvas = { width: 768, height: 768 }
  const state = new LayoutState({ canvas: () => canvas, units: () => null, linkedText: () => null })
  const text = JSON.stringify({ ...canvas, boxes: [{ x: 0, y: 0, w: 0.5, h: 0.5, caption: 'a' }] })
  state.replace(text)
  canvas = { width: 1024, height: 512 }
  state.pin()
  state.refresh()
  assert.deepEqual([state.notices, formats.readLayout(state.value, canvas).notices], [[], []])
  const other = new LayoutState({ canvas: () => canvas, units: () => null, linkedText: () => null })
  other.replace(text)
  assert.match(other.notices[0], /made for 768 x 768; its boxes are stretched to 1024 x 512/)
})

test('invisible characters are no description', () => {
  for (const caption of ['\u200b', ' \u2060\ufe0f\n', '\u0000\u{e0041}', '\u3164']) {
    const given = { boxes: [{ id: 'one', x: 0, y: 0, w: 0.5, h: 0.5, caption }] }
    const read = formats.parse(given, CANVAS)
    assert.equal(read.boxes[0].caption, '')
    const typed = model.change(read, ['one'], () => ({ caption }))
    assert.deepEqual(model.withoutCaption(typed), ['one'])
    assert.match(model.describe(typed, 'one', CANVAS), /no caption/)
  }
})

test('an edited description is stored alone, whatever key it came from', () => {
  const place = { x: 100, y: 100, width: 500, height: 300 }
  for (const given of [
    [{ ...place, label: 'a cat' }],
    [{ ...place, metadata: { desc: 'a cat' } }],
    { units: 'pixels', boxes: [{ ...place, label: 'a cat', metadata: { desc: 'a dog' } }] },
    { boxes: [{ x: 10, y: 10, width: 50, height: 50, rectanglelabels: ['a cat'] }] }
  ]) {
    const read = formats.parse(given, CANVAS)
    for (const caption of ['a hat', '']) {
      const edited = model.change(read, [read.boxes[0].id], () => ({ caption }))
      assert.equal(formats.parse(formats.serialize(edited), CANVAS).boxes[0].caption, caption)
    }
  }
})

test('unknown keys too large to be stored are left out with a notice', () => {
  const box = { x: 0, y: 0, w: 1, h: 1, caption: 'sea' }
  const deep = nested(50)
  const long = 'a'.repeat(10_001)
  const { layout: read, notices } = formats.readLayout(
    { deep, kept: [[1]], boxes: [{ ...box, long }] },
    CANVAS
  )
  assert.deepEqual([read.deep, read.kept, read.boxes[0].long], [undefined, [[1]], undefined])
  assert.match(notices[0], /Left out of the layout.*deep/)
  assert.match(notices[1], /Left out of box 1.*long/)
})

test('units of the user apply to texts that state none', () => {
  const text = '[{"bbox_2d": [100, 100, 600, 400], "label": "a cat"}]'
  assert.ok(same(formats.parse(text, CANVAS, 'pixels').boxes[0], { x: 0.1, y: 0.2, w: 0.5, h: 0.6 }))
  const stated = '{"units": "percent", "boxes": [{"x": 10, "y": 20, "w": 50, "h": 60, "caption": "a cat"}]}'
  assert.ok(same(formats.parse(stated, CANVAS, 'pixels').boxes[0], { x: 0.1, y: 0.2, w: 0.5, h: 0.6 }))
  const own = formats.serialize(formats.parse(stated, CANVAS))
  assert.deepEqual(formats.parse(own, CANVAS, 'pixels'), formats.parse(stated, CANVAS))
  assert.throws(() => formats.parse('[]', CANVAS, 'miles'), /units must be one of/)
})

test('a hundred thousand boxes and unreadable texts of the largest size are refused at once', () => {
  const size = 1_900_000
  for (const text of [
    `{"boxes": [${Array(100_000).fill(1)}]}`,
    `[${Array(100_000).fill('{}')}]`,
    '['.repeat(size),
    '{"a":'.repeat(size / 5),
    `${"{'".repeat(size / 2)}',`,
    `${`[${'1,'.repeat(9000)}`.repeat(99)}x`,
    '{'.repeat(size),
    '[1] '.repeat(size / 4)
  ])
    assert.throws(() => formats.parse(text, CANVAS), model.LayoutError)
})
