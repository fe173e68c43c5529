// @ts-check
// Pointer gestures on the surface. The surface captures the pointer and has all listeners: in Nodes 2.0 no
// pointer event reaches the document.

import * as geometry from '../../layout_geometry.js'
import { boxBelow, boxesAt, boxesIn } from '../../layout_hits.js'
import * as model from '../../layout_model.js'
import { aligned, snappedToGrid } from '../../layout_snapping.js'
import { toggled } from '../../layout_state.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../../layout_geometry.js').Frame} Frame */
/** @typedef {import('../../layout_snapping.js').Guide} Guide */
/** @typedef {import('../../layout_geometry.js').Handle} Handle */
/** @typedef {import('../../layout_geometry.js').Point} Point */
/** @typedef {import('../../layout_geometry.js').Size} Size */
/** @typedef {import('../../layout_model.js').Box} Box */
/** @typedef {import('../../layout_model.js').Layout} Layout */

/**
 * A gesture. Points are fractions of the picture.
 * @typedef {object} Gesture
 * @property {Handle | 'move' | 'draw' | 'marquee'} kind a handle resizes
 * @property {string[]} ids of the boxes that it changes
 * @property {string | null} click id of the box that a click without movement selects
 * @property {Point} at start
 * @property {Point} to current end
 * @property {[number, number]} from start in client pixels
 * @property {boolean} started the pointer has moved far enough
 * @property {Layout} layout before the gesture
 * @property {Frame | null} frame being drawn
 * @property {boolean} copies moves copies of the boxes
 * @property {boolean} proportional keeps the proportions of what is resized
 */

const DRAG_PX = 3 // a shorter movement is a click
const SNAP_PX = 6 // distance at which edges snap to alignment lines

