// Reads the layout texts of a file with the editor's reader, for comparison with Python's.
// node read_layouts.js TEXTS: a JSON list of texts. Prints one result for each, as JSON.

import { readFileSync } from 'node:fs'

import { LayoutError, readLayout } from '../../web/layout_formats.js'

const CANVAS = { width: 1000, height: 500 }

function read(text) {
  try {
    const { layout, notices } = readLayout(text, CANVAS)
    const boxes = layout.boxes.filter((box) => !box.hidden)
    return {
      caption: layout.caption,
      boxes: boxes.map(({ x, y, w, h }) => [x, y, x + w, y + h]),
      descriptions: boxes.map((box) => box.caption),
      strengths: boxes.map((box) => box.strength),
      notices: notices.filter((notice) => !notice.startsWith('Left out of'))
    }
  } catch (error) {
    return error instanceof LayoutError ? { error: error.message } : { crash: error.stack }
  }
}

console.log(JSON.stringify(JSON.parse(readFileSync(process.argv[2], 'utf-8')).map(read)))
