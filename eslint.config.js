// ESLint for the editor and its tests: the recommended rules. Types are checked by TypeScript, see jsconfig.json.

import js from '@eslint/js'
import globals from 'globals'

const { browser, node } = globals

export default [
  { ignores: ['build/', 'node_modules/', '.venv/', 'demo_output/', 'runs/'] },
  js.configs.recommended,
  {
    rules: {
      eqeqeq: 'error',
      'no-unused-vars': ['error', { argsIgnorePattern: '^_' }],
      'no-var': 'error',
      'prefer-const': 'error'
    }
  },
  { files: ['web/**/*.js'], languageOptions: { globals: browser } },
  // Tests run in Node and send functions to the browser.
  {
    files: ['tests/web/**/*.js', 'benchmarks/**/*.js', '*.config.js'],
    languageOptions: { globals: { ...node, ...browser } }
  }
]
