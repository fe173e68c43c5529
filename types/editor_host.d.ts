// What the layout editor needs from its host. web/view/ knows nothing else of ComfyUI.

interface EditorHost {
  /** Size of the picture. run: as in the last run; unknown: a link that only a run resolves. */
  canvas(): { width: number; height: number; known: 'set' | 'run' | 'unknown' }
  /** Sets the size of the picture; returns whether a link refuses it. */
  setCanvas(size: { width: number; height: number }): boolean
  /** Units of numbers in texts that state none; null: as their format says. */
  units(): string | null
  /** The value has changed; called often. */
  changed(): void
  /** A change is complete: a gesture, or a text field that lost the focus. */
  committed(): void
  /** Tokens of a local description, start and end included; an estimate if not exact. */
  tokens(text: string): { count: number; exact: boolean }
  presets: EditorPresets
  run: EditorRun
  /** Results of the nodes that depend on this layout. */
  results(): import('../web/view/results.js').RunPictures
  /** Runs the layout alone, without sampling. */
  preview(): Promise<void>
  /** URL of the picture of the previewed layout. */
  ownership(): string | null
  /** The layout has changed since its preview. */
  dropOwnership(): unknown
  /** URL of the latest preview or result of a run. */
  livePicture(): string | null
  /** URL of the linked background picture. */
  background(): string | null
  /** Whether the layout's text comes from a link, so that what is drawn is not used. */
  textLinked(): boolean
  /**
   * The layout text of the link that is meant to be taken over; null without a link. text: undefined if only a
   * run tells it, null if the last run got none. always: it counts even then, since no run gets what is drawn.
   */
  linkedText(): { text: string | null | undefined; always: boolean } | null
  /** Linked boxes of the last run as JSON; null without a link. */
  linked(): { boxes: string | null } | null
  /** Removes the links to boxes. */
  unlink(): void
  /** Reads or writes a setting of this editor. */
  preference(name: string, ...value: unknown[]): any
  /** Sends a wheel or middle-button event to the graph. */
  forward(event: MouseEvent): void
}

/** Named layouts that the user keeps, as JSON. */
interface EditorPresets {
  list(): Promise<string[]>
  load(name: string): Promise<string>
  save(name: string, text: string): Promise<void>
  remove(name: string): Promise<void>
}

interface EditorRun {
  start(): unknown
  cancel(): unknown
  state(): RunState
}

/** progress: 0..1 of the step, null: not known. */
interface RunState {
  running: boolean
  progress: number | null
  step: string
  error: string | null
}
