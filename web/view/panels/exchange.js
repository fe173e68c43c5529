// @ts-check
// The panel of import and export.

import { readLayout, serialize, toElements, toRelease } from '../../layout_formats.js'
import { element, messageOf, textButton } from '../dom.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('./panel.js').PanelContent} PanelContent */

const KEEP_URL_MS = 1000

/**
 * @param {LayoutEditor} editor
 * @returns {PanelContent}
 */
export function exchangePanel(editor) {
  const { state, host } = editor
  /** @type {Record<string, () => string>} */
  const formats = {
    'This pack': () => JSON.stringify(JSON.parse(serialize(state.layout)), null, 2),
    "IFAdapter's release": () => toRelease(state.layout, host.canvas()),
    "ComfyUI's box elements": () => toElements(state.layout)
  }
  const text = element('textarea', {
    class: 'ifa-text ifa-code',
    rows: 8,
    spellcheck: 'false',
    'aria-label': t('The layout as JSON')
  })
  let shown = state.unreadable ? state.unreadable.text : formats['This pack']()
  text.value = shown
  const problem = element('div', { class: 'ifa-notice', role: 'alert', hidden: true })
  /** @param {string} message */
  const refuse = (message) => {
    problem.textContent = message
    problem.hidden = false
  }
  let chosen = 'This pack'
  /** Shows the layout in another format, unless the text was changed. */
  const exportAs = () => {
    if (text.value !== shown) {
      format.value = chosen
      return refuse(t('The text is yours and stays: its format is recognised. Close the panel to export.'))
    }
    chosen = format.value
    text.value = shown = formats[chosen]()
  }
  /** @type {HTMLSelectElement} */
  const format = element(
    'select',
    { 'aria-label': t('Format'), onchange: exportAs },
    ...Object.keys(formats).map((name) => element('option', { value: name }, t(name)))
  )
  /** @param {string} given */
  const take = (given) => {
    try {
      const units = host.units()
      const canvas = host.canvas()
      const { layout, notices } = readLayout(given, canvas, units)
      editor.panel.close()
      editor.record(layout)
      state.given = { value: given, canvas, units, pinned: false }
      editor.tell(notices)
      editor.flash(
        t('{count} boxes imported. Undo restores the previous layout.', { count: layout.boxes.length })
      )
    } catch (error) {
      refuse(messageOf(error))
    }
  }
  /** @type {HTMLInputElement} */
  const file = element('input', {
    type: 'file',
    accept: '.json,application/json',
    hidden: true,
    onchange: async () => file.files?.[0] && take(await file.files[0].text())
  })
  const buttons = [
    textButton(t('Use this text'), () => take(text.value)),
    textButton(t('Open a file'), () => file.click()),
    textButton(t('Copy'), () => copy(editor, text)),
    textButton(t('Save as a file'), () => saveFile('layout.json', text.value))
  ]
  const body = element(
    'div',
    { class: 'ifa-panel-body' },
    element('label', {}, t('Format'), ' ', format),
    text,
    problem,
    element('div', {}, ...buttons),
    file
  )
  return { title: t('Import and export'), body, first: text }
}

/**
 * @param {LayoutEditor} editor
 * @param {HTMLTextAreaElement} field
 */
async function copy(editor, field) {
  field.select()
  try {
    await navigator.clipboard.writeText(field.value)
  } catch {
    document.execCommand('copy') // the only clipboard of pages without https
  }
  editor.flash(t('Copied.'))
}

/**
 * @param {string} name
 * @param {string} text of JSON
 */
function saveFile(name, text) {
  const url = URL.createObjectURL(new Blob([text], { type: 'application/json' }))
  element('a', { href: url, download: name }).click()
  setTimeout(() => URL.revokeObjectURL(url), KEEP_URL_MS)
}
