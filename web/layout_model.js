// The editor's data and all that can be done with it. Pure: it knows neither the page nor ComfyUI, and changes nothing it is given.
//
// A layout is { caption, boxes, .. }, a box { id, x, y, w, h, caption, strength, color, locked, hidden, .. }. x, y, w, h are fractions of
// the picture from its top left corner. The boxes stand from back to front. Keys that are not known are kept. A canvas is
// { width, height } in pixels.

export const VERSION = 1
export const MIN_SIDE_PX = 8
export const MAX_BOXES = 100
export const RELEASE_CANVAS_PX = 768 // the release's own JSON is in pixels of such a canvas
export const ELEMENT_SCALE = 1000 // the host's box elements are in thousandths
export const HISTORY_STEPS = 100

// After Okabe and Ito (2008), distinct for colour-blind eyes; the previews of the nodes use the same.
export const COLORS = ['#e69f00', '#56b4e9', '#009e73', '#f0e442', '#4c82db', '#d55e00', '#cc79a7', '#aaaaaa']

const EDITOR_KEYS = ['id', 'color', 'locked', 'hidden'] // what a run does not depend on
const HANDLE_SIDES = { n: [0, -1], ne: [1, -1], e: [1, 0], se: [1, 1], s: [0, 1], sw: [-1, 1], w: [-1, 0], nw: [-1, -1] }
export const HANDLES = Object.keys(HANDLE_SIDES)

/** What a value is not, in words for the person who gave it. */
export class LayoutError extends Error {}

// Reading and writing

/** The layout in a value: text of JSON in any known format, the same parsed, or nothing. Throws LayoutError that names the trouble. */
export function parse(value, canvas) {
  const data = typeof value === 'string' ? parseJson(value) : (value ?? [])
  if (isObject(data) && 'annotations' in data) return readRelease(data)
  if (isObject(data) && 'boxes' in data) return readOwn(data)
  if (isObject(data) && ('bbox' in data || 'width' in data)) return readList([data], canvas)
  if (Array.isArray(data)) return readList(Array.isArray(data[0]) && data.length === 1 ? data[0] : data, canvas)
  throw new LayoutError(
    `The layout is ${kindOf(data)} of no known format. Expected an object with "boxes" (x, y, w, h, caption) or "annotations", or a list of boxes.`
  )
}

function parseJson(text) {
  if (!text.trim()) return []
  try {
    return JSON.parse(text)
  } catch (error) {
    throw new LayoutError(`The layout is not JSON: ${error.message}.`)
  }
}

function readOwn(data) {
  if ((data.version ?? VERSION) !== VERSION) {
    throw new LayoutError(`The layout has format version ${data.version}; this pack reads version ${VERSION}. Update ComfyUI-IFAdapter.`)
  }
  const boxes = listOf(data.boxes, 'boxes').map((entry, index) => {
    const box = objectOf(entry, index)
    return { ...box, ...frame(box, ['x', 'y', 'w', 'h'], index, 1, 1), caption: words(box, ['caption'], index) }
  })
  return { ...data, version: VERSION, caption: textOf(data.caption ?? '', 'caption'), boxes: finish(boxes) }
}

function readRelease(data) {
  const width = numberOf(data.width ?? RELEASE_CANVAS_PX, 'width')
  const height = numberOf(data.height ?? RELEASE_CANVAS_PX, 'height')
  const boxes = listOf(data.annotations, 'annotations').map((entry, index) => {
    const box = objectOf(entry, index)
    const [x, y, w, h] = fourNumbers(box.box, `Box ${index + 1}: "box" must be [x, y, w, h] in pixels`)
    const caption = Array.isArray(box.caption) ? { caption: box.caption[0] } : box
    return { x: x / width, y: y / height, w: w / width, h: h / height, caption: words(caption, ['caption'], index) }
  })
  return { version: VERSION, caption: textOf(data.caption ?? '', 'caption'), boxes: finish(boxes) }
}

