// @ts-check
// The panel of one box in the last result: its crop, large, against the run before.

import { element, textButton } from '../dom.js'
import { showCrop, showMark } from '../results.js'
import { t } from '../strings.js'

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('./panel.js').PanelContent} PanelContent */

const SIDE_PX = 380 // the longest side of the crop

/**
 * @param {LayoutEditor} editor
 * @returns {PanelContent}
 */
export function resultPanel(editor) {
  const { results, state, host } = editor
  const boxes = state.layout.boxes
  const number = boxes.findIndex((box) => box.id === results.id) + 1
  const box = boxes[number - 1]
  const earlier = results.crop(results.id, true)
  const crop = results.isBefore && earlier ? earlier : results.crop(results.id)
  const large = element('div', {
    class: 'ifa-large',
    role: 'img',
    'aria-label': t('Box {number} in the result', { number })
  })
  if (crop) {
    const { width, height } = host.canvas()
    const [w, h] = [crop.frame.w * width, crop.frame.h * height]
    const scale = SIDE_PX / Math.max(w, h)
    Object.assign(large.style, { width: `${w * scale}px`, aspectRatio: `${w} / ${h}` })
    showCrop(large, crop)
  }
  const mark = element('span')
  const verdict = box ? results.markOf(box) : null
  showMark(mark, verdict, true)
  /** @param {string} text @param {boolean} isBefore */
  const choice = (text, isBefore) => {
    const button = textButton(text, () => {
      results.isBefore = isBefore
      editor.panel.refresh()
      editor.panel.focus()
    })
    button.setAttribute('aria-pressed', String(results.isBefore === isBefore))
    if (isBefore) button.disabled = !earlier
    return button
  }
  const after = choice(t('After'), false)
  const before = choice(t('Before'), true)
  const body = element(
    'div',
    { class: 'ifa-panel-body' },
    large,
    element('div', { class: 'ifa-preset' }, before, after, mark),
    element('p', { dir: 'auto' }, box?.caption ?? ''),
    element('p', { dir: 'auto', hidden: !verdict?.seen }, t('Seen: {seen}', { seen: verdict?.seen ?? '' }))
  )
  return {
    title: t('Box {number} in the result', { number }),
    body,
    first: results.isBefore || !earlier ? after : before
  }
}
