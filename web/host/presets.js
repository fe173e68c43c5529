// @ts-check
// Named layouts, in the user's data on the server.

import { api } from '../../../scripts/api.js'
import { expectOk } from './requests.js'

const PRESETS = 'ifadapter/layouts' // folder in the user's data

/** @type {EditorPresets} */
export const presets = {
  async list() {
    const answer = await api.fetchApi(`/userdata?${new URLSearchParams({ dir: PRESETS })}`)
    if (answer.status === 404) return []
    await expectOk(answer, 'The presets cannot be listed')
    /** @type {string[]} */
    const files = await answer.json()
    return files.filter((name) => name.endsWith('.json')).map((name) => name.slice(0, -'.json'.length))
  },

  async load(name) {
    const answer = await api.fetchApi(presetPath(name))
    await expectOk(answer, `The preset ${name} cannot be loaded`)
    return answer.text()
  },

  async save(name, text) {
    const answer = await api.fetchApi(`${presetPath(name)}?overwrite=true`, { method: 'POST', body: text })
    await expectOk(answer, `The preset ${name} cannot be saved`)
  },

  async remove(name) {
    await expectOk(
      await api.fetchApi(presetPath(name), { method: 'DELETE' }),
      `The preset ${name} cannot be deleted`
    )
  }
}

/** @param {string} name */
function presetPath(name) {
  // ComfyUI decodes the name twice: an encoded slash would lead to another folder.
  if (/[\\/%\p{Cc}]/u.test(name)) {
    throw new Error('The name of a preset must not contain a slash, % or a control character.')
  }
  return `/userdata/${encodeURIComponent(`${PRESETS}/${name}.json`)}`
}
