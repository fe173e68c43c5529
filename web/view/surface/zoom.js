// @ts-check
// Zoom and pan of the surface in its stage.

/** @typedef {import('../editor.js').LayoutEditor} LayoutEditor */

const MOST = 40 // times the fitted size
const WHEEL_STEP = 0.002 // of the logarithm of the zoom, for each pixel of the wheel
const EDGE_PX = 3 // space around the fitted surface, for its outline
const COARSE_EDGE_PX = 30 // and for the handles outside of the boxes

export class Zoom {
  /** @param {LayoutEditor} editor */
  constructor(editor) {
    this.editor = editor
    this.factor = 1 // of the fitted size
    this.fitted = 0 // CSS pixels for one pixel of the picture, when the whole picture is shown
    this.x = 0 // of the surface's centre, from the stage's, in px
    this.y = 0
    this.spaceHeld = false
    /** @param {WheelEvent} event */
    this.takeWheel = (event) => {
      const isOver = editor.surface.stage.contains(/** @type {Node} */ (event.target))
      if (isOver && (event.ctrlKey || event.metaKey)) this.onWheel(event)
    }
    /** @type {{ from: [number, number], x: number, y: number } | null} */
    this.pan = null
    /** @type {Map<number, [number, number]>} */
    this.fingers = new Map() // touching the surface, by pointer id
    /** @type {{ distance: number, factor: number } | null} */
    this.pinch = null
  }

  /**
   * Listens at the stage. Ctrl and the wheel are taken at the window while the pointer is over the stage:
   * Nodes 2.0 takes them before they reach any element of a node.
   * @param {HTMLElement} stage
   */
  attach(stage) {
    stage.addEventListener('pointerenter', () =>
      window.addEventListener('wheel', this.takeWheel, { capture: true, passive: false })
    )
    stage.addEventListener('pointerleave', () => this.detach())
  }

  detach() {
    window.removeEventListener('wheel', this.takeWheel, { capture: true })
  }

  /** CSS pixels for one pixel of the picture. */
  get scale() {
    return this.fitted * this.factor
  }

  /** Applies the zoom to the surface, which stays within reach. */
  apply() {
    const { surface, host } = this.editor
    const { width, height } = host.canvas()
    const { clientWidth, clientHeight } = surface.stage
    if (!clientWidth || !clientHeight) return
    const edge = 2 * (matchMedia('(pointer: coarse)').matches ? COARSE_EDGE_PX : EDGE_PX)
    this.fitted = Math.max(Math.min((clientWidth - edge) / width, (clientHeight - edge) / height), 0)
    const [w, h] = [width * this.scale, height * this.scale]
    const reach = { x: Math.max(w - clientWidth, 0) / 2, y: Math.max(h - clientHeight, 0) / 2 }
    this.x = Math.min(Math.max(this.x, -reach.x), reach.x)
    this.y = Math.min(Math.max(this.y, -reach.y), reach.y)
    Object.assign(surface.root.style, {
      width: `${w}px`,
      height: `${h}px`,
      translate: `${this.x}px ${this.y}px`
    })
  }

  /**
   * @param {number} factor of the fitted size
   * @param {[number, number]} [at] client pixels of the point that stays where it is; the middle without it
   */
  to(factor, at) {
    const next = Math.min(Math.max(factor, 1), MOST)
    const [x, y] = at ? this.fromCentre(at) : [0, 0]
    const ratio = next / this.factor
    this.x = x - (x - this.x) * ratio
    this.y = y - (y - this.y) * ratio
    this.factor = next
    this.apply()
    this.editor.toolbar.renderZoom()
  }

  /** Shows the whole picture, or its pixels one to one if it is shown whole. */
  toggle() {
    this.to(this.factor === 1 && this.fitted ? 1 / this.fitted : 1)
  }

  /**
   * A point of the page from the stage's centre, in the stage's pixels.
   * @param {[number, number]} at client pixels
   * @returns {[number, number]}
   */
  fromCentre([x, y]) {
    const { stage } = this.editor.surface
    const area = stage.getBoundingClientRect()
    const zoomed = area.width / stage.clientWidth || 1 // the graph may be zoomed
    return [(x - area.left - area.width / 2) / zoomed, (y - area.top - area.height / 2) / zoomed]
  }

  /**
   * The wheel zooms with Ctrl, as a pinch on a touchpad does. In full screen it moves the zoomed picture.
   * @param {WheelEvent} event
   */
  onWheel(event) {
    if (event.ctrlKey || event.metaKey) {
      this.to(this.factor * Math.exp(-event.deltaY * WHEEL_STEP), [event.clientX, event.clientY])
    } else if (this.editor.fullScreen.isOn) {
      this.x -= event.deltaX
      this.y -= event.deltaY
      this.apply()
    } else return this.editor.host.forward(event)
    event.preventDefault()
    event.stopImmediatePropagation()
  }

  /**
   * Starts to move the picture with Space, or the middle button in full screen.
   * @param {PointerEvent} event
   * @returns {boolean} whether the press is a pan
   */
  startPan(event) {
    if (!this.spaceHeld && !(event.button === 1 && this.editor.fullScreen.isOn)) return false
    this.pan = { from: [event.clientX, event.clientY], x: this.x, y: this.y }
    this.editor.surface.root.setPointerCapture(event.pointerId)
    return true
  }

  /**
   * @param {PointerEvent} event
   * @returns {boolean} whether the movement belongs to a pan or a pinch
   */
  onMove(event) {
    if (this.fingers.has(event.pointerId)) this.fingers.set(event.pointerId, [event.clientX, event.clientY])
    if (this.pinch) {
      const { distance, middle } = this.spread()
      this.to((this.pinch.factor * distance) / this.pinch.distance, middle)
      return true
    }
    if (!this.pan) return false
    const [x, y] = this.fromCentre([event.clientX, event.clientY])
    const [x0, y0] = this.fromCentre(this.pan.from)
    this.x = this.pan.x + x - x0
    this.y = this.pan.y + y - y0
    this.apply()
    return true
  }

  /**
   * @param {PointerEvent} event
   * @returns {boolean} whether a second finger starts a pinch
   */
  startPinch(event) {
    if (event.pointerType !== 'touch') return false
    this.fingers.set(event.pointerId, [event.clientX, event.clientY])
    if (this.fingers.size !== 2) return false
    this.pinch = { distance: this.spread().distance, factor: this.factor }
    return true
  }

  /** @param {PointerEvent} event */
  end(event) {
    this.fingers.delete(event.pointerId)
    if (this.fingers.size < 2) this.pinch = null
    this.pan = null
  }

  /** The distance and the middle of two fingers, in client pixels. */
  spread() {
    const [[x0, y0], [x1, y1]] = [...this.fingers.values()]
    const middle = /** @type {[number, number]} */ ([(x0 + x1) / 2, (y0 + y1) / 2])
    return { distance: Math.hypot(x1 - x0, y1 - y0) || 1, middle }
  }

  /** @param {boolean} held */
  hold(held) {
    this.spaceHeld = held
    this.editor.surface.root.classList.toggle('ifa-panning', held)
  }
}
