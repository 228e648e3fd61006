// `npm run serve`: the engine in a headless browser, behind OpenAI's paths on this machine.

import { once } from "node:events";
import { resolveModel } from "./arguments/models.mjs";
import { UsageError } from "./arguments/read.mjs";
import { parseServe, SERVE_HELP } from "./arguments/serve.mjs";
import { command, inPage, onQuit, print, showProgress } from "./command.mjs";
import { apiServer } from "./http.mjs";

async function main(argv) {
  const options = parseServe(argv);
  if (options.help) return print(`${SERVE_HELP}\n`);
  const model = await resolveModel(options.model);
  const setting = { model, path: "/serve/", browser: options.software ? { software: true } : {} };
  await inPage(setting, async (page, source) => {
    await page.exposeFunction("emitProgress", showProgress);
    const backend = await backendOf(page, source, options.load);
    showProgress("");
    if (backend.error) return backend;
    await listen(apiServer(backend, options.guard), options, backend.model);
    return new Promise(() => {}); // until a signal, or until the browser ends
  });
}

/** The page's engine, or the `error` with which it does not load. */
async function backendOf(page, source, load) {
  const running = new Map();
  let last = 0;
  await page.exposeFunction("emitChunk", (id, chunk) => running.get(id)?.(chunk));
  await page.waitForFunction(() => "openServed" in window);
  const opened = await page.evaluate(([source, load]) => window.openServed(source, load), [source, load]);
  if (opened.error) return opened;
  return {
    model: opened.model,
    created: Math.floor(Date.now() / 1000),
    async run(kind, body, { signal, onChunk }) {
      const id = ++last;
      const stop = () => void page.evaluate((id) => window.stopServed(id), id).catch(() => {});
      running.set(id, onChunk);
      signal.addEventListener("abort", stop);
      try {
        const { answer, error } = await page.evaluate((asked) => window.runServed(...asked), [id, kind, body]);
        if (error) throw Object.assign(new Error(error.message), error);
        return answer;
      } finally {
        signal.removeEventListener("abort", stop);
        running.delete(id);
      }
    },
  };
}

async function listen(server, { port, host, guard }, model) {
  onQuit(() => {
    server.closeAllConnections();
    server.close();
  });
  server.listen(port, host);
  await once(server, "listening").catch(({ code }) => {
    throw new UsageError(`--port ${port} cannot be used: ${code}. Give another.`);
  });
  const at = `http://${host.includes(":") ? `[${host}]` : host}:${server.address().port}/v1`;
  const token = guard.token === undefined ? "" : "  clients need the token.\n";
  await print(`\n  ${model} is served at ${at}\n${token}  Ctrl-C ends it.\n\n`);
}

void command("longprompt serve", main);
