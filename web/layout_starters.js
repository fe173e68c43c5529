// @ts-check
// Layouts to start from. Their words are examples, to be replaced.

/** @typedef {import('./layout_geometry.js').Frame} Frame */
/** @typedef {{ name: string, caption: string, boxes: (Frame & { caption: string })[] }} Starter */

/**
 * @param {number} x
 * @param {number} y
 * @param {number} w
 * @param {number} h
 * @param {string} caption
 */
const box = (x, y, w, h, caption) => ({ x, y, w, h, caption })

/** @type {Starter[]} */
export const STARTERS = [
  {
    name: 'Two portraits',
    caption: 'two people side by side, studio photo',
    boxes: [
      box(0.04, 0.12, 0.44, 0.86, 'a young woman with short red hair and a dark green coat'),
      box(0.52, 0.08, 0.44, 0.9, 'an old man with a white beard and a yellow raincoat')
    ]
  },
  {
    name: 'Product and hand',
    caption: 'an advertising photo on a plain background',
    boxes: [
      box(0.36, 0.14, 0.28, 0.56, 'a frosted glass perfume bottle with a brass cap'),
      box(0.3, 0.5, 0.66, 0.48, 'a hand with silver rings, seen from the side')
    ]
  },
  {
    name: 'Foreground and background',
    caption: 'a wide landscape at dusk',
    boxes: [
      box(0, 0, 1, 0.62, 'snowy mountains under pink clouds'),
      box(0.12, 0.42, 0.36, 0.54, 'a hiker with an orange backpack, seen from behind')
    ]
  },
  {
    name: 'Grid of four',
    caption: 'four objects on a white table, seen from above',
    boxes: [
      box(0.04, 0.04, 0.44, 0.44, 'a ripe red apple with a leaf'),
      box(0.52, 0.04, 0.44, 0.44, 'a blue enamel cup with chipped edges'),
      box(0.04, 0.52, 0.44, 0.44, 'a folded striped napkin'),
      box(0.52, 0.52, 0.44, 0.44, 'a small brass bell')
    ]
  },
  {
    name: 'Comic panels',
    caption: 'a comic page with three panels, ink and flat colours',
    boxes: [
      box(0.03, 0.03, 0.94, 0.4, 'a city street in the rain at night'),
      box(0.03, 0.46, 0.46, 0.51, 'a detective in a grey hat, close up'),
      box(0.51, 0.46, 0.46, 0.51, 'a black cat on a window sill')
    ]
  },
  {
    name: 'Centre and sides',
    caption: 'a stage with three performers',
    boxes: [
      box(0.34, 0.1, 0.32, 0.86, 'a singer in a silver dress'),
      box(0.03, 0.28, 0.28, 0.68, 'a guitarist in a leather jacket'),
      box(0.69, 0.28, 0.28, 0.68, 'a drummer behind a red drum kit')
    ]
  },
  {
    name: 'Still life',
    caption: 'a still life on a wooden table by a window',
    boxes: [
      box(0.06, 0.14, 0.36, 0.58, 'a tall blue vase with white herons'),
      box(0.38, 0.44, 0.3, 0.38, 'a glazed green teapot with a bamboo handle'),
      box(0.62, 0.56, 0.34, 0.32, 'a striped bowl of ripe plums')
    ]
  },
  {
    name: 'Rule of thirds',
    caption: 'a calm lake in the morning',
    boxes: [
      box(0.56, 0.3, 0.22, 0.42, 'a wooden boat with a red sail'),
      box(0, 0.62, 1, 0.38, 'still dark water with reflections')
    ]
  },
  {
    name: 'Person and animal',
    caption: 'a farm yard in summer',
    boxes: [
      box(0.08, 0.08, 0.4, 0.9, 'a girl in blue overalls and a straw hat'),
      box(0.5, 0.4, 0.46, 0.58, 'a brown goat with curved horns')
    ]
  }
]
