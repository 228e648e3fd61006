// Starts a worker and loads a model in it.
import type { Engine, LoadOptions, ModelSource } from "../api.ts";
import { InputError, UnsupportedError, WorkerLostError } from "../errors.ts";
import { absoluteSource } from "../io/files/source.ts";
import { ThreadEngine } from "./engine.ts";
import { Language, type LanguageFiles } from "./language.ts";
import { Link } from "./link.ts";
import { type FromWorker, type Service, SERVICE } from "./protocol.ts";
import { Target } from "./target.ts";

/** Vite looks for this very expression; in the package, the script is the library in one file (tools/package/build.mjs). */
const ownWorker = (): Worker =>
  new Worker(new URL("../worker.ts", import.meta.url), { type: "module", name: "longprompt" });

export async function loadInWorker(
  source: ModelSource,
  { device, ...options }: Omit<LoadOptions, "worker">,
  worker: true | (() => Worker),
): Promise<Engine> {
  if (device)
    throw new InputError(
      "worker: got a device, which cannot leave its thread, want none: the worker opens its own. Leave out device or worker.",
    );
  const link = await linked(worker === true ? ownWorker : worker, options.signal);
  try {
    return await loadOver(link, source, options);
  } catch (error) {
    link.close(lost());
    throw error;
  }
}

async function loadOver(link: Link, source: ModelSource, options: Omit<LoadOptions, "worker">): Promise<Engine> {
  const service = new Target<Service>(link, SERVICE);
  let files: LanguageFiles | null = null;
  const { student, trained, ...others } = options;
  const given = {
    ...others,
    ...(student !== undefined && { student: student instanceof File ? student : sendable(student) }),
    ...(trained !== undefined && { trained: [trained].flat().map(absolute) }),
    onLanguage: (told: LanguageFiles) => void (files = told),
  };
  const { target, made } = service.make("load", sendable(source), given);
  await made;
  const language = await Language.of(files!); // told before the load ends
  return ThreadEngine.of({ engine: target, home: { service, engines: 0 }, language });
}

/** Addresses count from the page, not from the worker's script. */
const absolute = <T>(source: T): T | string => (typeof source === "string" ? absoluteSource(source) : source);
const sendable = (source: ModelSource): ModelSource => absolute(source);

const unstarted = (got: string, cause?: unknown): UnsupportedError =>
  new UnsupportedError(
    `worker: it does not start; got ${got}, want a module worker whose script this page may load (same origin; its policy: script-src or worker-src). Correct that, or load without worker.`,
    { code: "no-worker", cause },
  );

const lost = (): WorkerLostError =>
  new WorkerLostError("worker: it went away; it ran out of memory, or was terminated. Load the model again.");

/** A link to a worker that has said that it is ready. */
async function linked(start: () => Worker, signal: AbortSignal | undefined): Promise<Link> {
  signal?.throwIfAborted();
  const worker = started(start);
  const over = new AbortController();
  const close = (): void => {
    over.abort();
    worker.terminate();
  };
  const link = new Link({ post: (message) => worker.postMessage(message, []), close });
  try {
    const lock = await greeted(worker, link, signal);
    worker.addEventListener("messageerror", () => link.die(lost()), { signal: over.signal });
    // It is granted when the worker no longer holds it.
    if (lock !== null) navigator.locks.request(lock, { signal: over.signal }, () => link.die(lost())).catch(() => {});
    return link;
  } catch (error) {
    close();
    throw error;
  }
}

function started(start: () => Worker): Worker {
  if (!("Worker" in globalThis)) throw unstarted("no workers here");
  try {
    return start();
  } catch (cause) {
    throw unstarted(String(cause), cause);
  }
}

/** Resolves with the name of the lock that the worker holds. */
function greeted(worker: Worker, link: Link, signal: AbortSignal | undefined): Promise<string | null> {
  const heard = new AbortController();
  const listening = { signal: heard.signal };
  const greeting = new Promise<string | null>((resolve, reject) => {
    signal?.addEventListener("abort", () => reject(signal.reason as Error), listening);
    const refuse = ({ message }: ErrorEvent): void => reject(unstarted(message || "an error of its script"));
    worker.addEventListener("error", refuse, listening);
    worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
      if (data.type === "ready") resolve(data.lock);
      else link.hear(data);
    });
    worker.postMessage({ type: "longprompt:hello" }, []);
  });
  return greeting.finally(() => heard.abort());
}
