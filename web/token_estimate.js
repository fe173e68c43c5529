// @ts-check
// An estimate of how many tokens CLIP-L's tokenizer makes of a text, for the editor to show while the user
// types. Pure functions.
//
// CLIP splits a text into words and each word into pieces by byte-pair encoding. Its merge table (500 kB) is
// not part of this pack. Instead, clip_words.txt lists the words that are a single token, and a word that is
// not listed is split into as few pieces as possible. tests/web/token_estimate.test.js holds the error on 200
// captions: at most 2 tokens for 95 % of them.

export const CONTEXT_TOKENS = 77 // of CLIP, start and end included
const START_AND_END = 2

// CLIP's word pattern: contractions, runs of letters, single digits, runs of other characters.
const WORDS = /'(?:s|t|re|ve|m|ll|d)|\p{L}+|\p{N}|[^\s\p{L}\p{N}]+/gu
const ASCII_LETTERS = /^[a-z]+$/
const LETTER = /^\p{L}/u

const WEIGHT = /(.):\s*[-+]?(?:\d+\.?\d*|\.\d+)\s*$/
const DEEPEST_WEIGHTS = 20 // nested brackets

const SHORTEST_LISTED = 5 // letters; nearly all words of up to 4 letters are one token
const LONGEST_COMMON_PIECE = 3 // letters; nearly all strings of this length are a token within a word
const LONGEST_WORD = 40 // letters that are split exactly; LETTERS_PER_PIECE holds for the rest of a longer word
const LETTERS_PER_PIECE = 3

// Tokens per character outside ASCII, where byte-pair encoding works on the bytes of UTF-8.
const TOKENS_OF_SCRIPTS = /** @type {const} */ ([
  [/\p{Script=Latin}/u, 1],
  [/\p{Script=Han}/u, 2.7],
  [/./u, 1.5]
])

// Tokens of a word by its number of letters, measured on captions: used until the list of words is there.
const TOKENS_BY_LENGTH = [0, 1, 1, 1, 1, 1.1, 1.15, 1.25, 1.45, 1.65, 1.85, 2, 2.3]

/**
 * The words of clip_words.txt: the lines after the comment lines, with words in alphabetical order. Each word
 * is one character for the number of letters it shares with the word before it (0 to 9, then A, B, ..), then
 * its other letters.
 * @param {string} text
 * @returns {Set<string>}
 */
export function readWords(text) {
  const packed = text.replace(/^#.*$/gm, '')
  const words = new Set()
  let word = ''
  for (const [, shared, rest] of packed.matchAll(/([0-9A-Z])([a-z]+)/g)) {
    word = word.slice(0, parseInt(shared, 36)) + rest
    words.add(word)
  }
  return words
}

/**
 * The estimated number of tokens of a text, start and end included.
 * @param {string} text a prompt in ComfyUI's syntax: (words:1.2) weighs words and is itself no token
 * @param {Set<string> | null} oneTokenWords from readWords; without them, the estimate is coarser
 * @returns {number}
 */
export function estimateTokens(text, oneTokenWords = null) {
  let tokens = START_AND_END
  for (const [word] of withoutWeights(text).normalize('NFC').toLowerCase().matchAll(WORDS)) {
    if (!LETTER.test(word)) tokens += 1
    else if (!ASCII_LETTERS.test(word)) tokens += foreignWord(word, oneTokenWords)
    else tokens += oneTokenWords ? fewestPieces(word, oneTokenWords, true) : byLength(word)
  }
  return Math.round(tokens)
}

/**
 * The text that ComfyUI hands to the tokenizer: brackets of weights removed, escaped brackets kept.
 * @param {string} text
 */
function withoutWeights(text) {
  const [OPEN, CLOSE] = ['\uE000', '\uE001'] // private-use characters for \( and \)
  let inner = text.replaceAll('\\(', OPEN).replaceAll('\\)', CLOSE)
  for (let depth = 0; depth < DEEPEST_WEIGHTS && inner.includes('('); depth += 1) {
    inner = inner.replace(/\(([^()]*)\)/g, (_, words) => ` ${words.replace(WEIGHT, '$1')} `)
  }
  return inner.replaceAll(OPEN, '(').replaceAll(CLOSE, ')')
}

/** @param {string} word */
function byLength(word) {
  return TOKENS_BY_LENGTH[word.length] ?? word.length / (LETTERS_PER_PIECE + 1.5)
}

/**
 * A word with letters outside ASCII: its ASCII parts are split as usual, other letters count by their script.
 * @param {string} word
 * @param {Set<string> | null} oneTokenWords
 */
function foreignWord(word, oneTokenWords) {
  let tokens = 0
  for (const [part] of word.matchAll(/[a-z]+|[^a-z]/gu)) {
    if (!ASCII_LETTERS.test(part)) tokens += TOKENS_OF_SCRIPTS.find(([script]) => script.test(part))?.[1] ?? 1
    else tokens += oneTokenWords ? fewestPieces(part, oneTokenWords, false) : byLength(part)
  }
  return tokens
}

/**
 * The smallest number of pieces that a word can be split into, where a piece is a listed word or a short
 * string.
 * @param {string} word of a to z
 * @param {Set<string>} oneTokenWords
 * @param {boolean} ends whether the word ends here: then its last piece may be any short word
 */
function fewestPieces(word, oneTokenWords, ends) {
  const letters = word.slice(0, LONGEST_WORD)
  /** @type {number[]} */
  const pieces = [0] // of the first 0, 1, .. letters
  for (let end = 1; end <= letters.length; end += 1) {
    const shortest = ends && end === letters.length ? SHORTEST_LISTED - 1 : LONGEST_COMMON_PIECE
    let fewest = Infinity
    for (let start = 0; start < end; start += 1) {
      const isPiece = end - start <= shortest || oneTokenWords.has(letters.slice(start, end))
      if (isPiece && pieces[start] + 1 < fewest) fewest = pieces[start] + 1
    }
    pieces.push(fewest)
  }
  return pieces[letters.length] + Math.ceil((word.length - letters.length) / LETTERS_PER_PIECE)
}
