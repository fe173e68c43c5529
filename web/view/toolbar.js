// @ts-check
// The toolbar.

import { MAX_BOXES } from '../layout_model.js'
import { element, setHidden } from './dom.js'
import { icon, setToggle } from './icons.js'
import { t } from './strings.js'

/** @typedef {import('./editor.js').LayoutEditor} LayoutEditor */
/** @typedef {import('../layout_model.js').Layout} Layout */
/** @typedef {import('./icons.js').IconName} IconName */

const DEFAULT_GRID_PX = 64
const WHOLE = { x: 0, y: 0, w: 1, h: 1 }

/** @param {IconName} name @param {string} label @param {() => unknown} act */
function button(name, label, act) {
  const attributes = {
    type: 'button',
    class: 'ifa-button',
    title: label,
    'aria-label': label,
    'data-tool': name
  }
  return element('button', { ...attributes, onclick: act }, icon(name))
}

export class Toolbar {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    const { actions } = editor
    /** @param {'background' | 'presets' | 'exchange' | 'size'} name */
    const panel = (name) => () => editor.panel.toggle(name)
    this.add = button('add', t('Add a box'), () => actions.addBox())
    this.add.classList.add('ifa-add')
    this.add.append(t('Add'))
    this.full = button('full', t('Add a box that fills the picture'), () => actions.addBox(WHOLE))
    this.undo = button('undo', t('Undo (Ctrl+Z)'), () => actions.undo())
    this.redo = button('redo', t('Redo (Ctrl+Shift+Z)'), () => actions.redo())
    this.copy = button('copy', t('Duplicate the selected boxes (Ctrl+D)'), () => actions.duplicate())
    this.remove = button('remove', t('Delete the selected boxes (Del)'), () => actions.removeSelected())
    this.grid = this.toggle('grid', t('Snap to the grid'), 'snap')
    this.guides = this.toggle('guides', t('Snap to other boxes'), 'guides')
    this.thirds = this.toggle('thirds', t('Composition lines: thirds, centre, diagonals'), 'thirds')
    this.gridSize = this.makeGridSize()
    this.eye = button('eye', '', () => editor.surface.toggleBoxes())
    const picture = button('picture', t('Background picture'), panel('background'))
    const size = button('size', t('Size of the picture'), panel('size'))
    const star = button('star', t('Presets: named layouts'), panel('presets'))
    const exchange = button('exchange', t('Import and export'), panel('exchange'))
    this.preview = button('preview', t('Preview the layout, without sampling'), () => actions.preview())
    this.zoom = button('zoom', t('Zoom: Ctrl with the wheel, Space to move. A click: all or 100 %'), () =>
      editor.zoom.toggle()
    )
    this.percent = element('span')
    this.zoom.append(this.percent)
    this.expand = button('expand', t('Full screen (Esc leaves it)'), () => editor.fullScreen.toggle())
    const gap = () => element('span', { class: 'ifa-gap' })
    this.root = element(
      'div',
      { class: 'ifa-toolbar', role: 'toolbar', 'aria-label': t('Layout tools') },
      ...[this.add, this.full, gap(), this.undo, this.redo, this.copy, this.remove, gap()],
      ...[this.grid, this.gridSize, this.guides, this.thirds, this.eye, picture, size, gap()],
      ...[this.preview, star, exchange, this.zoom, this.expand]
    )
  }

  /** @param {IconName} name @param {string} label @param {string} preference */
  toggle(name, label, preference) {
    const { editor } = this
    return button(name, label, () => editor.setPreference(preference, !editor.host.preference(preference)))
  }

  makeGridSize() {
    /** @type {HTMLInputElement} */
    const field = element('input', {
      type: 'number',
      class: 'ifa-number',
      min: '2',
      max: '1024',
      step: '1',
      title: t('Grid size in pixels'),
      'aria-label': t('Grid size in pixels'),
      onchange: () =>
        this.editor.setPreference('grid', Math.max(2, Math.round(Number(field.value)) || DEFAULT_GRID_PX))
    })
    return field
  }

  renderZoom() {
    this.percent.textContent = `${Math.round(this.editor.zoom.scale * 100)} %`
  }

  /** @param {Layout} layout */
  render(layout) {
    const { state, host } = this.editor
    this.undo.disabled = !state.canUndo
    this.redo.disabled = !state.canRedo
    this.copy.disabled = this.remove.disabled = state.selection.length === 0
    for (const [tool, preference] of /** @type {const} */ ([
      [this.grid, 'snap'],
      [this.guides, 'guides'],
      [this.thirds, 'thirds']
    ]))
      tool.setAttribute('aria-pressed', String(Boolean(host.preference(preference))))
    this.preview.setAttribute('aria-pressed', String(host.ownership() !== null))
    const { unseen } = this.editor.surface
    const eye = unseen ? t('Show the boxes') : t('Look at the picture without the boxes (the run keeps them)')
    setToggle(this.eye, unseen ? 'hidden' : 'eye', unseen, eye)
    setHidden(this.gridSize, !host.preference('snap'))
    if (document.activeElement !== this.gridSize) this.gridSize.value = String(this.editor.gridPx)
    this.add.disabled = this.full.disabled = layout.boxes.length >= MAX_BOXES
  }
}
