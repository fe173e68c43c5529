// Properties of the editor's data model, on random layouts from fixed seeds.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import * as formats from '../../web/layout_formats.js'
import * as geometry from '../../web/layout_geometry.js'
import * as histories from '../../web/layout_history.js'
import * as hits from '../../web/layout_hits.js'
import * as model from '../../web/layout_model.js'
import * as snapping from '../../web/layout_snapping.js'
import { CANVAS, MINIMUM, forMany, frame, inside, layout, near, same } from './random_layouts.js'

// Frames

test('a number set in pixels is shown again, and the others stay exactly the same', () => {
  forMany((next) => {
    const start = frame(next)
    const pixels = geometry.toPixels(start, CANVAS)
    for (const key of geometry.SIDES) {
      const set = geometry.withPixels(start, key, pixels[key], CANVAS)
      assert.deepEqual(geometry.toPixels(set, CANVAS)[key], pixels[key])
      for (const other of geometry.SIDES) if (other !== key) assert.equal(set[other], start[other])
      for (const wild of [-1e6, 0, 1e6]) assert.ok(inside(geometry.withPixels(start, key, wild, CANVAS)))
    }
  })
})

test('a move keeps the size, stays inside, and is reversible if not clamped', () => {
  forMany((next) => {
    const start = frame(next)
    const [dx, dy] = [next() * 2 - 1, next() * 2 - 1]
    const there = geometry.moved(start, dx, dy)
    assert.ok(inside(there) && near(there.w, start.w) && near(there.h, start.h))
    if (near(there.x, start.x + dx) && near(there.y, start.y + dy))
      assert.ok(same(geometry.moved(there, -dx, -dy), start))
  })
})

test('a handle moves only its own sides, respects the minimum size, and is reversible', () => {
  forMany((next) => {
    const start = frame(next)
    for (const handle of geometry.HANDLES) {
      const [dx, dy] = [next() * 2 - 1, next() * 2 - 1]
      const there = geometry.resized(start, handle, dx, dy, MINIMUM)
      assert.ok(inside(there), handle)
      assert.ok(there.w >= MINIMUM.w - 1e-9 && there.h >= MINIMUM.h - 1e-9, handle)
      if (!handle.includes('w')) assert.ok(near(there.x, start.x), handle)
      if (!handle.includes('e')) assert.ok(near(there.x + there.w, start.x + start.w), handle)
      if (!handle.includes('n')) assert.ok(near(there.y, start.y), handle)
      if (!handle.includes('s')) assert.ok(near(there.y + there.h, start.y + start.h), handle)
      const back = geometry.resized(
        there,
        handle,
        start.x + start.w - there.x - there.w || start.x - there.x,
        start.y + start.h - there.y - there.h || start.y - there.y,
        MINIMUM
      )
      assert.ok(same(back, start), handle)
    }
  })
})

test('a drawn frame does not depend on its start corner', () => {
  forMany((next) => {
    const [a, b] = [
      { x: next() * 1.4 - 0.2, y: next() * 1.4 - 0.2 },
      { x: next() * 1.4 - 0.2, y: next() * 1.4 - 0.2 }
    ]
    const drawn = geometry.spanned(a, b)
    assert.deepEqual(drawn, geometry.spanned({ x: b.x, y: a.y }, { x: a.x, y: b.y }))
    assert.ok(inside(drawn) && drawn.w >= 0 && drawn.h >= 0)
  })
})

test('clamping moves before it shrinks, and is idempotent', () => {
  assert.ok(same(geometry.clamp({ x: 0.9, y: -0.5, w: 0.5, h: 2 }), { x: 0.5, y: 0, w: 0.5, h: 1 }))
  forMany((next) => {
    const once = geometry.clamp({ x: next() * 4 - 2, y: next() * 4 - 2, w: next() * 2, h: next() * 2 })
    assert.ok(inside(once))
    assert.ok(same(geometry.clamp(once), once))
  })
})

test('resizing a group scales its members', () => {
  forMany((next) => {
    const members = [frame(next), frame(next), frame(next)]
    const [from, to] = [geometry.bounds(members), frame(next)]
    const there = members.map((member) => geometry.movedWithGroup(member, from, to))
    assert.ok(same(geometry.bounds(there), to))
    there.forEach((member, index) =>
      assert.ok(same(geometry.movedWithGroup(member, to, from), members[index]))
    )
  })
})

// Snapping

