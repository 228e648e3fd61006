// load(): on this thread, or in a worker. Apart from what it starts, since a worker's script must not reach what starts workers:
// bundlers would go round in circles.
import type { Engine, LoadOptions, ModelSource } from "./api.ts";
import { load as loadHere } from "./load.ts";

/**
 * Loads a model and compiles its kernels. Throws UnsupportedError (browser, adapter or architecture), ModelError (bad
 * files), InputError (bad options) or the signal's reason; whatever was allocated is freed again. A device that is lost is
 * replaced, then and later: docs/api.md, "A lost device".
 */
export async function load(source: ModelSource, { worker = false, ...options }: LoadOptions = {}): Promise<Engine> {
  if (!worker) return loadHere(source, options);
  const { loadInWorker } = await import("./thread/start.ts");
  return loadInWorker(source, options, worker);
}
