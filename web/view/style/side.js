// @ts-check
// Styles: the list of boxes and the fields.

export const SIDE_STYLE = `
.ifa-side {
  flex: 0 1 260px; min-width: 170px; display: flex; flex-direction: column; gap: 4px; min-height: 0;
}
.ifa-column > .ifa-side { flex: 1 0 112px; }
.ifa-column > .ifa-side > .ifa-label { display: none; }
@container ifa (max-width: 619px) {
  .ifa-side { flex: 1 0 112px; }
  .ifa-side > .ifa-label { display: none; }
}
@container ifa (max-width: 420px) { .ifa-side { flex-basis: 148px; } }
/* In a short node, the numbers fold away: the picture has their place. */
.ifa-short .ifa-column > .ifa-side { flex-basis: 84px; }
.ifa-short .ifa-column .ifa-exact { display: none; }
@container ifa (max-width: 619px) {
  .ifa-short .ifa-side { flex-basis: 84px; }
  .ifa-short .ifa-exact { display: none; }
}
.ifa-label { color: var(--ifa-soft); }
.ifa-text {
  width: 100%; color: inherit; background: var(--ifa-bg); border: 1px solid var(--ifa-line);
  border-radius: 4px; font: inherit; padding: 3px 5px; resize: none;
  field-sizing: content; min-height: calc(1lh + 8px); max-height: 10lh; overflow-wrap: break-word;
}
.ifa-side > .ifa-text { flex: none; border-left: 3px solid var(--ifa-accent); }
.ifa-code { font-family: ui-monospace, monospace; }
.ifa-list {
  flex: 1 1 0; height: 0; min-height: 40px; overflow-y: auto; margin: 0; padding: 0;
  list-style: none; display: flex; flex-direction: column; gap: 4px;
}
.ifa-row {
  border: 1px solid var(--ifa-line); border-left: 4px solid var(--box); border-radius: 4px;
  padding: 3px; display: flex; flex-direction: column; gap: 3px;
}
.ifa-row.ifa-selected { border-color: var(--ifa-accent); border-left-color: var(--box); }
.ifa-grip { cursor: ns-resize; touch-action: none; display: inline-flex; flex: none; }
.ifa-color {
  width: 20px; height: 20px; padding: 0; border: 1px solid var(--ifa-line); background: none;
  flex: none; cursor: pointer;
}
.ifa-fill { flex: 1; }
.ifa-note { color: var(--ifa-soft); font-size: 11px; }
.ifa-note:empty { display: none; }
.ifa-warning { color: var(--ifa-error); }
.ifa-exact { display: flex; flex-wrap: wrap; gap: 3px 6px; }
.ifa-pair { display: inline-flex; align-items: center; gap: 3px; flex: 1 1 54px; }
.ifa-exact .ifa-number {
  flex: 1 1 0; width: 0; min-width: 36px; appearance: textfield; text-align: right;
}
.ifa-exact .ifa-number::-webkit-inner-spin-button { display: none; }
.ifa-exact.ifa-off { opacity: .5; }
.ifa-row-body { display: flex; gap: 4px; align-items: flex-start; }
.ifa-row-body > .ifa-text { flex: 1; min-width: 0; }
.ifa-crop {
  flex: none; padding: 0; border: 1px solid var(--ifa-line); border-radius: 3px; cursor: zoom-in;
  background: var(--ifa-bg) no-repeat;
}
.ifa-large { max-width: 100%; background: var(--ifa-bg) no-repeat; margin: 0 auto; }
.ifa-align { display: flex; gap: 3px; flex-wrap: wrap; }
.ifa-batch { display: flex; align-items: center; gap: 4px; }
.ifa-mark { border-radius: 2px; padding: 0 5px; font-weight: 700; color: #111; flex: none; }
.ifa-mark-right { background: #7ddc9a; }
.ifa-mark-wrong { background: #ff9a9a; }
.ifa-mark-missing { background: #ffd479; }
.ifa-row.ifa-faulty { border-color: var(--ifa-error); }
.ifa-row-head { display: flex; align-items: center; gap: 3px; }
`