test('snapping to the grid puts the moving edges on it, and is idempotent', () => {
  const step = { x: 0.05, y: 0.1 }
  const onGrid = (value, size) => near(value / size, Math.round(value / size))
  forMany((next) => {
    const start = frame(next)
    for (const handle of ['move', ...geometry.HANDLES]) {
      const once = snapping.snappedToGrid(start, handle, step, MINIMUM)
      assert.ok(inside(once), handle)
      assert.ok(same(snapping.snappedToGrid(once, handle, step, MINIMUM), once), handle)
      if (handle === 'e' && once.w > MINIMUM.w + 1e-9) assert.ok(onGrid(once.x + once.w, step.x))
      if (handle === 'n' && once.h > MINIMUM.h + 1e-9) assert.ok(onGrid(once.y, step.y))
    }
  })
})

test('a frame snaps to near edges and centres of others, and reports the lines', () => {
  const other = { x: 0.5, y: 0.1, w: 0.2, h: 0.2 }
  const reach = { x: 0.01, y: 0.01 }
  const moving = { x: 0.295, y: 0.6, w: 0.2, h: 0.13 }
  const { frame: moved, guides } = snapping.aligned(moving, 'move', [other], reach, MINIMUM)
  assert.ok(near(moved.x + moved.w, 0.5) && near(moved.y, moving.y))
  assert.deepEqual(guides, [{ axis: 'x', at: 0.5 }])
  const resized = snapping.aligned({ x: 0.1, y: 0.4, w: 0.396, h: 0.1 }, 'e', [other], reach, MINIMUM)
  assert.ok(near(resized.frame.x, 0.1) && near(resized.frame.w, 0.4))
  const far = snapping.aligned(
    { x: 0.33, y: 0.61, w: 0.1, h: 0.1 },
    'move',
    [other],
    { x: 0.001, y: 0.001 },
    MINIMUM
  )
  assert.deepEqual([far.frame.x, far.guides], [0.33, []])
})

test('a frame snaps to the centre of the canvas', () => {
  const { frame: moved } = snapping.aligned(
    { x: 0.395, y: 0.1, w: 0.2, h: 0.13 },
    'move',
    [],
    { x: 0.01, y: 0.01 },
    MINIMUM
  )
  assert.ok(near(moved.x + moved.w / 2, 0.5))
})

// Hit tests and overlaps

function stack() {
  const at = (x, y, w, h) => ({ x, y, w, h, caption: 'a thing' })
  return model.add({ caption: '', boxes: [] }, [
    at(0, 0, 0.6, 0.6),
    at(0.2, 0.2, 0.6, 0.6),
    at(0.3, 0.3, 0.1, 0.1),
    at(0.85, 0.85, 0.1, 0.1)
  ])
}

test('the front box is hit first, and further picks cycle through the boxes below', () => {
  const { layout: given, ids } = stack()
  assert.deepEqual(hits.boxesAt(given, 0.35, 0.35), [ids[2], ids[1], ids[0]])
  assert.equal(hits.boxBelow(given, 0.35, 0.35, null), ids[2])
  assert.equal(hits.boxBelow(given, 0.35, 0.35, ids[2]), ids[1])
  assert.equal(hits.boxBelow(given, 0.35, 0.35, ids[0]), ids[2])
  assert.equal(hits.boxBelow(given, 0.99, 0.01, ids[0]), null)
})

test('hidden boxes are neither hit nor counted as overlaps', () => {
  const { layout: given, ids } = stack()
  const hidden = model.change(given, [ids[2]], () => ({ hidden: true }))
  assert.deepEqual(hits.boxesAt(hidden, 0.35, 0.35), [ids[1], ids[0]])
  assert.deepEqual(hits.overlaps(hidden).get(ids[0]), [2])
  assert.deepEqual(hits.overlaps(hidden).get(ids[2]), [])
})

test('overlap is symmetric and requires a common area', () => {
  forMany((next) => {
    const given = model.change(layout(next), [], (box) => box)
    const numbers = hits.overlaps(given)
    given.boxes.forEach((box, index) => {
      for (const number of numbers.get(box.id))
        assert.ok(numbers.get(given.boxes[number - 1].id).includes(index + 1))
    })
  })
  assert.equal(geometry.overlap({ x: 0, y: 0, w: 0.5, h: 1 }, { x: 0.5, y: 0, w: 0.5, h: 1 }), false)
})