/** The host's bounding boxes (pixels) or box elements (thousandths). */
function readList(entries, canvas) {
  const boxes = entries.map((entry, index) => {
    const box = objectOf(entry, index)
    if ('bbox' in box) {
      const named = `Box ${index + 1}: "bbox" must be [ymin, xmin, ymax, xmax] in thousandths of the canvas`
      const [y0, x0, y1, x1] = fourNumbers(box.bbox, named).map((part) => part / ELEMENT_SCALE)
      return { x: x0, y: y0, w: x1 - x0, h: y1 - y0, caption: words(box, ['desc', 'text'], index) }
    }
    const caption = words(isObject(box.metadata) ? box.metadata : box, ['desc', 'text', 'caption', 'label'], index)
    return { ...frame(box, ['x', 'y', 'width', 'height'], index, canvas.width, canvas.height), caption }
  })
  return { version: VERSION, caption: '', boxes: finish(boxes) }
}

/** Boxes with all keys, inside the canvas, with ids of their own. */
function finish(boxes) {
  if (boxes.length > MAX_BOXES) throw new LayoutError(`The layout has ${boxes.length} boxes; at most ${MAX_BOXES} are supported.`)
  const taken = new Set()
  return boxes.map((box, index) => {
    if (!(box.w > 0 && box.h > 0)) throw new LayoutError(`Box ${index + 1} has no area: its width and height must be greater than 0.`)
    const id = typeof box.id === 'string' && box.id && !taken.has(box.id) ? box.id : newId(taken, boxes)
    taken.add(id)
    const strength = numberOf(box.strength ?? 1, `Box ${index + 1}: strength`)
    const color = isColor(box.color) ? box.color : COLORS[index % COLORS.length]
    return clamp({ ...box, id, strength, color, locked: box.locked === true, hidden: box.hidden === true })
  })
}

function newId(taken, boxes = []) {
  const known = new Set([...taken, ...boxes.map((box) => box.id)])
  let number = 1
  while (known.has(`box${number}`)) number += 1
  return `box${number}`
}

/** All of the layout as text: what is stored in a workflow. `parse` gives it back. */
export function serialize(layout) {
  return JSON.stringify({ ...layout, version: VERSION })
}

/** What a run depends on: colours and locks left out, so that a new colour makes nothing run again. Of hidden boxes only the place is
 * kept, so that an error names the others by their numbers here. */
export function serializeForRun(layout) {
  const boxes = layout.boxes.map((box) =>
    box.hidden ? { hidden: true } : Object.fromEntries(Object.entries(box).filter(([key]) => !EDITOR_KEYS.includes(key)))
  )
  return JSON.stringify({ ...layout, version: VERSION, boxes })
}

/** The release's own JSON: pixels of the canvas, which is named in it. It knows no hidden boxes. */
export function toRelease(layout, canvas) {
  const annotations = visible(layout).map((box) => {
    const { x, y, w, h } = toPixels(box, canvas)
    return { box: [x, y, w, h], caption: box.caption }
  })
  return JSON.stringify({ caption: layout.caption, width: canvas.width, height: canvas.height, annotations }, null, 2)
}

/** The host's box elements: thousandths, ymin first. They know no hidden boxes. */
export function toElements(layout) {
  const thousandths = (value) => Math.round(value * ELEMENT_SCALE)
  const elements = visible(layout).map(({ x, y, w, h, caption }) => ({
    type: 'obj',
    bbox: [thousandths(y), thousandths(x), thousandths(y + h), thousandths(x + w)],
    desc: caption
  }))
  return JSON.stringify(elements, null, 2)
}

function visible(layout) {
  return layout.boxes.filter((box) => !box.hidden)
}

// Pixels

export function toPixels({ x, y, w, h }, canvas) {
  const [left, top] = [Math.round(x * canvas.width), Math.round(y * canvas.height)]
  return { x: left, y: top, w: Math.round((x + w) * canvas.width) - left, h: Math.round((y + h) * canvas.height) - top }
}

