// @ts-check
// The user's language, as set in the host.

import { app } from '../../../scripts/app.js'
import { useWords } from '../view/strings.js'
import { JA } from '../words/ja.js'
import { ZH } from '../words/zh.js'

/** @type {Record<string, Record<string, string>>} */
const TABLES = { ja: JA, zh: ZH }

/** Sets the words of the editors that are made from now on. */
export function useLanguage() {
  const locale = app.extensionManager?.setting?.get?.('Comfy.Locale') ?? navigator.language
  useWords(TABLES[String(locale).slice(0, 2)] ?? {})
}
