// @ts-check
// Makes and updates elements of the page.

import { explained } from './strings.js'

/** @typedef {import('../layout_geometry.js').Frame} Frame */

/**
 * Attributes, properties and event listeners of an element.
 * @typedef {{
 *   [K in keyof HTMLElementEventMap as `on${K}`]?: (event: HTMLElementEventMap[K]) => unknown
 * } & Record<string, unknown>} Attributes
 */

/** @typedef {{ shown?: unknown[] }} Shown elements, with the values they show */

/**
 * Creates an HTML element. Strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} name
 * @param {Attributes} attributes
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function element(name, attributes = {}, ...children) {
  const made = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) made.addEventListener(key.slice(2), /** @type {EventListener} */ (value))
    else if (key in made && typeof value !== 'string') Object.assign(made, { [key]: value })
    else if (value !== false && value !== null && value !== undefined)
      made.setAttribute(key, value === true ? '' : String(value))
  }
  made.append(...children)
  return made
}

/**
 * Creates an SVG element.
 * @template {keyof SVGElementTagNameMap} K
 * @param {K} name
 * @param {Record<string, string | number>} attributes
 * @param {...Node} children
 * @returns {SVGElementTagNameMap[K]}
 */
export function svgElement(name, attributes, ...children) {
  const made = document.createElementNS('http://www.w3.org/2000/svg', name)
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, String(value))
  made.append(...children)
  return made
}

let made = 0 // ids

/** A new id for an element of the page. */
export function newElementId() {
  made += 1
  return `ifa-${made}`
}

/**
 * Removes the elements of boxes that no longer exist.
 * @param {Map<string, { root: HTMLElement }>} parts by id
 * @param {Set<string>} known ids
 */
export function dropGone(parts, known) {
  for (const [id, { root }] of parts) {
    if (known.has(id)) continue
    root.remove()
    parts.delete(id)
  }
}

/**
 * Whether elements already show these values; records that they do from now on.
 * @param {Shown} parts
 * @param {...unknown} values
 */
export function isShown(parts, ...values) {
  const same = parts.shown?.every((value, index) => value === values[index]) ?? false
  parts.shown = values
  return same
}

/**
 * Puts an element over a frame of the surface.
 * @param {HTMLElement} part
 * @param {Frame} frame
 */
export function place(part, { x, y, w, h }) {
  Object.assign(part.style, {
    left: `${x * 100}%`,
    top: `${y * 100}%`,
    width: `${w * 100}%`,
    height: `${h * 100}%`
  })
}

/**
 * @param {string} text
 * @param {() => unknown} act
 */
export function textButton(text, act) {
  return element('button', { type: 'button', class: 'ifa-text-button', onclick: act }, text)
}

/** @param {unknown} error */
export function messageOf(error) {
  return explained(error instanceof Error ? error.message : String(error))
}

/**
 * Sets a field's text. Leaves an equal text alone, so that the cursor stays.
 * @param {HTMLTextAreaElement} field
 * @param {string} text
 */
export function setText(field, text) {
  if (field.value !== text) field.value = text
}

/**
 * Shows or hides an element. Writes only a change: each write makes the browser compute styles again.
 * @param {HTMLElement} part
 * @param {boolean} hidden
 */
export function setHidden(part, hidden) {
  if (part.hidden !== hidden) part.hidden = hidden
}

/**
 * @param {HTMLElement} button
 * @param {string} text
 */
export function label(button, text) {
  if (button.title === text) return
  button.setAttribute('aria-label', text)
  button.title = text
}