export function fromPixels({ x, y, w, h }, canvas) {
  return { x: x / canvas.width, y: y / canvas.height, w: w / canvas.width, h: h / canvas.height }
}

/** The smallest side of a box as fractions of the canvas. */
export function minSides(canvas) {
  return { w: Math.min(MIN_SIDE_PX / canvas.width, 1), h: Math.min(MIN_SIDE_PX / canvas.height, 1) }
}

// Frames: the x, y, w, h of boxes, and of several together

export function bounds(frames) {
  const x = Math.min(...frames.map((frame) => frame.x))
  const y = Math.min(...frames.map((frame) => frame.y))
  return { x, y, w: Math.max(...frames.map((frame) => frame.x + frame.w)) - x, h: Math.max(...frames.map((frame) => frame.y + frame.h)) - y }
}

/** The frame inside the canvas: moved first, and only shrunk where it is larger than the canvas. */
export function clamp(frame) {
  const [w, h] = [Math.min(frame.w, 1), Math.min(frame.h, 1)]
  return { ...frame, w, h, x: between(frame.x, 0, 1 - w), y: between(frame.y, 0, 1 - h) }
}

/** The frame from one corner to the opposite one, in any order, inside the canvas. */
export function spanned(from, to) {
  const [x0, x1] = [from.x, to.x].map((value) => between(value, 0, 1)).sort((a, b) => a - b)
  const [y0, y1] = [from.y, to.y].map((value) => between(value, 0, 1)).sort((a, b) => a - b)
  return { x: x0, y: y0, w: x1 - x0, h: y1 - y0 }
}

/** A frame moved by dx, dy, as far as the canvas allows. */
export function moved(frame, dx, dy) {
  return { ...frame, x: between(frame.x + dx, 0, 1 - frame.w), y: between(frame.y + dy, 0, 1 - frame.h) }
}

/** A frame with one side or corner moved by dx, dy; the opposite one stays, and no side gets shorter than `least` { w, h }. */
export function resized(frame, handle, dx, dy, least) {
  const [across, down] = HANDLE_SIDES[handle]
  const [x, w] = stretched(frame.x, frame.w, across, dx, least.w)
  const [y, h] = stretched(frame.y, frame.h, down, dy, least.h)
  return { ...frame, x, y, w, h }
}

function stretched(start, length, side, delta, least) {
  const end = start + length
  if (side > 0) return [start, between(end + delta, Math.min(start + least, 1), 1) - start]
  if (side < 0) {
    const low = between(start + delta, 0, Math.max(end - least, 0))
    return [low, end - low]
  }
  return [start, length]
}

/** A frame carried along when the frame around it, `from`, becomes `to`. */
export function carried(frame, from, to) {
  const [across, down] = [to.w / from.w, to.h / from.h]
  return {
    ...frame,
    x: to.x + (frame.x - from.x) * across,
    y: to.y + (frame.y - from.y) * down,
    w: frame.w * across,
    h: frame.h * down
  }
}

/** Whether two frames share an area. */
export function overlap(a, b) {
  return a.x < b.x + b.w && b.x < a.x + a.w && a.y < b.y + b.h && b.y < a.y + a.h
}

/** The area that two overlapping frames share. */
export function shared(a, b) {
  const [x, y] = [Math.max(a.x, b.x), Math.max(a.y, b.y)]
  return { x, y, w: Math.min(a.x + a.w, b.x + b.w) - x, h: Math.min(a.y + a.h, b.y + b.h) - y }
}

// Snapping

/** A frame whose moving edges lie on a grid of `step` { x, y }; handle 'move' moves all of it. */
export function snappedToGrid(frame, handle, step, least) {
  const nearest = (value, size) => between(Math.round(value / size) * size, 0, 1)
  if (handle === 'move') return moved(frame, nearest(frame.x, step.x) - frame.x, nearest(frame.y, step.y) - frame.y)
  const [across, down] = HANDLE_SIDES[handle]
  const edgeX = across > 0 ? frame.x + frame.w : frame.x
  const edgeY = down > 0 ? frame.y + frame.h : frame.y
  return resized(frame, handle, nearest(edgeX, step.x) - edgeX, nearest(edgeY, step.y) - edgeY, least)
}

