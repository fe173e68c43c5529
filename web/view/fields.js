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
    this.edited = '' // id of the box whose numbers are edited: a click may select another one meanwhile
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
      x: this.pixelField('x', t('left')),
      y: this.pixelField('y', t('top')),
      w: this.pixelField('w', t('width')),
      h: this.pixelField('h', t('height'))
    }
    this.strength = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '0',
      max: String(MAX_STRENGTH),
      step: '0.05',
      'aria-label': t('strength of the box'),
      title: t('Strength of the adapter in this box: 1 as trained, 0 off'),
      onchange: () => this.setStrength(),
      ...this.listeners()
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

  /**
   * @param {keyof geometry.Frame} key
   * @param {string} name
   */
  pixelField(key, name) {
    return element('input', {
      type: 'number',
      class: 'ifa-number',
      step: '1',
      'aria-label': t('{name} of the box in pixels', { name }),
      title: t('{name} in pixels', { name }),
      onchange: () => this.setNumber(key),
      ...this.listeners()
    })
  }

  /** Listeners of all number fields. @returns {import('./dom.js').Attributes} */
  listeners() {
    return {
      onfocus: () => (this.edited = this.editor.state.active?.id ?? ''),
      onblur: () => this.render(this.editor.state.layout),
      onkeydown: (event) => event.key === 'Escape' && this.restore()
    }
  }

  /** @param {Layout} layout */
  render(layout) {
    setText(this.global, layout.caption)
    setHidden(this.align, this.editor.state.selection.length < 2)
    const box = this.editor.state.active
    this.exact.classList.toggle('ifa-off', !box)
    for (const key of geometry.SIDES) {
      const input = this.numbers[key]
      input.disabled = !box || box.locked
      if (document.activeElement !== input || !box) input.value = this.shown(key)
    }
    this.strength.disabled = !box
    if (document.activeElement !== this.strength || !box) this.strength.value = this.shown('strength')
  }

  /**
   * What a number field shows of the active box.
   * @param {keyof geometry.Frame | 'strength'} key
   */
  shown(key) {
    const box = this.editor.state.active
    if (!box) return ''
    return String(key === 'strength' ? box.strength : geometry.toPixels(box, this.editor.host.canvas())[key])
  }

  /** Shows the numbers of the active box again. */
  restore() {
    for (const key of geometry.SIDES) this.numbers[key].value = this.shown(key)
    this.strength.value = this.shown('strength')
  }

  /** The box whose numbers are edited. */
  get box() {
    return this.editor.state.layout.boxes.find(({ id }) => id === this.edited)
  }

  /**
   * Takes one number of the exact position or size. The others stay as they are. Without a number, nothing
   * changes.
   * @param {keyof geometry.Frame} key
   */
  setNumber(key) {
    const { editor, box } = this
    const input = this.numbers[key]
    const canvas = editor.host.canvas()
    const given = Math.round(Number(input.value))
    if (box && input.value !== '' && given !== geometry.toPixels(box, canvas)[key]) {
      const frame = geometry.withPixels(box, key, given, canvas)
      const value = geometry.toPixels(frame, canvas)[key]
      editor.actions.change([box.id], () => frame)
      if (given !== value) editor.flash(t('Set to {value}: the box stays inside the picture.', { value }))
    }
    input.value = this.shown(key)
  }

  /** Takes the strength. Without a number, nothing changes. */
  setStrength() {
    const { editor, box, strength: input } = this
    const given = Number(input.value)
    if (box && input.value !== '' && given !== box.strength) {
      const strength = geometry.between(given, 0, MAX_STRENGTH)
      const values = { value: strength, most: MAX_STRENGTH }
      editor.actions.change([box.id], () => ({ strength }))
      if (given !== strength) editor.flash(t('Set to {value}: strengths are 0 to {most}.', values))
    }
    input.value = this.shown('strength')
  }
}
