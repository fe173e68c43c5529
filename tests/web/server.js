// A ComfyUI server with this pack, and a browser, for each frontend and renderer under test.

import { spawn } from 'node:child_process'
import { existsSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from 'node:fs'
import { createServer } from 'node:net'
import { homedir, tmpdir } from 'node:os'
import { dirname, join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'

import sparticuz from '@sparticuz/chromium'
import { chromium } from 'playwright-core'

import { pause } from './poll.js'

const PACK = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..')
const HOST = process.env.COMFYUI_PATH ?? join(homedir(), 'comfy', 'ComfyUI')
const PYTHON = join(HOST, '.venv', 'bin', 'python')
const START_MS = 180_000
const NEWEST = join(PACK, 'build', 'frontend', 'comfyui_frontend_package') // installed by make test-web

/** Frontends and renderers under test. IFADAPTER_WEB_LEG selects those with the given text in their name. */
export const LEGS = [
  { name: "the host's frontend, classic", frontend: null, renderer: 'classic' },
  { name: 'newest frontend, classic', frontend: NEWEST, renderer: 'classic' },
  { name: 'newest frontend, Nodes 2.0', frontend: NEWEST, renderer: 'Nodes 2.0' }
].filter(({ name }) => name.includes(process.env.IFADAPTER_WEB_LEG ?? ''))

/** Why the browser tests of a leg must be skipped, or false. */
export function reasonToSkip({ frontend }) {
  if (!existsSync(PYTHON)) return `no ComfyUI with a .venv in ${HOST}`
  return frontend === null || existsSync(frontend)
    ? false
    : 'the newest frontend is not installed: run make test-web'
}

/** Starts a server with an empty base folder. frontend: folder of a frontend package, or null for the host's own. */
export async function startServer(frontend = null) {
  const base = mkdtempSync(join(tmpdir(), 'ifadapter-web-'))
  for (const folder of ['custom_nodes', 'models', 'input', 'output', 'user']) mkdirSync(join(base, folder))
  symlinkSync(PACK, join(base, 'custom_nodes', 'ComfyUI-IFAdapter'))
  symlinkSync(join(PACK, 'tests', 'web', 'preview_node.py'), join(base, 'custom_nodes', 'preview_node.py'))
  const port = await freePort()
  const options = [
    'main.py',
    '--cpu',
    '--port',
    String(port),
    '--base-directory',
    base,
    '--disable-api-nodes'
  ]
  if (frontend !== null) options.push('--front-end-root', join(frontend, 'static'))
  const child = spawn(PYTHON, options, {
    cwd: HOST,
    env: { ...process.env, OMP_NUM_THREADS: '1' },
    stdio: ['ignore', 'pipe', 'pipe']
  })
  let log = ''
  for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (log += data))
  const url = `http://127.0.0.1:${port}`
  const deadline = Date.now() + START_MS
  while (!(await answers(url))) {
    if (child.exitCode !== null || Date.now() > deadline)
      throw new Error(`The server did not start:\n${log.slice(-2000)}`)
    await pause(200)
  }
  return {
    url,
    base,
    async stop() {
      child.kill('SIGTERM')
      if (child.exitCode === null) await new Promise((done) => child.on('exit', done))
      rmSync(base, { recursive: true, force: true })
    }
  }
}

export async function startBrowser(...args) {
  return chromium.launch({
    args: ['--no-sandbox', ...args],
    executablePath: await sparticuz.executablePath(),
    headless: true
  })
}

async function answers(url) {
  try {
    return (await fetch(url)).ok
  } catch {
    return false
  }
}

async function freePort() {
  const server = createServer()
  await new Promise((done) => server.listen(0, '127.0.0.1', done))
  const { port } = server.address()
  await new Promise((done) => server.close(done))
  return port
}