/**
 * A frame moved onto the edges and middles of others and of the canvas, where one is nearer than `reach` { x, y }.
 * Returns { frame, guides }: the lines that it now lies on, { axis: 'x' | 'y', at }.
 */
export function aligned(frame, handle, others, reach, least) {
  const canvas = { x: 0, y: 0, w: 1, h: 1 }
  const guides = []
  const delta = { x: 0, y: 0 }
  for (const [axis, side, place] of [
    ['x', 'w', 0],
    ['y', 'h', 1]
  ]) {
    const lines = [canvas, ...others].flatMap((other) => [other[axis], other[axis] + other[side] / 2, other[axis] + other[side]])
    const direction = handle === 'move' ? null : HANDLE_SIDES[handle][place]
    const middle = frame[axis] + frame[side] / 2
    const own = direction === null ? [frame[axis], middle, frame[axis] + frame[side]] : { '-1': [frame[axis]], 0: [], 1: [frame[axis] + frame[side]] }[direction]
    const pairs = own.flatMap((from) => lines.map((to) => ({ to, by: to - from })))
    const best = pairs.sort((a, b) => Math.abs(a.by) - Math.abs(b.by))[0]
    if (best && Math.abs(best.by) <= reach[axis]) {
      delta[axis] = best.by
      guides.push({ axis, at: best.to })
    }
  }
  const result = handle === 'move' ? moved(frame, delta.x, delta.y) : resized(frame, handle, delta.x, delta.y, least)
  return { frame: result, guides }
}

// What lies where

/** Ids of the visible boxes under a point, the nearest first. */
export function boxesAt(layout, x, y) {
  const under = layout.boxes.filter((box) => !box.hidden && x >= box.x && x <= box.x + box.w && y >= box.y && y <= box.y + box.h)
  return under.map((box) => box.id).reverse()
}

/** The next of the boxes under a point, below the one that is chosen now; from the lowest back to the top. */
export function boxBelow(layout, x, y, id) {
  const under = boxesAt(layout, x, y)
  return under.length ? under[(under.indexOf(id) + 1) % under.length] : null
}

/** Ids of the visible boxes that a frame touches. */
export function boxesIn(layout, frame) {
  return layout.boxes.filter((box) => !box.hidden && overlap(box, frame)).map((box) => box.id)
}

/** Places [a, b], a < b, of the visible boxes that share an area. */
export function overlappingPairs({ boxes }) {
  const pairs = []
  for (let a = 0; a < boxes.length; a += 1) {
    for (let b = a + 1; b < boxes.length && !boxes[a].hidden; b += 1) if (!boxes[b].hidden && overlap(boxes[a], boxes[b])) pairs.push([a, b])
  }
  return pairs
}

/** For each box the numbers (from 1, from the back) of those that it overlaps. Hidden boxes count for nothing. */
export function overlaps(layout) {
  const found = new Map(layout.boxes.map((box) => [box.id, []]))
  for (const [a, b] of overlappingPairs(layout)) {
    found.get(layout.boxes[a].id).push(b + 1)
    found.get(layout.boxes[b].id).push(a + 1)
  }
  for (const numbers of found.values()) numbers.sort((a, b) => a - b)
  return found
}

/** Ids of the boxes that a run would refuse: visible ones without a caption. */
export function withoutCaption(layout) {
  return layout.boxes.filter((box) => !box.hidden && !box.caption.trim()).map((box) => box.id)
}

// Changes: each gives a new layout

export function change(layout, ids, edit) {
  const chosen = new Set(ids)
  return { ...layout, boxes: layout.boxes.map((box) => (chosen.has(box.id) ? { ...box, ...edit(box) } : box)) }
}