test('a marquee selects the boxes that it overlaps', () => {
  const { layout: given, ids } = stack()
  assert.deepEqual(hits.boxesIn(given, { x: 0.7, y: 0.7, w: 0.3, h: 0.3 }), [ids[1], ids[3]])
})

// Changes

test('no function changes its inputs', () => {
  forMany((next) => {
    const given = layout(next)
    const before = JSON.stringify(given)
    const ids = given.boxes.filter(() => next() < 0.5).map((box) => box.id)
    model.change(given, ids, () => ({ caption: 'new' }))
    model.remove(given, ids)
    model.duplicate(given, ids, { x: 0.1, y: 0.1 })
    for (const where of ['front', 'forward', 'backward', 'back']) model.reorder(given, ids, where)
    if (ids.length) model.moveTo(given, ids[0], 0)
    assert.equal(JSON.stringify(given), before)
  })
})

test('reordering keeps all boxes, and the relative order of moved and of other boxes', () => {
  forMany((next) => {
    const given = layout(next)
    const chosen = new Set(given.boxes.filter(() => next() < 0.5).map((box) => box.id))
    const order = (boxes, member) => boxes.filter((box) => chosen.has(box.id) === member).map((box) => box.id)
    for (const where of ['front', 'forward', 'backward', 'back']) {
      const { boxes } = model.reorder(given, [...chosen], where)
      assert.deepEqual(order(boxes, true), order(given.boxes, true), where)
      assert.deepEqual(order(boxes, false), order(given.boxes, false), where)
    }
  })
})

test('a step forward and a step back cancel out, except at the front', () => {
  const { layout: given, ids } = stack()
  const forward = model.reorder(given, [ids[1]], 'forward')
  assert.deepEqual(
    forward.boxes.map((box) => box.id),
    [ids[0], ids[2], ids[1], ids[3]]
  )
  assert.deepEqual(model.reorder(forward, [ids[1]], 'backward'), given)
  assert.deepEqual(model.reorder(given, [ids[3]], 'forward'), given)
  assert.deepEqual(model.reorder(given, [ids[2], ids[3]], 'forward'), given)
  assert.deepEqual(model.reorder(given, [ids[0]], 'front').boxes.at(-1).id, ids[0])
  assert.deepEqual(model.reorder(given, [ids[3]], 'back').boxes[0].id, ids[3])
})

test('a box can be moved to any position in the order', () => {
  forMany((next) => {
    const given = layout(next)
    const box = given.boxes[Math.floor(next() * given.boxes.length)]
    const place = Math.floor(next() * given.boxes.length)
    const { boxes } = model.moveTo(given, box.id, place)
    assert.equal(boxes[place].id, box.id)
    assert.deepEqual(new Set(boxes), new Set(given.boxes))
  })
})

test('copies are in front, with new ids and the same captions', () => {
  forMany((next) => {
    const given = layout(next)
    const ids = given.boxes.filter(() => next() < 0.6).map((box) => box.id)
    const { layout: both, ids: copies } = model.duplicate(given, ids, { x: 0.05, y: 0.05 })
    assert.equal(both.boxes.length, given.boxes.length + ids.length)
    assert.deepEqual(both.boxes.slice(0, given.boxes.length), given.boxes)
    assert.equal(new Set(both.boxes.map((box) => box.id)).size, both.boxes.length)
    assert.deepEqual(
      copies,
      both.boxes.slice(given.boxes.length).map((box) => box.id)
    )
    const captions = given.boxes.filter((box) => ids.includes(box.id)).map((box) => box.caption)
    assert.deepEqual(
      both.boxes.slice(given.boxes.length).map((box) => box.caption),
      captions
    )
    assert.ok(both.boxes.every(inside))
  })
})

test('a full layout rejects further boxes', () => {
  const full = {
    caption: '',
    boxes: Array.from({ length: 100 }, (_, index) => ({ id: `b${index}`, x: 0, y: 0, w: 1, h: 1 }))
  }
  assert.throws(() => model.add(full, [{ x: 0, y: 0, w: 1, h: 1 }]), /At most 100/)
})

test('new boxes get the least used colour and a free place', () => {
  let given = { caption: '', boxes: [] }
  for (const color of model.COLORS) {
    const place = model.freePlace(given)
    const shrunk = { x: place.x + 1e-9, y: place.y + 1e-9, w: place.w - 2e-9, h: place.h - 2e-9 }
    assert.deepEqual(hits.boxesIn(given, shrunk), [])
    given = model.add(given, [place]).layout
    assert.equal(given.boxes.at(-1).color, color)
  }
  assert.ok(same(model.freePlace({ boxes: [] }), { x: 1 / 3, y: 1 / 3, w: 1 / 3, h: 1 / 3 }))
})