export class Gestures {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {Gesture | null} */
    this.gesture = null
    /** @type {Guide[]} */
    this.guides = [] // that the moving box is snapped to
    this.frameRequest = 0
  }

  get active() {
    return this.gesture !== null
  }

  destroy() {
    cancelAnimationFrame(this.frameRequest)
  }

  /** @param {PointerEvent} event */
  onDown(event) {
    const { editor } = this
    if (editor.zoom.startPan(event)) return event.preventDefault()
    if (editor.zoom.startPinch(event)) this.cancel()
    if (editor.zoom.pinch) return event.preventDefault()
    if (event.button === 1) editor.host.forward(event)
    if (event.button !== 0 || editor.state.unreadable) return
    event.stopPropagation()
    event.preventDefault()
    editor.inline.close()
    editor.focus.toPicture()
    if (editor.surface.unseen) return
    const at = editor.surface.point(event)
    const begun = this.begin(event, at)
    if (!begun) return
    editor.surface.root.setPointerCapture(event.pointerId)
    this.gesture = {
      ids: [],
      click: null,
      frame: null,
      copies: false,
      proportional: false,
      ...begun,
      at,
      to: at,
      from: [event.clientX, event.clientY],
      started: false,
      layout: editor.state.shown
    }
  }

  /**
   * The gesture that a press starts, or null if the press only selects.
   * @param {PointerEvent} event
   * @param {Point} at
   * @returns {Pick<Gesture, 'kind'> & Partial<Gesture> | null}
   */
  begin(event, at) {
    const { editor } = this
    const { state } = editor
    const { layout } = state
    const { handle } = /** @type {HTMLElement} */ (event.target).dataset
    /** @param {string[]} ids */
    const unlocked = (ids) => state.unlocked(ids).map((box) => box.id)
    const selected = unlocked(state.selection)
    if (handle && selected.length) return { kind: /** @type {Handle} */ (handle), ids: selected }
    if (event.altKey) return this.beginAlt(at)
    if (event.ctrlKey || event.metaKey) return { kind: 'draw' }
    const under = unlocked(boxesAt(layout, at.x, at.y)).reverse() // front first
    const hit = under.find((id) => state.selection.includes(id)) ?? under[0]
    if (!hit) return { kind: event.shiftKey ? 'marquee' : 'draw' }
    if (event.shiftKey) {
      editor.select(toggled(state.selection, hit))
      return state.selection.includes(hit) ? { kind: 'move', ids: unlocked(state.selection) } : null
    }
    const click = under[0]
    if (!state.selection.includes(hit)) editor.select([hit])
    return { kind: 'move', ids: unlocked(state.selection), click }
  }

  /**
   * Alt: a click selects the box below the active one, a drag moves copies.
   * @param {Point} at
   * @returns {Pick<Gesture, 'kind'> & Partial<Gesture> | null}
   */
  beginAlt(at) {
    const { layout, selection } = this.editor.state
    const under = boxesAt(layout, at.x, at.y)
    if (!under.length) return null
    const isSelected = under.some((id) => selection.includes(id))
    const click = boxBelow(layout, at.x, at.y, selection.at(-1) ?? null)
    return { kind: 'move', ids: isSelected ? selection : [under[0]], click, copies: true }
  }

  /**
   * Puts copies in place of the boxes that a gesture moves.
   * @param {Gesture} gesture
   */
  copy(gesture) {
    const copies = this.editor.actions.attempt(() =>
      model.duplicate(gesture.layout, gesture.ids, { x: 0, y: 0 })
    )
    if (!copies) return this.cancel()
    Object.assign(gesture, copies, { copies: false })
    this.editor.state.draft = copies.layout
    this.editor.state.selection = copies.ids
  }

  /** @param {PointerEvent} event */
  onMove(event) {
    if (this.editor.zoom.onMove(event)) return event.stopPropagation()
    if (!this.gesture) return
    event.stopPropagation()
    this.gesture.proportional = event.shiftKey
    this.gesture.to = this.editor.surface.point(event)
    const [x, y] = this.gesture.from
    if (!this.gesture.started && Math.hypot(event.clientX - x, event.clientY - y) < DRAG_PX) return
    this.gesture.started = true
    this.frameRequest ||= requestAnimationFrame(() => {
      this.frameRequest = 0
      this.apply()
    })
  }

  /** Shows the gesture's effect up to the pointer's last position. */
  apply() {
    if (this.gesture?.copies) this.copy(this.gesture)
    if (!this.gesture) return
    const { editor } = this
    const { kind, at, to, layout, ids } = this.gesture
    this.guides = []
    if (kind === 'marquee') {
      const frame = geometry.spanned(at, to)
      editor.surface.showMarquee(frame)
      editor.state.selection = boxesIn(layout, frame)
    } else if (kind === 'draw') {
      const corner = to.x >= at.x ? (to.y >= at.y ? 'se' : 'ne') : to.y >= at.y ? 'sw' : 'nw'
      this.gesture.frame = this.snapped(geometry.spanned(at, to), corner, layout.boxes)
      editor.surface.showMarquee(this.gesture.frame)
    } else {
      const boxes = layout.boxes.filter((box) => ids.includes(box.id))
      const others = layout.boxes.filter((box) => !ids.includes(box.id) && !box.hidden)
      const from = geometry.bounds(boxes)
      const frame = this.dragged(this.gesture, from, others, this.minimumOf(boxes, from))
      editor.state.draft = model.change(layout, ids, (box) => geometry.movedWithGroup(box, from, frame))
    }
    editor.render()
  }

  /**
   * The bounds of the boxes that a gesture moves or resizes.
   * @param {Gesture} gesture
   * @param {Frame} from the bounds before
   * @param {Box[]} others
   * @param {Size} minimum
   */
  dragged({ kind, at, to, proportional }, from, others, minimum) {
    const [dx, dy] = [to.x - at.x, to.y - at.y]
    if (kind === 'draw' || kind === 'marquee') return from
    if (kind !== 'move' && proportional) return geometry.scaled(from, kind, dx, dy, minimum)
    const frame =
      kind === 'move' ? geometry.moved(from, dx, dy) : geometry.resized(from, kind, dx, dy, minimum)
    return this.snapped(frame, kind, others, minimum)
  }

  /**
   * The smallest size of a group at which none of its members is too small.
   * @param {Box[]} boxes
   * @param {Frame} from the group's bounds
   * @returns {Size}
   */
  minimumOf(boxes, from) {
    const { w, h } = this.editor.minimum
    return {
      w: Math.min(Math.max(...boxes.map((box) => (w * from.w) / box.w)), from.w),
      h: Math.min(Math.max(...boxes.map((box) => (h * from.h) / box.h)), from.h)
    }
  }

  /**
   * A frame snapped to the grid or to other boxes, whichever is switched on.
   * @param {Frame} frame
   * @param {Handle | 'move'} handle
   * @param {Box[]} others
   * @param {Size} minimum
   */
  snapped(frame, handle, others, minimum = this.editor.minimum) {
    const { host, gridStep, surface } = this.editor
    if (host.preference('snap')) return snappedToGrid(frame, handle, gridStep, minimum)
    if (!host.preference('guides')) return frame
    const result = aligned(frame, handle, others, surface.fractions(SNAP_PX), minimum)
    this.guides = result.guides
    return result.frame
  }

  /** @param {PointerEvent} event */
  onUp(event) {
    this.editor.zoom.end(event)
    if (!this.gesture) return
    event.stopPropagation()
    const { editor } = this
    const { state } = editor
    if (this.gesture.started) this.apply()
    const { draft } = state
    const { kind, started, frame, click } = this.gesture
    this.end()
    const { w, h } = editor.minimum
    if (!started) {
      if (kind === 'draw' || kind === 'marquee') editor.select([], false)
      else if (click && (state.selection.length > 1 || click !== state.selection[0])) editor.select([click])
    } else if (kind === 'marquee') editor.select(state.selection)
    else if (kind === 'draw' && frame && frame.w >= w && frame.h >= h) editor.actions.addBox(frame)
    else if (draft) editor.record(draft)
    editor.render()
  }

  /** @param {PointerEvent} event of a pointer that is gone */
  onLost(event) {
    this.editor.zoom.end(event)
    this.cancel()
  }

  /** Cancels the gesture: the layout stays as it was before. */
  cancel() {
    if (!this.gesture) return
    this.end()
    this.editor.render()
  }

  end() {
    this.gesture = null
    this.editor.state.draft = null
    this.guides = []
    this.editor.surface.showMarquee(null)
  }

  /** @param {MouseEvent} event */
  onDoubleClick(event) {
    const { state, surface, inline } = this.editor
    if (surface.unseen) return
    const at = surface.point(event)
    const under = boxesAt(state.layout, at.x, at.y)
    const id = under.find((each) => state.selection.includes(each)) ?? under[0]
    if (id) inline.open(id)
  }
}