/** New boxes in front of all others; parts that are not given are filled in. Returns { layout, ids }. */
export function add(layout, parts) {
  if (layout.boxes.length + parts.length > MAX_BOXES) throw new LayoutError(`At most ${MAX_BOXES} boxes are supported.`)
  const boxes = [...layout.boxes]
  const ids = []
  for (const part of parts) {
    const id = newId(new Set(boxes.map((box) => box.id)))
    const color = isColor(part.color) ? part.color : freeColor(boxes)
    boxes.push(clamp({ caption: '', strength: 1, locked: false, hidden: false, ...part, id, color }))
    ids.push(id)
  }
  return { layout: { ...layout, boxes }, ids }
}

export function remove(layout, ids) {
  const gone = new Set(ids)
  return { ...layout, boxes: layout.boxes.filter((box) => !gone.has(box.id)) }
}

/** A layout with boxes from a link in place of its own; those without words take words and strength of the visible ones in the same order. */
export function takenOver(layout, linked) {
  const own = visible(layout)
  return { ...layout, boxes: linked.map((box, index) => (box.caption || !own[index] ? box : { ...box, caption: own[index].caption, strength: own[index].strength })) }
}

/** Copies of boxes, moved by { x, y } as far as the canvas allows, in front. Returns { layout, ids }. */
export function duplicate(layout, ids, by) {
  const chosen = new Set(ids)
  const copies = layout.boxes.filter((box) => chosen.has(box.id)).map((box) => ({ ...moved(box, by.x, by.y), locked: false, color: undefined }))
  return add(layout, copies)
}

/** Boxes moved in depth: 'front', 'forward', 'backward' or 'back'. Those that move keep their order among themselves. */
export function reorder(layout, ids, where) {
  const chosen = new Set(ids)
  const boxes = [...layout.boxes]
  if (where === 'front' || where === 'back') {
    const [moving, staying] = [boxes.filter((box) => chosen.has(box.id)), boxes.filter((box) => !chosen.has(box.id))]
    return { ...layout, boxes: where === 'front' ? [...staying, ...moving] : [...moving, ...staying] }
  }
  const step = where === 'forward' ? 1 : -1
  const places = boxes.map((_, index) => index)
  for (const place of step > 0 ? places.reverse() : places) {
    const next = place + step
    if (chosen.has(boxes[place].id) && boxes[next] && !chosen.has(boxes[next].id)) {
      ;[boxes[place], boxes[next]] = [boxes[next], boxes[place]]
    }
  }
  return { ...layout, boxes }
}

/** One box moved to a place in the order, 0 = the back. */
export function moveTo(layout, id, place) {
  const box = layout.boxes.find((other) => other.id === id)
  const rest = layout.boxes.filter((other) => other.id !== id)
  const at = between(place, 0, rest.length)
  return { ...layout, boxes: [...rest.slice(0, at), box, ...rest.slice(at)] }
}

/** Where a new box of a third of the canvas overlaps the others least; the middle, if that is as good as any. */
export function freePlace(layout) {
  const side = 1 / 3
  const steps = [0.5, 0.25, 0.75, 0, 1].map((part) => part * (1 - side))
  const candidates = steps.flatMap((y) => steps.map((x) => ({ x, y, w: side, h: side })))
  const shared = (frame) =>
    layout.boxes.reduce((sum, box) => {
      const across = Math.min(frame.x + frame.w, box.x + box.w) - Math.max(frame.x, box.x)
      const down = Math.min(frame.y + frame.h, box.y + box.h) - Math.max(frame.y, box.y)
      return box.hidden || across <= 0 || down <= 0 ? sum : sum + across * down
    }, 0)
  return candidates.reduce((best, frame) => (shared(frame) < shared(best) - 1e-9 ? frame : best))
}

/** The palette's colour that is used least. */
function freeColor(boxes) {
  const uses = (color) => boxes.filter((box) => box.color === color).length
  return COLORS.reduce((best, color) => (uses(color) < uses(best) ? color : best))
}

