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
    this.linkText = element('span')
    this.link = element(
      'div',
      { class: 'ifa-link', role: 'status', hidden: true },
      this.linkText,
      ' ',
      this.takeOver
    )
    this.countsText = element('span')
    /** @type {string | undefined} */
    this.shownHash = undefined // of the linked text
    this.takeText = textButton(t('Take over'), () => editor.actions.takeOverText())
    this.useText = textButton(t('Use the linked text'), () => editor.actions.useText())
    this.counts = element(
      'div',
      { class: 'ifa-counts', role: 'status', hidden: true },
      this.countsText,
      ' ',
      this.takeText,
      this.useText
    )
    this.size = element('div', { class: 'ifa-size', role: 'status', hidden: true })
    this.text = element(
      'div',
      { class: 'ifa-size', role: 'status', hidden: true },
      t('The layout comes from a link: a run does not use what is drawn here.')
    )
    this.roots = [this.text, this.counts, this.error, this.remark, this.link, this.size]
  }

  render() {
    const { state, host } = this.editor
    setHidden(this.remark, state.notices.length === 0)
    this.remarkText.textContent = state.notices.join(' ')
    this.renderError()
    this.renderSize()
    this.renderCounts()
    setHidden(this.text, !host.textLinked())
    setHidden(this.link, !host.linked())
    if (this.link.hidden) return
    this.linkText.textContent =
      state.link.winner
        ? t('The boxes come from a linked input. The linked text only gives their descriptions, in order.')
        : t(
            'The boxes come from a linked input. The boxes drawn here only give their descriptions, ' +
              'in the same order.'
          )
    const known = this.editor.linkedBoxes() !== null
    this.takeOver.disabled = !known
    this.takeOver.title = known
      ? t('Copy the linked boxes into the editor and remove the link')
      : t('Run the workflow once to load the linked boxes')
  }

  /** Which layout counts, if a layout text is linked. */
  renderCounts() {
    const { host, state } = this.editor
    const { unreadable } = state
    const { counts, reading } = state.link
    const isNew = this.shownHash !== reading?.hash
    this.shownHash = reading?.hash
    if (isNew) host.dropOwnership() // the preview of another text
    setHidden(this.counts, counts === 'none')
    setHidden(this.takeText, counts !== 'linked' || unreadable !== null || host.textLinked())
    setHidden(this.useText, counts !== 'taken')
    if (!this.counts.hidden) this.countsText.textContent = countsWords(counts, unreadable !== null)
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

/**
 * @param {import('../linked_text.js').Counts} counts
 * @param {boolean} isUnreadable
 */
function countsWords(counts, isUnreadable) {
  if (counts === 'unknown')
    return t('The layout comes from a linked text, not from what is drawn here. A run shows it.')
  if (counts === 'taken') return t('The layout drawn here counts, until the link brings another text.')
  if (counts === 'absent') return t('The last run got no text from the link: the layout drawn here counted.')
  if (isUnreadable) return t('The linked text counts, but it cannot be read. A change here replaces it.')
  return t('The layout of the linked text counts. Take it over to edit it; any change here does so, too.')
}
