// @ts-check
// The panel of named layouts.

import { parse, serialize } from '../../layout_formats.js'
import { element, messageOf, textButton } from '../dom.js'
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
    element('div', { class: 'ifa-preset' }, name, button)
  )
  return { title: t('Presets'), body, first: name, enter: () => attempt(save) }
}
