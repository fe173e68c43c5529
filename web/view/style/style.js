// @ts-check
// The styles of the editor. Colours are those of the host's theme.

import { FRAME_STYLE } from './frame.js'
import { SIDE_STYLE } from './side.js'
import { SURFACE_STYLE } from './surface.js'

/** @type {CSSStyleSheet | null} */
let sheet = null // of all editors of the page: each would otherwise restyle the whole page

/** Adds the styles to the page, once. */
export function useStyle() {
  if (sheet) return
  sheet = new CSSStyleSheet()
  sheet.replaceSync(FRAME_STYLE + SURFACE_STYLE + SIDE_STYLE)
  document.adoptedStyleSheets = [...document.adoptedStyleSheets, sheet]
}
