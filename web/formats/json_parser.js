// @ts-check
/**
 * A recursive descent parser for one tolerant JSON value.
 *
 * It accepts comments, extra commas, other quotation marks, bare keys, Python literals and tuples, and
 * records each kind of repair. Strings are never changed. `ifadapter_core/formats/json_parser.py` is the
 * Python twin.
 */

export const MAX_DEPTH = 100 // nested objects and lists
export const MAX_PARTS = 100_000 // values inside one value

export const BLANKS = ' \t\n\r\v\f\u00a0\u2028\u2029\ufeff' // \ufeff: byte order mark
/** @type {Record<string, string>} */
const BRACKETS = { '{': '}', '[': ']', '(': ')' }
/** Opening quotation mark -> closing ones. @type {Record<string, string>} */
const QUOTES = {
  '"': '"',
  "'": "'",
  '\u201c': '\u201d',
  '\u201d': '\u201d',
  '\u201e': '\u201c\u201d',
  '\u2018': '\u2019',
  '\u2019': '\u2019'
}
const APOSTROPHES = "'\u2019" // as a closing mark only where a value may end: they also occur inside words
/** @type {Map<string, unknown>} */
const WORDS = new Map(
  /** @type {[string, unknown][]} */ ([
    ['true', true],
    ['false', false],
    ['null', null],
    ['True', true],
    ['False', false],
    ['None', null],
    ['NaN', NaN],
    ['Infinity', Infinity],
    ['-Infinity', -Infinity]
  ])
)
const JSON_WORDS = ['true', 'false', 'null']
/** @type {Map<string, string>} */
const ESCAPES = new Map([
  ['b', '\b'],
  ['f', '\f'],
  ['n', '\n'],
  ['r', '\r'],
  ['t', '\t']
])

