// @ts-check
// Icons of the buttons: paths in a square of 16 x 16.

import { label, svgElement } from './dom.js'

export const ICONS = {
  add: 'M8 2v12M2 8h12',
  full: 'M2 2h12v12H2z',
  undo: 'M6 3 2.5 6.5 6 10M3 6.5h6.5a4 4 0 0 1 0 8H6',
  redo: 'M10 3l3.5 3.5L10 10M13 6.5H6.5a4 4 0 0 0 0 8H10',
  copy: 'M5 5h9v9H5zM11 5V2H2v9h3',
  remove: 'M3 4h10M6 4V2h4v2M4.5 4l.7 10h5.6l.7-10',
  grid: 'M2 2h12v12H2zM6 2v12M10 2v12M2 6h12M2 10h12',
  guides: 'M8 1v14M3 4h10M5 12h6',
  thirds: 'M2 2h12v12H2zM2 2l12 12M14 2 2 14',
  picture: 'M2 3h12v10H2zM2 11l4-4 3 3 2-2 3 3',
  exchange: 'M5 2v9M2 8l3 3 3-3M11 14V5M8 8l3-3 3 3',
  star: 'M3 2h10v12l-5-4-5 4z',
  size: 'M2 4h12v8H2zM5 8h6M5 8l1.5-1.5M5 8l1.5 1.5M11 8 9.5 6.5M11 8 9.5 9.5',
  preview: 'M2 2h12v12H2zM6.5 5.5v5l4-2.5z',
  zoom: 'M7 2a5 5 0 1 1 0 10A5 5 0 0 1 7 2zM11 11l3.5 3.5',
  expand: 'M2 6V2h4M10 2h4v4M14 10v4h-4M6 14H2v-4',
  eye: 'M1 8s2.5-5 7-5 7 5 7 5-2.5 5-7 5-7-5-7-5zM8 6a2 2 0 1 1 0 4 2 2 0 0 1 0-4',
  hidden: 'M1 8s2.5-5 7-5 7 5 7 5-2.5 5-7 5-7-5-7-5zM2 14 14 2',
  lock: 'M3 7h10v7H3zM5 7V5a3 3 0 0 1 6 0v2',
  unlock: 'M3 7h10v7H3zM5 7V5a3 3 0 0 1 5.8-1',
  up: 'M3 10l5-5 5 5',
  down: 'M3 6l5 5 5-5',
  grip: 'M5 4h6M5 8h6M5 12h6',
  left: 'M2 1v14M4 4h9v3H4zM4 9h5v3H4z',
  centre: 'M8 1v14M3 4h10v3H3zM5 9h6v3H5z',
  right: 'M14 1v14M3 4h9v3H3zM7 9h5v3H7z',
  top: 'M1 2h14M4 4h3v9H4zM9 4h3v5H9z',
  middle: 'M1 8h14M4 3h3v10H4zM9 5h3v6H9z',
  bottom: 'M1 14h14M4 3h3v9H4zM9 7h3v5H9z',
  acrossGaps: 'M2 2v12M14 2v12M6.5 4h3v8h-3z',
  downGaps: 'M2 2h12M2 14h12M4 6.5h8v3H4z',
  close: 'M3 3l10 10M13 3 3 13'
}

/** @typedef {keyof typeof ICONS} IconName */

/** @param {IconName} name */
export function icon(name) {
  const path = svgElement('path', { d: ICONS[name] })
  return svgElement('svg', { viewBox: '0 0 16 16', 'aria-hidden': 'true', class: 'ifa-icon' }, path)
}

/**
 * @param {HTMLElement} button with an icon
 * @param {IconName} name of its icon
 * @param {boolean} pressed
 * @param {string} text
 */
export function setToggle(button, name, pressed, text) {
  label(button, text)
  button.setAttribute('aria-pressed', String(pressed))
  button.querySelector('path')?.setAttribute('d', ICONS[name])
}
