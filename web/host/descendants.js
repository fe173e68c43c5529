// @ts-check
// Which nodes depend on a node, across the borders of subgraphs, and the ids of nodes in a prompt.

const SUBGRAPH_OUTPUT = '-20' // id of the node at which the outputs of a subgraph leave
// Outputs from which no result in the frame of the layout comes: drawings, and parts of a picture.
/** @type {Record<string, string[]>} */
const NO_RESULTS = {
  IFAdapterLayout: ['picture'],
  IFAdapterSemanticMap: ['picture'],
  IFAdapterCheck: ['picture', 'failed'], // the failed instances have other numbers
  IFAdapterCrops: ['crops', 'masks', 'layouts'],
  IFAdapterLayoutCrop: ['layout']
}

/**
 * The node that holds a node's subgraph; the first of several. Undefined in the root graph.
 * @param {ComfyNode} node
 */
export function outerNode({ graph }) {
  const root = graph?.rootGraph
  const graphs = root ? [root, ...(root.subgraphs?.values() ?? [])] : []
  return graphs.flatMap((each) => each._nodes ?? []).find((each) => each.subgraph === graph)
}

/**
 * The id of a node in a prompt: ids of surrounding subgraph nodes come first, separated by colons.
 * @param {ComfyNode} node
 * @returns {string}
 */
export function promptId(node) {
  const outer = outerNode(node)
  return outer ? `${promptId(outer)}:${node.id}` : String(node.id)
}

/**
 * The nodes whose results depend on a node, in the same frame.
 * @param {ComfyNode} node
 * @param {boolean} all of them, whatever they show
 */
export function descendantsOf(node, all = false) {
  /** @type {Set<ComfyNode>} */
  const found = new Set()
  const queue = [node]
  /** @param {ComfyNode | null | undefined} target */
  const add = (target) => {
    if (!target || target === node || found.has(target)) return
    found.add(target)
    queue.push(target)
    for (const inner of target.subgraph?._nodes ?? []) add(inner)
  }
  for (let current = queue.pop(); current; current = queue.pop()) {
    for (const output of current.outputs ?? []) {
      if (!all && NO_RESULTS[current.type ?? '']?.includes(output.name)) continue
      for (const id of output.links ?? []) {
        const link = current.graph?.getLink?.(id) ?? current.graph?.links?.[id]
        if (!link) continue
        const leaves = String(link.target_id) === SUBGRAPH_OUTPUT
        add(leaves ? outerNode(current) : current.graph?.getNodeById?.(link.target_id))
      }
    }
  }
  return found
}
