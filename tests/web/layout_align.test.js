// Properties of aligning, distributing and proportional resizing, on random frames from fixed seeds.

import assert from 'node:assert/strict'
import { test } from 'node:test'

import { alignedTo, distributed } from '../../web/layout_align.js'
import * as geometry from '../../web/layout_geometry.js'
import { MINIMUM, forMany, frame, inside, near } from './random_layouts.js'

const SIDES = {
  left: ({ x }) => x,
  centre: ({ x, w }) => x + w / 2,
  right: ({ x, w }) => x + w,
  top: ({ y }) => y,
  middle: ({ y, h }) => y + h / 2,
  bottom: ({ y, h }) => y + h
}

test('aligned frames share the side or the middle of their group, and keep their sizes', () => {
  forMany((next) => {
    const frames = [frame(next), frame(next), frame(next)]
    const group = geometry.bounds(frames)
    for (const [where, at] of Object.entries(SIDES)) {
      for (const each of frames) {
        const moved = alignedTo(each, group, where)
        assert.ok(near(at(moved), at(group)), where)
        assert.deepEqual([moved.w, moved.h], [each.w, each.h])
        assert.ok(inside(moved))
      }
    }
  })
})

test('distributed frames have equal gaps, from the left to the right side of their group', () => {
  forMany((next) => {
    const frames = [frame(next), frame(next), frame(next), frame(next)]
    const moved = distributed(frames, 'x')
    const order = frames.map((each, index) => [each.x, moved[index]]).sort(([a], [b]) => a - b)
    const sorted = order.map(([, each]) => each)
    const gaps = sorted.slice(1).map((each, index) => each.x - sorted[index].x - sorted[index].w)
    for (const gap of gaps) assert.ok(near(gap, gaps[0]))
    const group = geometry.bounds(frames)
    assert.ok(near(sorted[0].x, group.x))
    assert.ok(near(sorted.at(-1).x + sorted.at(-1).w, group.x + group.w))
    assert.deepEqual(
      moved.map(({ y, w, h }) => [y, w, h]),
      frames.map(({ y, w, h }) => [y, w, h])
    )
  })
})

test('a proportional resize keeps the proportions, stays inside, and keeps the opposite corner', () => {
  forMany((next) => {
    const from = frame(next)
    for (const handle of geometry.HANDLES) {
      const to = geometry.scaled(from, handle, next() - 0.5, next() - 0.5, MINIMUM)
      assert.ok(near(to.w / to.h, from.w / from.h), handle)
      assert.ok(inside(to), handle)
      if (handle === 'se') assert.ok(near(to.x, from.x) && near(to.y, from.y))
      if (handle === 'nw') assert.ok(near(to.x + to.w, from.x + from.w) && near(to.y + to.h, from.y + from.h))
      if (handle === 'e') assert.ok(near(to.y + to.h / 2, from.y + from.h / 2))
    }
  })
})
