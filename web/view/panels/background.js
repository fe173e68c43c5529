// @ts-check
// The panel of the background picture.

import { element, textButton } from '../dom.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('./panel.js').PanelContent} PanelContent */

/**
 * @param {LayoutEditor} editor
 * @returns {PanelContent}
 */
export function backgroundPanel(editor) {
  const { host } = editor
  /** @param {string} name of a preference */
  const checkbox = (name) => {
    /** @type {HTMLInputElement} */
    const box = element('input', {
      type: 'checkbox',
      onchange: () => editor.setPreference(name, box.checked)
    })
    box.checked = Boolean(host.preference(name))
    return box
  }
  /** @param {string} name of a preference @param {[number, number, number]} range low, high, step */
  const slider = (name, [min, max, step]) => {
    /** @type {HTMLInputElement} */
    const range = element('input', {
      type: 'range',
      min: String(min),
      max: String(max),
      step: String(step),
      oninput: () => editor.setPreference(name, Number(range.value))
    })
    range.value = String(host.preference(name))
    return range
  }
  const takeLast = () => {
    const url = editor.results.picture
    if (url) editor.setBackground(url)
    else editor.flash(t('There is no result in this session yet.'))
  }
  const show = checkbox('background')
  const body = element(
    'div',
    { class: 'ifa-panel-body' },
    element(
      'p',
      {},
      t(
        'The picture linked to "background" is shown behind the boxes. Without a link, the editor can show ' +
          'the ' +
          'pictures of a run. The background does not affect the result.'
      )
    ),
    element('label', {}, show, ' ', t('Show the background')),
    element('label', {}, checkbox('live'), ' ', t('Follow the run: its previews, then its result')),
    element('label', {}, t('Brightness'), ' ', slider('dim', [0.1, 1, 0.05])),
    element(
      'div',
      {},
      textButton(t('Use the last result'), takeLast),
      textButton(t('Remove'), () => editor.setBackground(null))
    ),
    element('label', {}, t('Opacity of the boxes'), ' ', slider('fill', [0, 0.8, 0.02])),
    element('label', {}, t('Size of the words in the boxes'), ' ', slider('words', [8, 28, 1]))
  )
  return { title: t('Background picture'), body, first: show }
}
