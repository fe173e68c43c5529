// @ts-check
// What the user must know about the layout: an unreadable text, what was repaired, and linked boxes.

import { emptyLayout } from '../layout_state.js'
import { element, setHidden, textButton } from './dom.js'
import { explained, t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

export class Notices {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.error = element('div', { class: 'ifa-notice', role: 'alert', hidden: true })
    this.remarkText = element('span')
    this.remark = element(
      'div',
      { class: 'ifa-remark', role: 'status', hidden: true },
      this.remarkText,
      textButton(t('Dismiss'), () => editor.tell([]))
    )
    this.takeOver = textButton(t('Edit them here'), () => editor.actions.takeOver())
    this.link = element(
      'div',
      { class: 'ifa-link', role: 'status', hidden: true },
      t(
        'The boxes come from a linked input. The boxes drawn here only give their descriptions, ' +
          'in the same order.'
      ),
      ' ',
      this.takeOver
    )
    this.size = element('div', { class: 'ifa-size', role: 'status', hidden: true })
    this.text = element(
      'div',
      { class: 'ifa-size', role: 'status', hidden: true },
      t('The layout comes from a link: a run does not use what is drawn here.')
    )
    this.roots = [this.text, this.error, this.remark, this.link, this.size]
  }

  render() {
    const { state, host } = this.editor
    setHidden(this.remark, state.notices.length === 0)
    this.remarkText.textContent = state.notices.join(' ')
    this.renderError()
    this.renderSize()
    setHidden(this.text, !host.textLinked())
    setHidden(this.link, !host.linked())
    if (this.link.hidden) return
    const known = this.editor.linkedBoxes() !== null
    this.takeOver.disabled = !known
    this.takeOver.title = known
      ? t('Copy the linked boxes into the editor and remove the link')
      : t('Run the workflow once to load the linked boxes')
  }

  /** A linked size that only a run computes. */
  renderSize() {
    const { known } = this.editor.host.canvas()
    setHidden(this.size, known === 'set')
    this.size.textContent =
      known === 'run'
        ? t('The size of the picture comes from a link: shown as in the last run.')
        : t('The size of the picture comes from a link. Run the workflow once to see it here.')
  }

  renderError() {
    const { unreadable, failure } = this.editor.state
    setHidden(this.error, !unreadable && !failure)
    if (!unreadable) return this.error.replaceChildren(explained(failure ?? ''))
    const edit = textButton(t('Show the text'), () => this.editor.panel.toggle('exchange'))
    const start = textButton(t('Start an empty layout'), () => this.editor.record(emptyLayout()))
    this.error.replaceChildren(explained(unreadable.message), element('div', {}, edit, start))
  }
}
