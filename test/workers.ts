// What the tests of workers call inside the page: workers that are ended, and workers that do not start.
import { EngineError, load, type LoadOptions } from "../src/index.ts";

const started = new Map<string, Worker>();

/** Starts the worker of an engine, by the engine's name. */
export const starting = (name: string) => (): Worker => {
  const worker = new Worker(new URL("../src/worker.ts", import.meta.url), { type: "module", name });
  started.set(name, worker);
  return worker;
};

/** Ends the worker behind the engine's back. */
const terminate = (name: string): void => started.get(name)!.terminate();

const failure = (source: string, options: LoadOptions): Promise<string> =>
  load(new URL(source, location.href).href, options).then(
    (engine) => (engine.dispose(), "loaded"),
    (error: unknown) =>
      error instanceof EngineError ? `${error.name} ${error.code}: ${error.message}` : String(error),
  );

/** What loading comes to where it cannot succeed. */
async function failures(source: string): Promise<Record<string, string>> {
  const device = await (await navigator.gpu.requestAdapter())!.requestDevice();
  const refuse = (): never => {
    throw new DOMException("not from here", "SecurityError");
  };
  const stopping = new AbortController();
  const onProgress = (): void => stopping.abort(new Error("enough"));
  const found = {
    device: await failure(source, { worker: true, device }),
    script: await failure(source, { worker: () => new Worker("/no-such-script.js", { type: "module" }) }),
    policy: await failure(source, { worker: refuse }),
    model: await failure("/test-models/no-such-model/", { worker: true }),
    abort: await failure(source, { worker: true, onProgress, signal: stopping.signal }),
  };
  device.destroy();
  return found;
}

export const workers = { failures, terminate };
