// @ts-check
// The global caption, and the exact numbers of the active box.

import * as geometry from '../layout_geometry.js'
import { element, newElementId, setHidden, setText } from './dom.js'
import { icon } from './icons.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../layout_model.js').Layout} Layout */

const MAX_STRENGTH = 3

export class Fields {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    /** @type {HTMLTextAreaElement} */
    this.global = element('textarea', {
      class: 'ifa-text',
      rows: 2,
      dir: 'auto',
      placeholder: t('The whole picture: "a cat and a teapot on a wooden table"'),
      'aria-label': t('Global caption: the whole picture'),
      oninput: () => editor.record({ ...editor.state.layout, caption: this.global.value }, 'global caption'),
      onblur: () => editor.closeStep()
    })
    this.global.id = newElementId()
    const label = element('label', { class: 'ifa-label', for: this.global.id }, t('Global caption'))
    this.caption = [label, this.global]
    this.numbers = {
      x: this.pixelField(t('left')),
      y: this.pixelField(t('top')),
      w: this.pixelField(t('width')),
      h: this.pixelField(t('height'))
    }
    this.strength = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '0',
      max: String(MAX_STRENGTH),
      step: '0.05',
      'aria-label': t('strength of the box'),
      title: t('Strength of the adapter in this box: 1 as trained, 0 off'),
      onchange: () => this.setStrength()
    })
    this.align = this.makeAlign()
    const pairs = Object.entries({
      X: this.numbers.x,
      Y: this.numbers.y,
      W: this.numbers.w,
      H: this.numbers.h
    })
    this.exact = element(
      'div',
      { class: 'ifa-exact', role: 'group', 'aria-label': t('Exact position and size of the active box') },
      ...[...pairs, /** @type {const} */ ([t('strength'), this.strength])].map(([name, input]) =>
        element('span', { class: 'ifa-pair' }, element('span', { 'aria-hidden': 'true' }, name), input)
      )
    )
  }

  /** Buttons for several boxes. */
  makeAlign() {
    const { actions } = this.editor
    /** @type {[import('./icons.js').IconName, string, () => void][]} */
    const buttons = [
      ['left', t('Align left'), () => actions.align('left')],
      ['centre', t('Align centres'), () => actions.align('centre')],
      ['right', t('Align right'), () => actions.align('right')],
      ['top', t('Align top'), () => actions.align('top')],
      ['middle', t('Align middles'), () => actions.align('middle')],
      ['bottom', t('Align bottom'), () => actions.align('bottom')],
      ['acrossGaps', t('Equal gaps across'), () => actions.distribute('x')],
      ['downGaps', t('Equal gaps down'), () => actions.distribute('y')]
    ]
    return element(
      'div',
      { class: 'ifa-align', role: 'group', 'aria-label': t('Align the selected boxes'), hidden: true },
      ...buttons.map(([name, title, act]) =>
        element(
          'button',
          { type: 'button', class: 'ifa-small', title, 'aria-label': title, onclick: act },
          icon(name)
        )
      )
    )
  }

  /** @param {string} name */
  pixelField(name) {
    return element('input', {
      type: 'number',
      class: 'ifa-number',
      step: '1',
      'aria-label': t('{name} of the box in pixels', { name }),
      title: t('{name} in pixels', { name }),
      onchange: () => this.setNumbers()
    })
  }

  /** @param {Layout} layout */
  render(layout) {
    setText(this.global, layout.caption)
    setHidden(this.align, this.editor.state.selection.length < 2)
    const box = this.editor.state.active
    this.exact.classList.toggle('ifa-off', !box)
    const pixels = box ? geometry.toPixels(box, this.editor.host.canvas()) : null
    for (const key of /** @type {const} */ (['x', 'y', 'w', 'h'])) {
      const input = this.numbers[key]
      input.disabled = !box || box.locked
      if (document.activeElement !== input || !box) input.value = pixels ? String(pixels[key]) : ''
    }
    this.strength.disabled = !box
    if (document.activeElement !== this.strength || !box)
      this.strength.value = box ? String(box.strength) : ''
  }

  /** Takes the exact position and size from the number fields. */
  setNumbers() {
    const box = this.editor.state.active
    if (!box) return
    /** @param {HTMLInputElement} input */
    const number = (input) => Math.round(Number(input.value)) || 0
    const { x, y, w, h } = this.numbers
    const pixels = { x: number(x), y: number(y), w: Math.max(number(w), 1), h: Math.max(number(h), 1) }
    const frame = geometry.clamp(geometry.fromPixels(pixels, this.editor.host.canvas()))
    this.editor.actions.change([box.id], () => frame)
    this.render(this.editor.state.layout)
  }

  setStrength() {
    const box = this.editor.state.active
    if (!box) return
    const strength = Math.min(Math.max(Number(this.strength.value) || 0, 0), MAX_STRENGTH)
    this.editor.actions.change([box.id], () => ({ strength }))
  }
}
