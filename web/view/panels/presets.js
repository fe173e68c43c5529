// @ts-check
// The panel of named layouts.

import { COLORS, add } from '../../layout_model.js'
import { emptyLayout } from '../../layout_state.js'
import { STARTERS } from '../../layout_starters.js'
import { parse, serialize } from '../../layout_formats.js'
import { element, messageOf, svgElement, textButton } from '../dom.js'
import { icon } from '../icons.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('./panel.js').PanelContent} PanelContent */

/**
 * @param {LayoutEditor} editor
 * @returns {PanelContent}
 */
export function presetsPanel(editor) {
  const { presets } = editor.host
  const names = element('div', { class: 'ifa-presets' })
  const name = element('input', {
    type: 'text',
    class: 'ifa-text',
    placeholder: t('Name of this layout'),
    'aria-label': t('Name of this layout')
  })
  /** Runs an action and shows its error. @param {() => Promise<void>} act */
  const attempt = async (act) => {
    try {
      await act()
    } catch (error) {
      editor.flash(messageOf(error))
    }
  }
  /** @type {string | null} */
  let pending = null // the irreversible action that was asked for once
  /**
   * Whether this action is asked for the second time in a row.
   * @param {string} action
   * @param {string} question for the first time
   */
  const confirmed = (action, question) => {
    const again = pending === action
    pending = again ? null : action
    if (!again) editor.flash(question)
    return again
  }
  /** @param {string} preset */
  const load = async (preset) => {
    const layout = parse(await presets.load(preset), editor.host.canvas())
    editor.panel.close()
    editor.record(layout)
  }
  /** @param {string} preset */
  const remove = async (preset) => {
    if (!confirmed(`delete ${preset}`, t('Press again to delete {preset}.', { preset }))) return
    await presets.remove(preset)
    await show()
  }
  /** @param {string} preset */
  const row = (preset) => {
    const title = t('Delete the preset {preset}', { preset })
    const attributes = { type: 'button', class: 'ifa-small', 'aria-label': title, title }
    return element(
      'div',
      { class: 'ifa-preset' },
      textButton(preset, () => attempt(() => load(preset))),
      element('button', { ...attributes, onclick: () => attempt(() => remove(preset)) }, icon('remove'))
    )
  }
  const show = async () => {
    const known = await presets.list()
    names.replaceChildren(...(known.length ? known.map(row) : [t('No presets yet.')]))
  }
  const save = async () => {
    const chosen = name.value.trim()
    if (!chosen) throw new Error(t('Give the preset a name first.'))
    const known = await presets.list()
    const question = t('The preset {preset} exists. Press again to replace it.', { preset: chosen })
    if (known.includes(chosen) && !confirmed(`replace ${chosen}`, question)) return
    await presets.save(chosen, serialize(editor.state.layout))
    name.value = ''
    await show()
  }
  attempt(show)
  const button = textButton(t('Save'), () => attempt(save))
  const body = element(
    'div',
    { class: 'ifa-panel-body' },
    names,
    element('div', { class: 'ifa-preset' }, name, button),
    element('p', {}, t('Layouts to start from. Undo restores the previous layout.')),
    element('div', { class: 'ifa-starters' }, ...STARTERS.map((starter) => starterButton(editor, starter)))
  )
  return { title: t('Presets'), body, first: name, enter: () => attempt(save) }
}

/**
 * A button with a picture of a layout to start from.
 * @param {LayoutEditor} editor
 * @param {import('../../layout_starters.js').Starter} starter
 */
function starterButton(editor, { name, caption, boxes }) {
  const rectangles = boxes.map(({ x, y, w, h }, index) => {
    const colour = COLORS[index % COLORS.length]
    const frame = { x: 64 * x + 1, y: 64 * y + 1, width: 64 * w - 2, height: 64 * h - 2 }
    return svgElement('rect', { ...frame, fill: `${colour}40`, stroke: colour })
  })
  const picture = svgElement('svg', { viewBox: '0 0 64 64', 'aria-hidden': 'true' }, ...rectangles)
  const start = () => {
    editor.panel.close()
    editor.record(add({ ...emptyLayout(), caption }, boxes).layout)
  }
  return element('button', { type: 'button', class: 'ifa-starter', onclick: start }, picture, t(name))
}
