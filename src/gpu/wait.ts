// Waiting for the GPU. Firefox looks every 100 ms, and with each submit, whether work is done: empty submits make it look
// sooner. Other browsers are told by the GPU.

/** Milliseconds between two of them. */
const NUDGE_MS = 2;

const looksSeldom = (agent = globalThis.navigator?.userAgent ?? ""): boolean => agent.includes("Firefox/");

/** `work`: what the queue does. `agent`: the browser's name. */
export function awaited<T>(queue: Pick<GPUQueue, "submit">, work: Promise<T>, agent?: string): Promise<T> {
  if (!looksSeldom(agent)) return work;
  const timer = setInterval(() => queue.submit([]), NUDGE_MS);
  return work.finally(() => clearInterval(timer));
}
