// @ts-check
// Boxes on the clipboard, as JSON.

import { readLayout, serialize } from '../layout_formats.js'
import * as geometry from '../layout_geometry.js'
import * as model from '../layout_model.js'
import { messageOf } from './dom.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

/** @type {string | null} */
let copied = null // shared by all editors of the page: pages without https cannot read the clipboard

export class Clipboard {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
  }

  /**
   * Takes files that are dropped anywhere on the editor: beside the picture, ComfyUI would open them in
   * place of the workflow.
   * @param {HTMLElement} root
   */
  attach(root) {
    root.addEventListener('dragover', (event) => this.onDragOver(event))
    root.addEventListener('drop', (event) => this.onDrop(event))
  }

  /** @param {ClipboardEvent} event copy, cut or paste */
  on(event) {
    if (event.type === 'paste') this.paste(event.clipboardData?.getData('text/plain') || copied)
    else if (this.copy(event.clipboardData) && event.type === 'cut') this.editor.actions.removeSelected()
  }

  /**
   * @param {DataTransfer | null} data
   * @returns {boolean} whether boxes were copied
   */
  copy(data) {
    const boxes = this.editor.state.selected
    if (!boxes.length) return false
    copied = serialize({ caption: '', boxes })
    data?.setData('text/plain', copied)
    this.editor.announce(
      boxes.length === 1 ? t('Box copied') : t('{count} boxes copied', { count: boxes.length })
    )
    return true
  }

  /**
   * Takes a text as the whole layout. Its pixels are read again if the size of the picture arrives later.
   * @param {string} text
   * @param {import('../layout_model.js').Layout} layout
   * @param {string[]} notices
   */
  takeWhole(text, layout, notices) {
    const { state, host } = this.editor
    this.editor.record(layout)
    state.given = { value: text, canvas: host.canvas(), units: host.units(), pinned: false }
    this.editor.tell(notices)
    this.editor.announce(t('{count} boxes', { count: layout.boxes.length }))
  }

  /** @param {DragEvent} event */
  onDragOver(event) {
    if (!event.dataTransfer?.types.includes('Files')) return
    event.preventDefault() // allows the drop
    event.stopPropagation()
  }

  /**
   * A dropped picture becomes the background, a dropped text is pasted.
   * @param {DragEvent} event
   */
  async onDrop(event) {
    const file = event.dataTransfer?.files[0]
    if (!file) return
    event.preventDefault()
    event.stopPropagation()
    if (file.type.startsWith('image/')) {
      this.editor.host.preference('background', true)
      this.editor.host.preference('live', false)
      this.editor.setBackground(URL.createObjectURL(file))
      if (this.editor.host.background())
        this.editor.flash(t('The linked background stays in front of the dropped picture.'))
    } else if (file.type === 'application/json' || /\.(json|txt)$/i.test(file.name))
      this.paste(await file.text())
    else this.editor.flash(t('Drop a picture, or a layout as JSON.'))
  }

  /** @param {string | null} text */
  paste(text) {
    if (!text) return
    const { editor } = this
    const { state, host } = editor
    try {
      const { layout: read, notices } = readLayout(text, host.canvas(), host.units())
      if (!state.layout.boxes.length && !state.layout.caption) return this.takeWhole(text, read, notices)
      const taken = new Set(state.layout.boxes.map(frameKey))
      const shifted = besides(read.boxes, taken, editor.copyOffset)
      const { layout, ids } = model.add(state.layout, shifted)
      const { caption } = read
      if (caption && layout.caption && caption !== layout.caption)
        notices.push(t('The global caption stays; the pasted one was left out: {caption}', { caption }))
      editor.record({ ...layout, caption: layout.caption || caption })
      editor.tell(notices)
      editor.select(ids)
    } catch (error) {
      editor.flash(messageOf(error))
    }
  }
}

/**
 * Boxes moved together until none covers another one exactly.
 * @param {model.Box[]} boxes
 * @param {Set<string>} taken keys of the other frames
 * @param {geometry.Point} step
 */
function besides(boxes, taken, { x, y }) {
  let at = boxes
  while (at.some((box) => taken.has(frameKey(box)))) {
    const next = at.map((box) => geometry.moved(box, x, y))
    if (next.every((box, index) => frameKey(box) === frameKey(at[index]))) break // in the corner
    at = next
  }
  return at
}

/**
 * A key that is equal for frames at the same position with the same size.
 * @param {geometry.Frame} frame
 */
function frameKey({ x, y, w, h }) {
  return [x, y, w, h].map((value) => value.toFixed(4)).join(' ')
}
