// @ts-check
// The one focus policy. Keys are handled at the editor's root. An invisible text field over the picture holds
// the focus whenever no field of the editor needs it: ComfyUI disables its own shortcuts while a text field
// has the focus. Buttons give the focus back to it.

import { element } from './dom.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */

const TEXT_COMMANDS = ['a', 'c', 'v', 'x', 'y', 'z'] // with Ctrl in a text field
const OWN_KEYS_OF = { BUTTON: ['Enter', ' '], SELECT: [], INPUT: ['Enter', ' '] }
const KEYLESS_TYPES = ['button', 'checkbox', 'color', 'file', 'range'] // inputs in which nothing is typed

export class Focus {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.sink = element('textarea', {
      class: 'ifa-keys',
      readOnly: true,
      tabIndex: 0,
      'data-testid': 'ifa-keys',
      'aria-label': t(
        'Layout canvas. Tab selects the next box, arrow keys move it, Alt with arrow keys resizes it, ' +
          'Enter edits its description, brackets change its depth, Delete removes it.'
      ),
      onfocus: () => editor.root.classList.add('ifa-focused'),
      onblur: () => {
        editor.root.classList.remove('ifa-focused')
        editor.zoom.hold(false)
      }
    })
  }

  /**
   * Listens at the editor's root.
   * @param {HTMLElement} root
   */
  attach(root) {
    root.tabIndex = -1 // a click beside all fields focuses the root, also one on a disabled button
    root.addEventListener('focus', () => this.toPicture())
    root.addEventListener('keydown', (event) => this.onKey(event))
    root.addEventListener('keyup', (event) => event.key === ' ' && this.editor.zoom.hold(false))
    root.addEventListener('click', (event) => this.onClick(event))
    for (const name of /** @type {const} */ (['copy', 'cut', 'paste']))
      root.addEventListener(name, (event) => this.onClipboard(event))
  }

  toPicture() {
    this.sink.focus({ preventScroll: true })
  }

  /** Returns the focus to the picture unless a field of the editor has it. */
  release() {
    const { activeElement } = document
    if (
      activeElement === null ||
      activeElement === document.body ||
      activeElement.matches('.ifa-editor, .ifa-editor button')
    )
      this.toPicture()
  }

  /** @param {MouseEvent} event */
  onClick(event) {
    const button = /** @type {Element} */ (event.target).closest?.('button')
    if (!button || this.editor.panel.contains(button) || this.editor.menu.root.contains(button)) return
    const byKey = event.detail === 0
    if (byKey && document.activeElement === button && !button.disabled) return
    this.release()
  }

  /** @param {KeyboardEvent} event */
  onKey(event) {
    const target = /** @type {HTMLElement} */ (event.target)
    const command = event.ctrlKey || event.metaKey
    if (event.isComposing) return event.stopPropagation() // an input method uses the key
    if (event.key === 'Enter' && command) return // ComfyUI: runs the graph
    if (event.key === 'Escape') return this.editor.keys.escape(event)
    if (this.editor.state.draft) return perform(event, () => {}) // a drag would undo what the key does
    // ComfyUI takes Ctrl+Z, C and V before any element unless a text field has the focus.
    if (event.key === 'Control' || event.key === 'Meta') {
      if (target.matches('input, textarea')) return
      if (this.editor.panel.contains(target)) this.editor.panel.focus()
      else this.toPicture()
      return
    }
    if (target !== this.sink && isTextField(target)) {
      const act = this.fieldAction(target, event)
      if (act) return perform(event, act)
      if (!command || TEXT_COMMANDS.includes(event.key.toLowerCase())) event.stopPropagation()
      return
    }
    if (target instanceof HTMLInputElement && this.editor.panel.contains(target)) {
      const act = this.editor.panel.action(event)
      if (act) return perform(event, act)
    }
    if (target !== this.sink && this.belongsTo(target, event.key)) return event.stopPropagation()
    const act = this.editor.keys.action(event)
    if (!act) {
      if (!command && !event.altKey && !isPassedOn(event.key)) event.stopPropagation()
      return
    }
    perform(event, act)
  }

  /**
   * What a key does in a text field beside typing, or null.
   * @param {HTMLElement} target
   * @param {KeyboardEvent} event
   */
  fieldAction(target, event) {
    const { inline, panel } = this.editor
    if (target === inline.root) return inline.action(event)
    return panel.contains(target) ? panel.action(event) : null
  }

  /**
   * Whether a key acts on the element that has the focus, which is no text field.
   * @param {HTMLElement} target
   * @param {string} key
   */
  belongsTo(target, key) {
    if (key === 'Tab' || this.editor.panel.contains(target)) return true
    if (target.matches('input[type=range]') && key.startsWith('Arrow')) return true
    return /** @type {Record<string, string[]>} */ (OWN_KEYS_OF)[target.tagName]?.includes(key) ?? false
  }

  /** @param {ClipboardEvent} event */
  onClipboard(event) {
    const target = /** @type {HTMLElement} */ (event.target)
    event.stopPropagation()
    if (target !== this.sink && (isTextField(target) || this.editor.panel.contains(target))) return
    event.preventDefault()
    this.editor.clipboard.on(event)
  }
}

/**
 * @param {KeyboardEvent} event
 * @param {() => unknown} act
 */
function perform(event, act) {
  event.preventDefault()
  event.stopPropagation()
  act()
}

/** @param {HTMLElement} target */
function isTextField(target) {
  if (target instanceof HTMLInputElement) return !KEYLESS_TYPES.includes(target.type)
  return target.matches('textarea, select')
}

/**
 * Keys of the browser that no element of the editor uses.
 * @param {string} key
 */
function isPassedOn(key) {
  return /^F\d+$/.test(key)
}
