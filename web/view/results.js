// @ts-check
// What a run made of each box: the crop of its picture, and whether it was found right.

import { visible } from '../layout_model.js'
import { element, setHidden, textButton } from './dom.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../layout_geometry.js').Frame} Frame */
/** @typedef {import('../layout_model.js').Box} Box */
/** @typedef {import('../layout_model.js').Layout} Layout */

/**
 * The verdict about an instance. box: its number among the instances of the run, from 1. image: its number in
 * the batch, from 0. seen: what was found there, in words.
 * @typedef {{ box: number, mark: 'right' | 'wrong' | 'missing', image?: number, seen?: string }} Mark
 */
/** @typedef {{ url: string, frame: Frame }} Crop */
/**
 * Results of the last run and of the one before. linked: boxes that replaced the layout's, as JSON.
 * @typedef {{ pictures: string[], before: string[], layout: Layout | null, marks: Mark[] }} RunPictures
 */

const SIGNS = { right: '\u2713', wrong: '\u2717', missing: '?' }

/** @param {Mark['mark']} mark */
export function markWord(mark) {
  return { right: t('right'), wrong: t('wrong'), missing: t('not found') }[mark]
}

/**
 * A small label with a verdict; empty without one.
 * @param {HTMLElement} part
 * @param {Mark | null} mark
 * @param {boolean} words instead of a sign
 */
export function showMark(part, mark, words) {
  setHidden(part, mark === null)
  part.className = `ifa-mark ifa-mark-${mark?.mark ?? ''}`
  part.textContent = mark ? (words ? markWord(mark.mark) : SIGNS[mark.mark]) : ''
  part.title = mark?.seen ? t('Seen: {seen}', { seen: mark.seen }) : ''
}

/**
 * Shows a part of a picture as the background of an element.
 * @param {HTMLElement} part
 * @param {Crop} crop
 */
export function showCrop(part, { url, frame }) {
  const { x, y, w, h } = frame
  Object.assign(part.style, {
    backgroundImage: `url("${url.replaceAll('"', '%22')}")`,
    backgroundSize: `${100 / w}% ${100 / h}%`,
    backgroundPosition: `${w < 1 ? (100 * x) / (1 - w) : 0}% ${h < 1 ? (100 * y) / (1 - h) : 0}%`
  })
}

export class Results {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.index = 0 // of the chosen image of a batch
    /** @type {string | null} */
    this.shown = null // URL of the first picture of the run that `index` belongs to
    this.id = '' // of the box that the panel shows
    this.isBefore = false // the panel shows the run before
    this.count = element('span', { class: 'ifa-note' })
    this.root = element(
      'div',
      { class: 'ifa-batch', hidden: true, role: 'group', 'aria-label': t('Image of the batch') },
      textButton('\u2039', () => this.choose(this.index - 1)),
      this.count,
      textButton('\u203a', () => this.choose(this.index + 1))
    )
    this.root.firstElementChild?.setAttribute('aria-label', t('Previous image'))
    this.root.lastElementChild?.setAttribute('aria-label', t('Next image'))
  }

  get run() {
    return this.editor.host.results()
  }

  /** @param {number} index of an image of the batch, cyclically */
  choose(index) {
    const count = this.run.pictures.length
    this.index = (index + count) % count
    this.editor.render()
  }

  render() {
    const { pictures } = this.run
    if (this.shown !== (pictures[0] ?? null)) {
      this.shown = pictures[0] ?? null
      this.index = 0
    }
    setHidden(this.root, pictures.length < 2)
    this.count.textContent = t('image {number} of {count}', {
      number: this.index + 1,
      count: pictures.length
    })
    if (this.editor.panel.isShowing('result')) this.editor.panel.refresh()
  }

  /** The URL of the chosen picture of the last run, or null. */
  get picture() {
    return this.run.pictures[this.index] ?? null
  }

  /**
   * The part of the last result, or of the one before, in which a box was.
   * @param {string} id
   * @param {boolean} before
   * @returns {Crop | null}
   */
  crop(id, before = false) {
    const { pictures, before: earlier } = this.run
    const url = (before ? earlier : pictures)[this.index] ?? (before ? (earlier[0] ?? null) : null)
    const box = this.sent(id)
    if (!url || !box || box.hidden) return null
    return { url, frame: this.frameOf(box) }
  }

  /**
   * A box as it was in the last run.
   * @param {string} id
   */
  sent(id) {
    return this.run.layout?.boxes.find((box) => box.id === id) ?? null
  }

  /**
   * Where a box was in the last run: at the linked box in its place, if boxes were linked.
   * @param {Box} box
   * @returns {Frame}
   */
  frameOf(box) {
    const linked = this.editor.linkedBoxes()
    const { layout } = this.run
    return (linked && layout && linked[visible(layout).findIndex(({ id }) => id === box.id)]) || box
  }

  /**
   * The verdict about a box as it is now, or null.
   * @param {Box} box
   * @returns {Mark | null}
   */
  markOf(box) {
    const { marks, layout } = this.run
    const sent = this.sent(box.id)
    if (!marks.length || !layout || !sent || sent.caption !== box.caption) return null
    if (['x', 'y', 'w', 'h'].some((key) => sent[/** @type {'x'} */ (key)] !== box[/** @type {'x'} */ (key)]))
      return null
    const number = visible(layout).findIndex(({ id }) => id === box.id) + 1
    return marks.find((mark) => mark.box === number && (mark.image ?? 0) === this.index) ?? null
  }

  /**
   * Shows the crop of a box in a panel.
   * @param {string} id
   */
  open(id) {
    this.id = id
    this.isBefore = false
    this.editor.panel.open('result')
  }
}
