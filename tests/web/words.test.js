// The words of the editor: every text in the sources has its translations, and no translation is left over.

import assert from 'node:assert/strict'
import { readFileSync, readdirSync } from 'node:fs'
import { dirname, join, resolve } from 'node:path'
import { test } from 'node:test'
import { fileURLToPath } from 'node:url'

import { readLayout } from '../../web/layout_formats.js'
import { STARTERS } from '../../web/layout_starters.js'
import { explained, t, useWords } from '../../web/view/strings.js'
import { JA } from '../../web/words/ja.js'
import { ZH } from '../../web/words/zh.js'

const WEB = resolve(dirname(fileURLToPath(import.meta.url)), '..', '..', 'web')
const CALL = /\bt\(\s*((?:'(?:[^'\\]|\\.)*'|"(?:[^"\\]|\\.)*"|[\s+])+)/g
const TEXT = /'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)"/g

/** The English texts of the sources. */
function texts() {
  const found = new Set(STARTERS.map(({ name }) => name))
  for (const name of ['This pack', "IFAdapter's release", "ComfyUI's box elements"]) found.add(name)
  for (const file of readdirSync(WEB, { recursive: true }).filter((path) => /\.js$/.test(path))) {
    if (file.startsWith('words')) continue
    for (const [, argument] of readFileSync(join(WEB, file), 'utf-8').matchAll(CALL)) {
      const text = [...argument.matchAll(TEXT)].map(([, single, double]) => single ?? double).join('')
      if (text) found.add(text.replaceAll("\\'", "'"))
    }
  }
  return [...found].sort()
}

for (const [language, table] of Object.entries({ Chinese: ZH, Japanese: JA })) {
  test(`every text has its ${language} words, with the same values`, () => {
    assert.deepEqual(Object.keys(table).sort(), texts())
    const values = (text) => (text.match(/\{\w+\}/g) ?? []).sort().join()
    for (const [text, words] of Object.entries(table)) assert.equal(values(words), values(text), text)
  })
}

test('a text without words in the language stays English', () => {
  useWords({ 'Box {number}': 'Kasten {number}' })
  assert.deepEqual([t('Box {number}', { number: 3 }), t('Undo')], ['Kasten 3', 'Undo'])
  useWords({})
})

test('an error is explained in the language, before its English text', () => {
  const cut = 'The layout cannot be read as JSON: it is cut off: a bracket is not closed. Expected ..'
  const missing = 'IFAdapter Layout: Box 12 has no local description. Write what should appear in it.'
  const outside = 'Box 3 lies outside the canvas: its left, top, right and bottom edges are 2, 0, 3, 1.'
  const captions = 'The layout has different captions. .. misspelt: "captoin" of box 1 (did you mean "caption"?).'
  for (const message of [cut, missing, outside, captions]) assert.equal(explained(message), message)
  for (const table of [ZH, JA]) {
    useWords(table)
    assert.equal(explained(cut), `${table['The text is cut off: its end is missing.']} (${cut})`)
    assert.ok(explained(missing).startsWith(t('Box {box} has no description: write one.', { box: 12 })))
    assert.match(explained(outside), /3.*\(Box 3 lies outside the canvas/)
    assert.equal(explained('no such model'), 'no such model')
    assert.ok(explained(captions).startsWith(table['The text cannot be read as a layout.']))
  }
  useWords({})
})

test('every error of the readers is explained', () => {
  const { cases } = JSON.parse(readFileSync(new URL('../layout_texts.json', import.meta.url), 'utf-8'))
  const messages = cases.flatMap(({ text, width, height }) => {
    try {
      readLayout(text, { width, height })
      return []
    } catch (error) {
      return [error.message]
    }
  })
  assert.ok(messages.length > 50)
  useWords(ZH)
  assert.deepEqual(
    messages.filter((message) => explained(message) === message),
    []
  )
  useWords({})
})
