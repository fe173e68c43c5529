// @ts-check
// The boxes on the surface, and the hatched areas where they overlap.

import { HANDLES, intersection } from '../../layout_geometry.js'
import { overlappingPairs } from '../../layout_hits.js'
import * as model from '../../layout_model.js'
import { dropGone, element, isShown, newElementId, place } from '../dom.js'
import { showMark } from '../results.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../../layout_model.js').Layout} Layout */
/**
 * Elements of a box.
 * @typedef {import('../dom.js').Shown & {
 *   root: HTMLElement, number: HTMLElement, words: HTMLElement, mark: HTMLElement
 * }} BoxParts
 */

export class Boxes {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {Map<string, BoxParts>} */
    this.parts = new Map() // by id
    /** @type {Map<string, import('../dom.js').Shown & { root: HTMLElement }>} */
    this.hatches = new Map() // by the ids of the two boxes
    this.root = element('div', {
      class: 'ifa-boxes',
      role: 'listbox',
      'aria-label': t('Boxes, back to front'),
      'aria-multiselectable': 'true'
    })
    this.overlaps = element('div', { class: 'ifa-boxes ifa-overlaps', 'aria-hidden': 'true' })
  }

  /** @param {Layout} layout */
  render(layout) {
    dropGone(this.parts, new Set(layout.boxes.map((box) => box.id)))
    const { selection, faultyBox } = this.editor.state
    const { width, height } = this.editor.host.canvas()
    layout.boxes.forEach((box, index) => {
      const parts = this.parts.get(box.id) ?? this.makeBox(box.id)
      const selected = selection.includes(box.id)
      const mark = this.editor.results.markOf(box)
      const faulty = faultyBox === index + 1
      if (isShown(parts, box, index, selected, selection.at(-1) === box.id, width, height, faulty, mark))
        return
      const { root, number, words } = parts
      root.className = 'ifa-box'
      root.classList.toggle('ifa-selected', selected)
      root.classList.toggle('ifa-active', selection.at(-1) === box.id)
      root.classList.toggle('ifa-locked', box.locked)
      root.classList.toggle('ifa-empty', model.isBlank(box.caption))
      root.classList.toggle('ifa-faulty', faulty)
      root.hidden = box.hidden
      place(root, box)
      root.style.zIndex = String(index + 1 + (selected ? model.MAX_BOXES : 0))
      root.style.setProperty('--box', box.color)
      root.setAttribute('aria-selected', String(selected))
      root.setAttribute('aria-label', model.describe(layout, box.id, { width, height }, t))
      showMark(parts.mark, mark, false)
      number.textContent = String(index + 1)
      words.textContent = model.isBlank(box.caption) ? t('no caption') : box.caption.trim()
    })
    const active = this.parts.get(selection.at(-1) ?? '')?.root.id ?? ''
    for (const part of [this.root, this.editor.focus.sink]) {
      if (active) part.setAttribute('aria-activedescendant', active)
      else part.removeAttribute('aria-activedescendant')
    }
    this.renderOverlaps(layout)
  }

  /** @param {string} id */
  makeBox(id) {
    const number = element('span', { class: 'ifa-number-tag' })
    const words = element('span', { class: 'ifa-words', dir: 'auto' })
    const handles = HANDLES.map((handle) =>
      element('span', { class: `ifa-handle ifa-${handle}`, 'data-handle': handle, 'aria-hidden': 'true' })
    )
    const mark = element('span')
    const attributes = { id: newElementId(), role: 'option', 'data-box': id }
    const root = element('div', attributes, number, mark, words, ...handles)
    this.root.append(root)
    /** @type {BoxParts} */
    const parts = { root, number, words, mark }
    this.parts.set(id, parts)
    return parts
  }

  /** @param {Layout} layout */
  renderOverlaps(layout) {
    const frames = new Map(
      overlappingPairs(layout).map(([a, b]) => {
        const [back, front] = [layout.boxes[a], layout.boxes[b]]
        return [`${back.id} ${front.id}`, intersection(back, front)]
      })
    )
    dropGone(this.hatches, new Set(frames.keys()))
    for (const [pair, frame] of frames) {
      const hatch = this.hatches.get(pair) ?? this.makeHatch(pair)
      if (!isShown(hatch, frame.x, frame.y, frame.w, frame.h)) place(hatch.root, frame)
    }
  }

  /** @param {string} pair the ids of the two boxes */
  makeHatch(pair) {
    /** @type {import('../dom.js').Shown & { root: HTMLElement }} */
    const hatch = { root: element('div', { class: 'ifa-overlap' }) }
    this.overlaps.append(hatch.root)
    this.hatches.set(pair, hatch)
    return hatch
  }
}
