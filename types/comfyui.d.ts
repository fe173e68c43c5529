// The parts of ComfyUI's frontend that web/ uses, for the type check. ComfyUI serves both modules beside the pack's folder.

interface ComfyWidget {
  name: string
  type?: string
  hidden?: boolean
  options?: Record<string, unknown>
  serialize?: boolean
  onRemove?(): void
  value: unknown
  element?: HTMLElement
  callback?: (...values: any[]) => unknown
  /** The value of the widget in a run, in place of `value`. */
  serializeValue?: () => unknown
}

interface ComfyNode {
  id?: number | string
  type?: string
  title?: string
  graph?: ComfyGraph | null
  /** 2: muted, 4: bypassed. */
  mode?: number
  outputs?: { name: string; type?: unknown; links?: number[] | null }[]
  widgets?: ComfyWidget[]
  inputs?: { name: string; type?: unknown; link?: number | null; widget?: { name: string } }[]
  properties?: Record<string, unknown>
  /** Pictures that the node shows. */
  imgs?: HTMLImageElement[]
  /** The graph inside the node, if it is a subgraph. */
  subgraph?: ComfyGraph
  addDOMWidget(name: string, type: string, element: HTMLElement, options: object): ComfyWidget
  disconnectInput(slot: number): void
  getInputNode?(slot: number): ComfyNode | null
  computeSize?(...values: any[]): number[]
  onResize?(...values: any[]): unknown
  setDirtyCanvas?(foreground: boolean, background: boolean): void
  setProperty?(name: string, value: unknown): void
  onConnectionsChange?(...values: any[]): unknown
  onConfigure?(...values: any[]): unknown
  onExecuted?(...values: any[]): unknown
  onRemoved?(...values: any[]): unknown
}

/** A node's schema: [type, options] by name of the input. */
interface ComfyDefinition {
  name: string
  input?: { required?: Record<string, [string, Record<string, unknown>?]> }
}

interface ComfyLink {
  origin_id: string | number
  origin_slot: number
  target_id: string | number
}

interface ComfyGraph {
  _nodes?: ComfyNode[]
  /** Inputs of a subgraph, with the links inside it. */
  inputs?: { name: string; linkIds?: number[] }[]
  getLink?(id: number): ComfyLink | undefined
  links?: Record<number, ComfyLink>
  rootGraph?: ComfyGraph
  /** The definitions of all subgraphs, of a root graph. */
  subgraphs?: Map<string, ComfyGraph>
  getNodeById?(id: string | number): ComfyNode | null
}

/** The nodes of a run by id. */
type ComfyPrompt = Record<string, { class_type: string; inputs: Record<string, unknown> }>

/** What a node shows, as it arrives in the browser. */
interface ComfyOutput {
  images?: ComfyFile[]
  ifadapter_marks?: import('../web/view/results.js').Mark[]
}

/** A file of the server's input, output or temp folder. */
interface ComfyFile {
  filename: string
  subfolder?: string
  type?: string
}

interface Window {
  LiteGraph?: { vueNodesMode?: boolean }
}

declare module '*/scripts/app.js' {
  export const app: {
    /** The open graph; `rootGraph` in newer frontends, where `graph` may be a subgraph. */
    graph?: ComfyGraph
    rootGraph?: ComfyGraph
    /** The graph as the server takes it, and as it is saved. */
    graphToPrompt(): Promise<{ output: ComfyPrompt; workflow: object }>
    /** Why the server refused the last prompt, by node id. */
    lastNodeErrors?: Record<string, { errors?: { message: string; details?: string }[] }> | null
    extensionManager?: {
      setting?: { get?(id: string): unknown }
      command?: { execute(id: string): Promise<unknown> }
      workflow?: {
        activeWorkflow?: {
          /** captureCanvasState in newer frontends, checkState in older ones. */
          changeTracker?: { captureCanvasState?(): void; checkState?(): void }
        } | null
      }
    }
    registerExtension(extension: {
      name: string
      setup?(): void
      beforeRegisterNodeDef?(nodeType: unknown, definition: ComfyDefinition): void
      afterConfigureGraph?(): void
      getCustomWidgets?(): Record<string, (node: ComfyNode, name: string, input?: any) => object>
      nodeCreated?(node: ComfyNode): void
    }): void
  }
}

declare module '*/scripts/api.js' {
  export const api: {
    apiURL(path: string): string
    fetchApi(path: string, options?: RequestInit): Promise<Response>
    queuePrompt(position: number, prompt: { output: ComfyPrompt; workflow: object }): Promise<unknown>
    addEventListener(name: string, listener: (event: CustomEvent<any>) => void): void
  }
}
