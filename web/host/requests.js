// @ts-check
// Answers of the server.

import { api } from '../../../scripts/api.js'

const KEPT_RUNS = 20

/** @type {Map<string, Promise<ComfyPrompt | null>>} */
const runs = new Map() // by id

/**
 * @param {Response} answer
 * @param {string} problem start of the error message
 */
export async function expectOk(answer, problem) {
  if (!answer.ok) throw new Error(`${problem}: ${answer.status} ${answer.statusText}`)
}

/**
 * The nodes of a run as the server got them, or null if it no longer knows.
 * @param {string | undefined} id of the run
 * @returns {Promise<ComfyPrompt | null>}
 */
export function nodesOfRun(id) {
  if (!id) return Promise.resolve(null)
  const known = runs.get(id)
  if (known) return known
  const run = askForRun(id).catch((error) => {
    console.warn('IFAdapter: results are shown for the newest layout.', error)
    return null
  })
  runs.set(id, run)
  for (const oldest of [...runs.keys()].slice(0, -KEPT_RUNS)) runs.delete(oldest)
  return run
}

/**
 * @param {string} id
 * @returns {Promise<ComfyPrompt | null>}
 */
async function askForRun(id) {
  const { queue_running: running = [] } = await jsonOf('/queue')
  const now = running.find((/** @type {unknown[]} */ item) => item[1] === id)
  return now?.[2] ?? (await jsonOf(`/history/${id}`))[id]?.prompt?.[2] ?? null
}

/** @param {string} path */
async function jsonOf(path) {
  const answer = await api.fetchApi(path)
  await expectOk(answer, `${path} cannot be read`)
  return answer.json()
}
