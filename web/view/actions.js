// @ts-check
// What buttons, keys and menus do to the layout.

import { alignedTo, distributed } from '../layout_align.js'
import * as geometry from '../layout_geometry.js'
import * as model from '../layout_model.js'
import { messageOf } from './dom.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../layout_geometry.js').Frame} Frame */
/** @typedef {import('../layout_model.js').Box} Box */

export class Actions {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
  }

  get state() {
    return this.editor.state
  }

  /**
   * The result of a change, or null with a message if the layout does not allow it.
   * @template T
   * @param {() => T} act
   */
  attempt(act) {
    try {
      return act()
    } catch (error) {
      this.editor.flash(messageOf(error))
      return null
    }
  }

  /** Adds a box and opens its description for typing. */
  addBox(frame = model.freePlace(this.state.layout)) {
    const added = this.attempt(() => model.add(this.state.layout, [frame]))
    if (!added) return
    this.editor.record(added.layout)
    this.editor.select(added.ids)
    this.editor.inline.open(added.ids[0])
  }

  duplicate() {
    const { layout, selection } = this.state
    if (!selection.length) return
    const added = this.attempt(() => model.duplicate(layout, selection, this.editor.copyOffset))
    if (!added) return
    this.editor.record(added.layout)
    this.editor.select(added.ids)
  }

  removeSelected() {
    const count = this.state.selection.length
    if (!count) return
    this.editor.record(model.remove(this.state.layout, this.state.selection))
    this.editor.announce(count === 1 ? t('Box deleted') : t('{count} boxes deleted', { count }))
  }

  selectAll() {
    this.editor.select(model.visible(this.state.layout).map((box) => box.id))
  }

  undo() {
    this.editor.gestures.cancel()
    this.state.undo()
    this.afterHistory(t('Undo'))
  }

  redo() {
    this.state.redo()
    this.afterHistory(t('Redo'))
  }

  /** @param {string} announcement */
  afterHistory(announcement) {
    this.editor.host.changed()
    this.editor.host.committed()
    this.editor.render()
    this.editor.announce(announcement)
  }

  /**
   * @param {string[]} ids
   * @param {(box: Box) => Partial<Box>} edit
   * @param {string | null} key of the history step
   */
  change(ids, edit, key = null) {
    this.editor.record(model.change(this.state.layout, ids, edit), key)
  }

  /**
   * @param {string} id
   * @param {string} caption
   */
  setCaption(id, caption) {
    this.change([id], () => ({ caption }), `caption ${id}`)
  }

  /** @param {model.DepthMove} where */
  depth(where, ids = this.state.selection) {
    if (!ids.length) return
    this.editor.record(model.reorder(this.state.layout, ids, where))
    if (this.state.active) this.editor.announce(this.editor.describe(this.state.active.id))
  }

  /** Locks the selected boxes, or unlocks them if all are locked. */
  lockSelected() {
    const boxes = this.state.selected
    if (!boxes.length) return
    const locked = boxes.some((box) => !box.locked)
    this.change(this.state.selection, () => ({ locked }))
  }

  /** Stretches the selected boxes over the width of the picture. */
  fullWidth() {
    const ids = this.state.unlocked(this.state.selection).map((box) => box.id)
    if (ids.length) this.change(ids, () => ({ x: 0, w: 1 }))
  }

  /** @param {import('../layout_align.js').Alignment} where */
  align(where) {
    const boxes = this.state.unlocked(this.state.selection)
    if (boxes.length < 2) return
    const group = geometry.bounds(boxes)
    this.change(
      boxes.map((box) => box.id),
      (box) => alignedTo(box, group, where)
    )
  }

  /** @param {'x' | 'y'} axis */
  distribute(axis) {
    const boxes = this.state.unlocked(this.state.selection)
    if (boxes.length < 3) return
    const moved = new Map(distributed(boxes, axis).map((box) => [box.id, box]))
    this.change([...moved.keys()], (box) => ({ [axis]: moved.get(box.id)?.[axis] ?? box[axis] }))
  }

  /**
   * Moves the selected boxes.
   * @param {number} dx in pixels of the picture
   * @param {number} dy in pixels of the picture
   */
  nudge(dx, dy) {
    const { width, height } = this.editor.host.canvas()
    const free = this.state.unlocked(this.state.selection)
    if (!free.length) return
    const from = geometry.bounds(free)
    const to = geometry.moved(from, dx / width, dy / height)
    this.transform(free, from, to, `nudge ${free.map((box) => box.id)}`)
  }

  /**
   * Moves the right and lower sides of the active box.
   * @param {number} dx in pixels of the picture
   * @param {number} dy in pixels of the picture
   */
  stretch(dx, dy) {
    const { width, height } = this.editor.host.canvas()
    const free = this.state.unlocked(this.state.selection.slice(-1))
    if (!free.length) return
    const from = geometry.bounds(free)
    const to = geometry.resized(from, 'se', dx / width, dy / height, this.editor.minimum)
    this.transform(free, from, to, `stretch ${free[0].id}`)
  }

  /**
   * Moves and scales boxes as a group.
   * @param {Box[]} boxes
   * @param {Frame} from the group's bounds before
   * @param {Frame} to the group's bounds after
   * @param {string} key of the history step
   */
  transform(boxes, from, to, key) {
    const ids = boxes.map((box) => box.id)
    this.change(ids, (box) => geometry.clamp(geometry.movedWithGroup(box, from, to)), key)
    this.editor.host.committed()
    if (ids.length === 1) this.editor.announce(this.editor.describe(ids[0]))
  }

  /** Shows the layout as a run understands it, or hides that. */
  async preview() {
    if (this.editor.host.ownership()) return this.editor.host.dropOwnership()
    try {
      await this.editor.host.preview()
    } catch (error) {
      this.editor.fail(messageOf(error))
    }
  }

  /** Replaces the drawn boxes by the linked ones and removes the link. */
  takeOver() {
    const boxes = this.editor.linkedBoxes()
    if (!boxes) return
    this.editor.host.unlink()
    this.editor.record(model.takenOver(this.state.layout, boxes))
  }

  /** Copies the layout of the linked text into the editor, where it counts from now on. */
  takeOverText() {
    this.editor.record(this.state.shown)
  }

  /** Lets the linked text count again. */
  useText() {
    this.editor.gestures.cancel()
    this.state.useLink()
    this.afterHistory(t('The linked text counts again'))
  }
}
