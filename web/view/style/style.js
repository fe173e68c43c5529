// @ts-check
// The styles of the editor. Colours are those of the host's theme.

import { FRAME_STYLE } from './frame.js'
import { SIDE_STYLE } from './side.js'
import { SURFACE_STYLE } from './surface.js'

export const STYLE = FRAME_STYLE + SURFACE_STYLE + SIDE_STYLE