// History

/** Layouts to go back to and forward to. Changes with the same key that follow each other, as of typing, are one step. */
export class History {
  constructor(layout) {
    this.past = []
    this.present = layout
    this.future = []
    this.key = null
  }

  get canUndo() {
    return this.past.length > 0
  }

  get canRedo() {
    return this.future.length > 0
  }

  /** A new state; nothing happens when it says the same as the present one. */
  record(layout, key = null) {
    if (serialize(layout) === serialize(this.present)) return
    if (key === null || key !== this.key) this.past = [...this.past, this.present].slice(-HISTORY_STEPS)
    this.present = layout
    this.future = []
    this.key = key
  }

  /** The next change is a step of its own, even with the same key. */
  close() {
    this.key = null
  }

  undo() {
    if (!this.canUndo) return this.present
    this.future = [this.present, ...this.future]
    this.present = this.past.at(-1)
    this.past = this.past.slice(0, -1)
    this.key = null
    return this.present
  }

  redo() {
    if (!this.canRedo) return this.present
    this.past = [...this.past, this.present]
    ;[this.present, ...this.future] = this.future
    this.key = null
    return this.present
  }
}

// Words

/** A box for those who do not see it: "Box 2: red cat, 120, 80, 300 x 400 pixels, locked". */
export function describe(layout, id, canvas) {
  const index = layout.boxes.findIndex((box) => box.id === id)
  const box = layout.boxes[index]
  const { x, y, w, h } = toPixels(box, canvas)
  const states = ['locked', 'hidden'].filter((state) => box[state])
  return [`Box ${index + 1}: ${box.caption.trim() || 'no caption'}`, `${x}, ${y}`, `${w} x ${h} pixels`, ...states].join(', ')
}

// Checks of what comes from outside

function between(value, low, high) {
  return Math.min(Math.max(value, low), Math.max(low, high))
}

function isObject(value) {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

export function isColor(value) {
  return typeof value === 'string' && /^#[0-9a-f]{6}$/i.test(value)
}

function objectOf(value, index) {
  if (!isObject(value)) throw new LayoutError(`Box ${index + 1} must be an object with named numbers, got ${kindOf(value)}.`)
  return value
}

function listOf(value, name) {
  if (!Array.isArray(value)) throw new LayoutError(`"${name}" must be a list, got ${kindOf(value)}.`)
  return value
}

function textOf(value, name) {
  if (typeof value !== 'string') throw new LayoutError(`${name} must be text, got ${kindOf(value)}.`)
  return value
}

function numberOf(value, name) {
  if (typeof value !== 'number' || !Number.isFinite(value)) throw new LayoutError(`${name} must be a number, got ${kindOf(value)}.`)
  return value
}

function fourNumbers(value, wanted) {
  if (!Array.isArray(value) || value.length !== 4) throw new LayoutError(`${wanted}, got ${kindOf(value)}.`)
  return value.map((part) => numberOf(part, wanted))
}

function frame(box, keys, index, width, height) {
  const missing = keys.filter((key) => !(key in box))
  if (missing.length) throw new LayoutError(`Box ${index + 1} lacks ${missing.join(', ')}; expected ${keys.join(', ')}.`)
  const [x, y, w, h] = keys.map((key) => numberOf(box[key], `Box ${index + 1}: ${key}`))
  return { x: x / width, y: y / height, w: w / width, h: h / height }
}

function words(box, keys, index) {
  const key = keys.find((name) => box[name])
  const value = key === undefined ? '' : box[key]
  return textOf(Array.isArray(value) && value.length === 1 ? value[0] : value, `Box ${index + 1}: ${key}`)
}

function kindOf(value) {
  if (value === null || value === undefined) return 'nothing'
  if (Array.isArray(value)) return 'a list'
  return { object: 'an object', string: 'text', number: 'a number', boolean: 'true/false' }[typeof value] ?? typeof value
}
