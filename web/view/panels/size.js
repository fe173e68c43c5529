// @ts-check
// The panel of the picture's size: exact numbers, and the sizes that SDXL was trained on.

import { element, textButton } from '../dom.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('./panel.js').PanelContent} PanelContent */

const SDXL_SIZES = [
  [1024, 1024],
  [1152, 896],
  [1216, 832],
  [1344, 768],
  [1536, 640],
  [896, 1152],
  [832, 1216],
  [768, 1344],
  [640, 1536]
]
const ICON_PX = 18 // longer side of the shape on a button
const STEP_PX = 8

/**
 * @param {LayoutEditor} editor
 * @returns {PanelContent}
 */
export function sizePanel(editor) {
  const now = editor.host.canvas()
  /** @param {string} name @param {number} value */
  const field = (name, value) =>
    element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '64',
      max: '16384',
      step: String(STEP_PX),
      value: String(value),
      'aria-label': name
    })
  const width = field(t('Width of the picture'), now.width)
  const height = field(t('Height of the picture'), now.height)
  /** @param {number} w @param {number} h */
  const take = (w, h) => {
    if (!(w > 0 && h > 0)) return editor.flash(t('Give a width and a height in pixels.'))
    const refused = editor.host.setCanvas({ width: w, height: h })
    editor.panel.close()
    editor.canvasChanged()
    if (refused) editor.flash(t('The size comes from a link: change it there.'))
  }
  const set = () => take(Number(width.value), Number(height.value))
  const buttons = SDXL_SIZES.map(([w, h]) => {
    const button = textButton(`${w} x ${h}`, () => take(w, h))
    const longer = Math.max(w, h)
    const shape = element('span', { class: 'ifa-shape', 'aria-hidden': 'true' })
    Object.assign(shape.style, {
      width: `${(w / longer) * ICON_PX}px`,
      height: `${(h / longer) * ICON_PX}px`
    })
    button.prepend(shape)
    button.setAttribute('aria-pressed', String(w === now.width && h === now.height))
    return button
  })
  const body = element(
    'div',
    { class: 'ifa-panel-body' },
    element('div', { class: 'ifa-preset' }, width, ' x ', height, textButton(t('Use this size'), set)),
    element('p', {}, t('Sizes that SDXL was trained on. The boxes keep their proportions.')),
    element('div', { class: 'ifa-sizes' }, ...buttons)
  )
  return { title: t('Size of the picture'), body, first: width, enter: set }
}
