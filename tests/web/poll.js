// Waiting in the browser tests.

export const WAIT_MS = 30_000

/** Waits until a condition holds. Throws the last error, or a timeout, if it never does. */
export async function poll(holds, wait = WAIT_MS) {
  const deadline = Date.now() + wait
  for (;;) {
    try {
      if (await holds()) return
      if (Date.now() > deadline) throw new Error(`Timeout: ${holds}`)
    } catch (error) {
      if (Date.now() > deadline) throw error
    }
    await pause(50)
  }
}

export function pause(milliseconds) {
  return new Promise((done) => setTimeout(done, milliseconds))
}
