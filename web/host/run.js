// @ts-check
// Runs of the workflow: start, cancel, progress and errors, as the host's own buttons do it.

import { app } from '../../../scripts/app.js'
import { api } from '../../../scripts/api.js'
import { t } from '../view/strings.js'
import { forAll } from './editors.js'
import { nodeOf } from './graph.js'

/** @type {RunState} */
const state = { running: false, progress: null, step: '', error: null }
let queued = 0 // prompts that the server has accepted since the page was opened

export function runState() {
  return state
}

/** @param {Partial<RunState>} change */
function set(change) {
  Object.assign(state, change)
  forAll((editor) => editor.fullScreen.renderRun())
}

/** The name of a node, for people. @param {unknown} id */
function titleOf(id) {
  const node = id === null || id === undefined ? null : nodeOf(id)
  return node?.title ?? node?.type ?? ''
}

/** Listens to the runs of the server. */
export function listenToProgress() {
  api.addEventListener('promptQueued', () => (queued += 1))
  api.addEventListener('execution_start', () => set({ running: true, progress: null, step: '', error: null }))
  api.addEventListener('progress', ({ detail }) => {
    set({ running: true, progress: detail.max ? detail.value / detail.max : null })
  })
  api.addEventListener('executing', ({ detail }) => {
    const id = typeof detail === 'object' ? detail?.node : detail
    if (id !== null && id !== undefined) set({ progress: null, step: titleOf(id) })
  })
  api.addEventListener('execution_error', ({ detail }) => {
    const message = String(detail?.exception_message ?? '').trim()
    set({
      running: false,
      progress: null,
      error: [titleOf(detail?.node_id), message].filter(Boolean).join(': ')
    })
  })
  for (const end of ['execution_success', 'execution_interrupted'])
    api.addEventListener(end, () => set({ running: false, progress: null, step: '' }))
}

/** Runs the workflow as the host's Run button does, with its handling of seeds. */
export async function startRun() {
  const before = queued
  set({ error: null })
  await app.extensionManager?.command?.execute('Comfy.QueuePrompt')
  if (queued === before) set({ error: refusal() })
}

export async function cancelRun() {
  await app.extensionManager?.command?.execute('Comfy.Interrupt')
}

/** Why the server did not accept the workflow. */
function refusal() {
  const [id, found] = Object.entries(app.lastNodeErrors ?? {})[0] ?? []
  const problem = found?.errors?.[0]
  if (!problem) return t('The workflow cannot run. Leave full screen to see why.')
  return [titleOf(id), problem.message, problem.details].filter(Boolean).join(': ')
}