const NUMBER = /[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?(?![A-Za-z0-9_.%$])/y
const JSON_NUMBER = /^-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?$/
const WORD = /-?[A-Za-z_$][A-Za-z0-9_$-]*/y
const HEX = /^[0-9A-Fa-f]+$/
// Escaped characters by their number: marker -> hexadecimal digits. JSON knows only u.
/** @type {Record<string, number>} */
const CODES = { u: 4, x: 2, U: 8 }
const MAX_CODE_POINT = 0x10ffff
const LINE_END = /[\n\r]/g

// Kinds of repair
export const COMMENTS = 'left out comments'
export const COMMAS = 'left out extra commas'
export const QUOTATION = 'replaced quotation marks'
export const KEYS = 'put quotation marks around keys'
export const LITERALS = 'replaced literals that are not JSON'
export const BREAKS = 'kept line breaks inside strings'

/** The text holds no JSON value, several, or one that is cut off or nested too deeply. */
export class JsonTextError extends Error {}

export function tooDeep() {
  return new JsonTextError(`it is nested too deeply; at most ${MAX_DEPTH} levels are read`)
}

/**
 * What a sticky expression matches at a position, or null.
 * @param {RegExp} expression
 * @param {string} text
 * @param {number} position
 */
export function matchAt(expression, text, position) {
  expression.lastIndex = position
  return expression.exec(text)?.[0] ?? null
}

/** No JSON value begins here. atEnd: the text ended inside the value. */
export class Mismatch extends Error {
  constructor(atEnd = false) {
    super()
    this.atEnd = atEnd
  }
}

/** A recursive descent parser for one tolerant JSON value that begins with a bracket. */
export class Parser {
  /**
   * @param {string} text
   * @param {number} start
   */
  constructor(text, start) {
    this.text = text
    this.position = start
    /** @type {Set<string>} */
    this.repairs = new Set()
    this.parts = 0
    /** @type {string | null} */
    this.repeated = null // the first key that an object has twice
    this.isJson = false // a quoted key, a key with its colon, or a text, list or object in a list was read
  }

  /**
   * @param {number} depth
   * @returns {any}
   */
  value(depth) {
    if (depth > MAX_DEPTH) throw tooDeep()
    this.parts++
    if (this.parts > MAX_PARTS) {
      throw new JsonTextError(`it has more than ${MAX_PARTS} parts; leave only the layout`)
    }
    this.skipBlanks()
    const character = this.peek()
    if (character === '{') return this.object(depth)
    if (character in BRACKETS) return this.list(depth)
    if (character in QUOTES) return this.string()
    return matchAt(NUMBER, this.text, this.position) === null ? this.word() : this.number()
  }

  /** @param {number} depth */
  object(depth) {
    this.position++
    const result = {}
    let repeated = null
    while (!this.closes('}')) {
      const isQuoted = this.peek() === '"'
      const key = this.peek() in QUOTES ? this.string() : this.bareKey()
      this.isJson ||= isQuoted
      this.skipBlanks()
      if (this.peek() !== ':') throw new Mismatch()
      this.position++
      this.isJson = true
      if (Object.hasOwn(result, key)) repeated ??= key
      // Not an assignment: "__proto__" is a key like any other.
      Object.defineProperty(result, key, {
        value: this.value(depth + 1),
        enumerable: true,
        configurable: true,
        writable: true
      })
      this.separator('}')
    }
    this.repeated ??= repeated
    return result
  }

  /** @param {number} depth */
  list(depth) {
    const end = BRACKETS[this.peek()]
    if (end === ')') this.repairs.add(LITERALS) // a Python tuple
    this.position++
    const result = []
    while (!this.closes(end)) {
      const value = this.value(depth + 1)
      result.push(value)
      this.isJson ||= typeof value === 'string' || (typeof value === 'object' && value !== null)
      this.separator(end)
    }
    return result
  }

  /**
   * Step past the closing bracket, if it is next.
   * @param {string} end
   */
  closes(end) {
    this.skipBlanks()
    if (this.peek() !== end) return false
    this.position++
    return true
  }

  /**
   * Step past the comma between two parts; a comma before the closing bracket is a repair.
   * @param {string} end
   */
  separator(end) {
    this.skipBlanks()
    if (this.peek() === end) return
    if (this.peek() !== ',') throw new Mismatch()
    this.position++
    this.skipBlanks()
    if (this.peek() === end) this.repairs.add(COMMAS)
  }

  string() {
    const opening = this.peek()
    const closing = QUOTES[opening]
    if (opening !== '"') this.repairs.add(QUOTATION)
    this.position++
    let result = ''
    for (;;) {
      const character = this.peek()
      if (closing.includes(character) && (!APOSTROPHES.includes(character) || this.mayEndHere())) {
        this.position++
        return result
      }
      if (character === '\\') {
        result += this.escape()
        continue
      }
      if (character < ' ') this.repairs.add(BREAKS)
      result += character
      this.position++
    }
  }

  /** Whether a comma, colon or closing bracket follows the mark, unlike an apostrophe in a word. */
  mayEndHere() {
    let following = this.position + 1
    while (following < this.text.length && BLANKS.includes(this.text[following])) following++
    return following === this.text.length || ',:}])#/'.includes(this.text[following])
  }

  escape() {
    this.position++
    const character = this.peek()
    this.position += (this.text.codePointAt(this.position) ?? 0) > 0xffff ? 2 : 1
    if (!(character in CODES)) {
      if (!'"\'\\/'.includes(character) && !ESCAPES.has(character)) throw new Mismatch()
      return ESCAPES.get(character) ?? character
    }
    if (character !== 'u') this.repairs.add(LITERALS)
    const digits = this.text.slice(this.position, this.position + CODES[character])
    const code = parseInt(digits, 16)
    if (digits.length < CODES[character] || !HEX.test(digits) || code > MAX_CODE_POINT) {
      throw new Mismatch(this.position + CODES[character] > this.text.length)
    }
    this.position += digits.length
    return String.fromCodePoint(code) // the halves of surrogate pairs join by themselves
  }

  number() {
    const number = matchAt(NUMBER, this.text, this.position) ?? ''
    this.position += number.length
    if (!JSON_NUMBER.test(number)) this.repairs.add(LITERALS)
    return Number(number)
  }

  word() {
    const word = matchAt(WORD, this.text, this.position)
    if (word === null || !WORDS.has(word)) throw new Mismatch()
    this.position += word.length
    if (!JSON_WORDS.includes(word)) this.repairs.add(LITERALS)
    return WORDS.get(word)
  }

  bareKey() {
    const key = matchAt(WORD, this.text, this.position)
    if (key === null) throw new Mismatch()
    this.position += key.length
    this.repairs.add(KEYS)
    return key
  }

  /** Step past white space and comments: // and # to the end of the line, slash-star to star-slash. */
  skipBlanks() {
    const { text } = this
    while (this.position < text.length) {
      if (BLANKS.includes(text[this.position])) {
        this.position++
      } else if (text[this.position] === '#' || text.startsWith('//', this.position)) {
        LINE_END.lastIndex = this.position
        const end = LINE_END.exec(text)
        this.position = end ? end.index + 1 : text.length
        this.repairs.add(COMMENTS)
      } else if (text.startsWith('/*', this.position)) {
        const end = text.indexOf('*/', this.position)
        if (end < 0) throw new Mismatch(true)
        this.position = end + 2
        this.repairs.add(COMMENTS)
      } else {
        return
      }
    }
  }

  /** @returns {string} */
  peek() {
    if (this.position >= this.text.length) throw new Mismatch(true)
    return this.text[this.position]
  }
}