// History

test('undoing and redoing everything restores the layout', () => {
  forMany((next) => {
    const first = layout(next)
    const history = new histories.History(first)
    const states = [first]
    for (let step = 0; step < 20; step += 1) {
      const id = history.present.boxes[0]?.id
      const changed =
        next() < 0.5 && id
          ? model.change(history.present, [id], () => ({ caption: `${step}` }))
          : model.add(history.present, [frame(next)]).layout
      history.record(changed)
      states.push(changed)
    }
    const last = history.present
    for (const state of states.slice(0, -1).reverse()) assert.deepEqual(history.undo(), state)
    assert.equal(history.canUndo, false)
    while (history.canRedo) history.redo()
    assert.deepEqual(history.present, last)
  })
})

test('typing is one undo step until it is interrupted', () => {
  const { layout: given, ids } = stack()
  const history = new histories.History(given)
  const typed = (id, caption) => model.change(history.present, [id], () => ({ caption }))
  for (const text of ['a', 'a c', 'a cat']) history.record(typed(ids[0], text), `caption ${ids[0]}`)
  history.close()
  for (const text of ['a cat!', 'a cat!!']) history.record(typed(ids[0], text), `caption ${ids[0]}`)
  assert.equal(history.undo().boxes[0].caption, 'a cat')
  assert.equal(history.undo().boxes[0].caption, 'a thing')
  assert.equal(history.canUndo, false)
})

test('an equal layout is no undo step, and a new change clears the redo steps', () => {
  const { layout: given, ids } = stack()
  const history = new histories.History(given)
  history.record({ ...given })
  assert.equal(history.canUndo, false)
  history.record(model.remove(given, [ids[0]]))
  history.undo()
  history.record(model.remove(given, [ids[1]]))
  assert.equal(history.canRedo, false)
})

test('the oldest undo steps are dropped first', () => {
  const history = new histories.History({ caption: '0', boxes: [] })
  for (let step = 1; step <= histories.HISTORY_STEPS + 50; step += 1)
    history.record({ caption: `${step}`, boxes: [] })
  while (history.canUndo) history.undo()
  assert.equal(history.present.caption, '50')
})

// Words

test('a box is described by number, caption, position and state', () => {
  const { layout: given, ids } = model.add({ caption: '', boxes: [] }, [
    { x: 0, y: 0, w: 0.1, h: 0.1 },
    { x: 0.1, y: 0.2, w: 0.5, h: 0.6, caption: ' red cat ', locked: true }
  ])
  assert.equal(model.describe(given, ids[0], CANVAS), 'Box 1: no caption, 0, 0, 100 x 50 pixels')
  assert.equal(model.describe(given, ids[1], CANVAS), 'Box 2: red cat, 100, 100, 500 x 300 pixels, locked')
})

test('boxes without a caption are listed, except hidden ones', () => {
  const { layout: given, ids } = model.add({ caption: '', boxes: [] }, [
    { x: 0, y: 0, w: 1, h: 1, caption: '  ' },
    { x: 0, y: 0, w: 1, h: 1, caption: 'a' },
    { x: 0, y: 0, w: 1, h: 1, hidden: true }
  ])
  assert.deepEqual(model.withoutCaption(given), [ids[0]])
})

test('linked boxes keep their captions or take those of the visible boxes in order', () => {
  const { layout: given } = model.add({ caption: 'a room', boxes: [] }, [
    { x: 0, y: 0, w: 0.5, h: 0.5, caption: 'a chair' },
    { x: 0, y: 0, w: 0.5, h: 0.5, caption: 'a hidden lamp', hidden: true },
    { x: 0.5, y: 0.5, w: 0.5, h: 0.5, caption: 'a bed' }
  ])
  const linked = formats.parse(
    [{ box_2d: [0, 0, 100, 100] }, { box_2d: [0, 0, 500, 500], label: 'a dog' }, { box_2d: [1, 1, 9, 9] }],
    CANVAS
  ).boxes
  const taken = model.takenOver(given, linked)
  assert.deepEqual(
    taken.boxes.map((box) => box.caption),
    ['a chair', 'a dog', '']
  )
  assert.equal(taken.caption, 'a room')
  assert.equal(taken.boxes[1].w, 0.5)
})
