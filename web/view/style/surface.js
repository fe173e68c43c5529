// @ts-check
// Styles: the picture with its boxes.

export const SURFACE_STYLE = `
.ifa-stage {
  flex: 1 1 60%; min-width: 0; min-height: 120px; position: relative; display: flex;
  align-items: center; justify-content: center; overflow: clip; contain: size;
}
/* Below each other, the picture takes the width first, and what it leaves of the height is the list's. */
.ifa-column > .ifa-stage {
  flex: 1000 1 0; min-height: 32px; max-height: calc(100cqi / var(--ifa-aspect, 1) + 6px);
}
@container ifa (max-width: 619px) {
  .ifa-stage {
    flex: 1000 1 0; min-height: 32px; max-height: calc(100cqi / var(--ifa-aspect, 1) + 6px);
  }
}
.ifa-surface {
  position: relative; background: var(--ifa-bg); outline: 1px solid var(--ifa-line);
  touch-action: none; cursor: crosshair; user-select: none; flex: none; z-index: 0;
}
.ifa-focused .ifa-surface { outline: 2px solid var(--ifa-accent); }
.ifa-surface.ifa-panning, .ifa-panning .ifa-box { cursor: grab; }
.ifa-unseen > .ifa-boxes, .ifa-unseen > .ifa-lines { visibility: hidden; }
.ifa-background, .ifa-lines, .ifa-boxes { position: absolute; inset: 0; width: 100%; height: 100%; }
.ifa-background { object-fit: contain; pointer-events: none; }
/* A preview has descriptions of its own. Its numbers leave out hidden boxes: the editor's cover them. */
.ifa-ownership { object-fit: fill; opacity: .85; }
.ifa-previewing .ifa-box { background: none; }
.ifa-previewing .ifa-words, .ifa-previewing .ifa-box > .ifa-mark { visibility: hidden; }
.ifa-lines { pointer-events: none; }
.ifa-lines * { vector-effect: non-scaling-stroke; }
.ifa-grid-line { stroke: var(--ifa-soft); stroke-opacity: .25; }
.ifa-thirds { stroke: var(--ifa-accent); stroke-opacity: .5; }
.ifa-guide { stroke: #ff4fd8; stroke-dasharray: 4 3; }
.ifa-ghost {
  position: absolute; border: 2px dashed var(--ifa-fg); opacity: .8; --box: var(--ifa-soft);
}
.ifa-overlap {
  position: absolute; z-index: 500;
  --ifa-stroke: color-mix(in srgb, var(--ifa-fg) 32%, transparent);
  background: repeating-linear-gradient(45deg, var(--ifa-stroke) 0 1px, transparent 1px 6px);
}
.ifa-surface, .ifa-list, .ifa-row, .ifa-box { contain: layout style; }
.ifa-dragging .ifa-surface, .ifa-dragging .ifa-list { will-change: transform; }
/* painted apart from the nodes around them */
.ifa-box {
  position: absolute; background: color-mix(in srgb, var(--box) var(--ifa-fill, 22%), transparent);
  border: 2px solid var(--box); overflow: hidden; cursor: move; display: flex; gap: 4px;
  align-items: flex-start; min-width: 0;
}
.ifa-box.ifa-selected { overflow: visible; box-shadow: 0 0 0 1px var(--ifa-fg); }
.ifa-box.ifa-locked { border-style: dashed; cursor: crosshair; }
.ifa-box.ifa-empty .ifa-words { font-style: italic; opacity: .75; }
.ifa-box.ifa-faulty { outline: 2px solid var(--ifa-error); outline-offset: 1px; }
.ifa-number-tag {
  flex: none; background: var(--box); color: #111; font-weight: 700; padding: 0 5px;
  border-radius: 2px; min-width: 16px; text-align: center;
}
.ifa-words {
  font-size: var(--ifa-words, 12px); overflow: hidden; overflow-wrap: break-word; min-width: 0;
  max-height: 100%; color: var(--ifa-fg);
  text-shadow: 0 0 2px var(--ifa-bg), 0 0 4px var(--ifa-bg); pointer-events: none; padding-top: 1px;
}
.ifa-pictured .ifa-words {
  background: color-mix(in srgb, var(--ifa-bg) 70%, transparent); border-radius: 2px; padding: 0 3px;
}
.ifa-handle { display: none; position: absolute; width: 14px; height: 14px; z-index: 2; }
.ifa-handle::after {
  content: ''; position: absolute; inset: 3px; background: #fff; border: 1px solid #111;
  border-radius: 2px;
}
.ifa-selected:not(.ifa-locked) > .ifa-handle { display: block; }
.ifa-nw { left: -8px; top: -8px; cursor: nwse-resize; }
.ifa-n { left: calc(50% - 7px); top: -8px; cursor: ns-resize; }
.ifa-ne { right: -8px; top: -8px; cursor: nesw-resize; }
.ifa-e { right: -8px; top: calc(50% - 7px); cursor: ew-resize; }
.ifa-se { right: -8px; bottom: -8px; cursor: nwse-resize; }
.ifa-s { left: calc(50% - 7px); bottom: -8px; cursor: ns-resize; }
.ifa-sw { left: -8px; bottom: -8px; cursor: nesw-resize; }
.ifa-w { left: -8px; top: calc(50% - 7px); cursor: ew-resize; }
/* For fingers, the handles are larger and outside of the box, which stays free to be moved. */
@media (pointer: coarse) {
  .ifa-handle { width: 28px; height: 28px; }
  .ifa-handle::after { inset: 8px; }
  .ifa-nw, .ifa-w, .ifa-sw { left: -30px; }
  .ifa-ne, .ifa-e, .ifa-se { right: -30px; }
  .ifa-nw, .ifa-n, .ifa-ne { top: -30px; }
  .ifa-sw, .ifa-s, .ifa-se { bottom: -30px; }
  .ifa-n, .ifa-s { left: calc(50% - 14px); }
  .ifa-e, .ifa-w { top: calc(50% - 14px); }
  .ifa-small { width: 28px; height: 28px; }
}
.ifa-marquee {
  position: absolute; border: 1px dashed var(--ifa-accent);
  background: color-mix(in srgb, var(--ifa-accent) 18%, transparent); pointer-events: none;
  z-index: 999;
}
.ifa-hint {
  position: absolute; inset: 0; display: flex; align-items: center; justify-content: center;
  text-align: center; color: var(--ifa-soft); pointer-events: none; padding: 8px; font-size: 13px;
}
.ifa-keys {
  position: absolute; width: 1px; height: 1px; padding: 0; border: 0; opacity: 0; left: 50%;
  top: 50%; resize: none; pointer-events: none;
}
.ifa-inline {
  position: absolute; z-index: 1000; color: var(--ifa-fg); background: var(--ifa-bg);
  border: 2px solid var(--ifa-accent); font: inherit; resize: none; padding: 4px;
  field-sizing: content; min-height: 40px; overflow-wrap: break-word;
}
.ifa-overlaps, .ifa-ghosts { pointer-events: none; }
`
