// The parts of ComfyUI's frontend that web/ uses, for the type check. ComfyUI serves both modules beside the pack's folder.

interface ComfyWidget {
  name: string
  value: unknown
  element?: HTMLElement
  callback?: (...values: any[]) => unknown
  /** The value of the widget in a run, in place of `value`. */
  serializeValue?: () => unknown
}

interface ComfyNode {
  widgets?: ComfyWidget[]
  inputs?: { name: string; link?: number | null }[]
  properties?: Record<string, unknown>
  /** Pictures that the node shows. */
  imgs?: HTMLImageElement[]
  /** The graph inside the node, if it is a subgraph. */
  subgraph?: ComfyGraph
  addDOMWidget(name: string, type: string, element: HTMLElement, options: object): ComfyWidget
  disconnectInput(slot: number): void
  getInputNode?(slot: number): ComfyNode | null
  setDirtyCanvas?(foreground: boolean, background: boolean): void
  setProperty?(name: string, value: unknown): void
  onConnectionsChange?(...values: any[]): unknown
  onConfigure?(...values: any[]): unknown
  onExecuted?(...values: any[]): unknown
  onRemoved?(...values: any[]): unknown
}

interface ComfyGraph {
  getNodeById?(id: string): ComfyNode | null
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
    extensionManager?: {
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
      getCustomWidgets?(): Record<string, (node: ComfyNode, name: string, input?: any) => object>
      nodeCreated?(node: ComfyNode): void
    }): void
  }
}

declare module '*/scripts/api.js' {
  export const api: {
    apiURL(path: string): string
    fetchApi(path: string, options?: RequestInit): Promise<Response>
    addEventListener(name: string, listener: (event: CustomEvent<any>) => void): void
  }
}
