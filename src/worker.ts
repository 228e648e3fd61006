// The script of a worker that runs engines: waits for a page that says hello. The one-file build has it inside, and it does
// nothing in a page.
import { convert, distil, exportStudent, load, saveCheckpoint, saveStudent, shareLayers } from "./load.ts";
import { Host } from "./thread/host.ts";
import { languageFiles } from "./thread/language.ts";
import type { FromWorker, Service, ToWorker } from "./thread/protocol.ts";

const service: Service = {
  load: (source, { onLanguage, ...options }) =>
    load(source, { ...options, onTokenizer: (files, template) => onLanguage(languageFiles(files, template)) }),
  convert,
  distil,
  saveStudent,
  shareLayers,
  saveCheckpoint,
  exportStudent,
};

/** What is used of a worker's global scope; the DOM library has the page's. */
interface Scope {
  addEventListener(type: "message", hear: (event: MessageEvent<ToWorker>) => void): void;
  postMessage(message: FromWorker, transfer: []): void;
}

function serve(scope: Scope): void {
  let host: Host | null = null;
  scope.addEventListener("message", ({ data }) => {
    if (host) return host.hear(data);
    if (data?.type !== "longprompt:hello") return;
    host = new Host((message) => scope.postMessage(message, []), service);
    void holdLock().then((lock) => scope.postMessage({ type: "ready", lock }, []));
  });
}

/** A lock that the browser lets go when this worker ends, however it does. Null where there are no locks. */
function holdLock(): Promise<string | null> {
  const { locks } = navigator;
  if (!locks) return Promise.resolve(null);
  const name = `longprompt:worker:${crypto.randomUUID()}`;
  return new Promise((resolve) => {
    const held = (): Promise<never> => new Promise(() => resolve(name));
    void locks.request(name, held);
  });
}

/** Workers alone have it; so has no page, and no Node. */
if ("DedicatedWorkerGlobalScope" in globalThis) serve(globalThis as unknown as Scope);
