// @ts-check
// Styles: the editor and everything around its picture and list.

export const FRAME_STYLE = `
.ifa-editor {
  --ifa-fg: var(--input-text, var(--fg-color, #ddd)); --ifa-bg: var(--comfy-input-bg, #222);
  --ifa-line: var(--border-color, #4e4e4e); --ifa-menu: var(--comfy-menu-bg, #353535);
  /* The host's colours of notes and errors, with enough contrast to the nodes of both renderers. */
  --ifa-soft: color-mix(in srgb, var(--descrip-text, #999) 55%, var(--ifa-fg));
  --ifa-error: color-mix(in srgb, var(--error-text, #ff6b6b) 45%, var(--ifa-fg));
  --ifa-accent: #4c9aff; box-sizing: border-box; display: flex; flex-direction: column; gap: 6px;
  width: 100%; height: 100%; min-height: 340px; min-width: 0; padding: 4px; color: var(--ifa-fg);
  font: 12px/1.35 system-ui, sans-serif; position: relative; container: ifa / inline-size;
}
/* In a node, the toolbar uses the empty rows below the inputs, left of the names of the outputs. */
.dom-widget > .ifa-in-node, .lg-node :not(.ifa-overlay) > .ifa-in-node {
  margin-top: -40px; height: calc(100% + 40px); pointer-events: none;
}
.ifa-toolbar, .ifa-main, .ifa-notice, .ifa-remark, .ifa-link, .ifa-counts, .ifa-size, .ifa-panel,
.ifa-menu, .ifa-flash {
  pointer-events: auto;
}
.dom-widget > .ifa-in-node > .ifa-toolbar,
.lg-node :not(.ifa-overlay) > .ifa-in-node > .ifa-toolbar {
  max-width: calc(100% - 76px); min-height: 36px; align-content: flex-end;
}
.ifa-editor * { box-sizing: border-box; }
.ifa-editor ::placeholder { color: var(--ifa-soft); opacity: 1; }
.ifa-editor [hidden] { display: none !important; }
.ifa-toolbar { display: flex; flex-wrap: wrap; gap: 3px; align-items: center; }
.ifa-gap { width: 2px; }
.ifa-button, .ifa-small, .ifa-text-button {
  color: inherit; background: var(--ifa-menu); border: 1px solid var(--ifa-line);
  border-radius: 4px; cursor: pointer; display: inline-flex; align-items: center;
  justify-content: center; gap: 4px; font: inherit;
}
.ifa-button { height: 26px; min-width: 26px; padding: 0 5px; }
.ifa-small { height: 20px; width: 20px; padding: 0; flex: none; }
.ifa-text-button { padding: 3px 8px; margin: 2px 4px 2px 0; word-break: keep-all; }
.ifa-add { font-weight: 600; padding: 0 8px; }
.ifa-button:hover:not(:disabled), .ifa-small:hover:not(:disabled), .ifa-text-button:hover {
  border-color: var(--ifa-accent);
}
.ifa-button:disabled, .ifa-small:disabled { opacity: .4; cursor: default; }
.ifa-button[aria-pressed=true], .ifa-small[aria-pressed=true] {
  border-color: var(--ifa-accent); box-shadow: inset 0 0 0 1px var(--ifa-accent);
}
.ifa-editor :focus-visible { outline: 2px solid var(--ifa-accent); outline-offset: 1px; }
.ifa-icon {
  width: 14px; height: 14px; fill: none; stroke: currentColor; stroke-width: 1.5;
  stroke-linejoin: round; stroke-linecap: round;
}
.ifa-number {
  width: 52px; color: inherit; background: var(--ifa-bg); border: 1px solid var(--ifa-line);
  border-radius: 4px; font: inherit; padding: 2px 4px;
}
.ifa-main { flex: 1; min-height: 0; display: flex; gap: 6px; }
.ifa-main.ifa-column { flex-direction: column; }
@container ifa (max-width: 619px) { .ifa-main { flex-direction: column; } }
.ifa-live { position: absolute; width: 1px; height: 1px; overflow: hidden; clip-path: inset(50%); }
.ifa-notice {
  color: var(--ifa-error); border: 1px solid var(--ifa-error); border-radius: 4px; padding: 6px;
}
.ifa-link, .ifa-counts, .ifa-remark, .ifa-size {
  border: 1px solid var(--ifa-line); border-radius: 4px; padding: 4px 6px; color: var(--ifa-soft);
}
.ifa-panel {
  position: absolute; right: 6px; z-index: 1001; width: min(420px, calc(100% - 12px));
  max-height: calc(100% - var(--ifa-top, 38px) - 8px); top: var(--ifa-top, 38px);
  overflow: auto; background: var(--ifa-menu);
  border: 1px solid var(--ifa-line); border-radius: 6px; padding: 8px; box-shadow: 0 4px 16px #0008;
}
.ifa-panel-head {
  display: flex; justify-content: space-between; align-items: center; margin-bottom: 6px;
}
.ifa-panel-body { display: flex; flex-direction: column; gap: 6px; }
.ifa-panel-body p { margin: 0; color: var(--ifa-soft); }
.ifa-preset { display: flex; gap: 4px; align-items: center; }
.ifa-sizes { display: flex; flex-wrap: wrap; }
.ifa-sizes > .ifa-text-button { min-width: 104px; justify-content: flex-start; }
.ifa-text-button[aria-pressed=true] { border-color: var(--ifa-accent); }
.ifa-text-button:disabled { opacity: .4; cursor: default; }
.ifa-shape { border: 1px solid currentColor; border-radius: 2px; }
.ifa-run { display: flex; flex-wrap: wrap; gap: 6px; align-items: center; padding-right: 40px; }
.ifa-primary {
  background: var(--primary-background, #0b8ce9); color: #fff; font-weight: 600; padding: 5px 16px;
}
.ifa-menu {
  position: absolute; z-index: 1003; display: flex; flex-direction: column; min-width: 150px; padding: 4px;
  background: var(--ifa-menu); border: 1px solid var(--ifa-line); border-radius: 6px;
  box-shadow: 0 4px 16px #0008;
}
.ifa-menu > button {
  color: inherit; background: none; border: 0; border-radius: 4px; font: inherit; text-align: left;
  padding: 5px 10px; cursor: pointer;
}
.ifa-menu > button:hover, .ifa-menu > button:focus { background: var(--ifa-bg); }
@media (pointer: coarse) { .ifa-menu > button { padding: 10px 14px; } }
.ifa-starters { display: grid; grid-template-columns: repeat(auto-fill, minmax(110px, 1fr)); gap: 4px; }
.ifa-starter {
  color: inherit; background: var(--ifa-bg); border: 1px solid var(--ifa-line); border-radius: 4px;
  font: inherit; cursor: pointer; padding: 4px; display: flex; flex-direction: column; gap: 3px;
  align-items: center;
}
.ifa-starter:hover { border-color: var(--ifa-accent); }
.ifa-starter svg { width: 64px; height: 64px; background: var(--ifa-menu); border-radius: 2px; }
.ifa-flash {
  position: absolute; left: 50%; bottom: 10px; transform: translateX(-50%); max-width: 90%;
  background: var(--ifa-menu); border: 1px solid var(--ifa-line); border-radius: 4px;
  padding: 5px 10px; z-index: 1002;
}
.ifa-overlay {
  position: fixed; inset: 0; z-index: 10000; width: 100vw; height: 100dvh; max-width: none;
  max-height: none; margin: 0; border: 0; padding: 8px; background: var(--comfy-menu-bg, #222);
  overflow: hidden; pointer-events: auto;
}
@container ifa (min-width: 620px) {
  .ifa-overlay .ifa-main:not(.ifa-column) > .ifa-side { flex-basis: 340px; }
}
`
