// @ts-check
// Answers of the server.

/**
 * @param {Response} answer
 * @param {string} problem start of the error message
 */
export async function expectOk(answer, problem) {
  if (!answer.ok) throw new Error(`${problem}: ${answer.status} ${answer.statusText}`)
}
