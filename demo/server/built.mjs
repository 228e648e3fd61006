// The pages as `vite build --mode demo` wrote them: what the commands of the published package use. They need no script from
// elsewhere and no text run as code, and the browser is told so.

import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";
import { modelFiles, modelList } from "./files.mjs";

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".bcmap": "application/octet-stream",
};

/** Models may come from anywhere, everything else from here. Workers of text are refused: the engine does without (docs/security.md). */
export const POLICY = [
  "default-src 'self'",
  "script-src 'self'",
  "style-src 'self'",
  "img-src 'self' data:",
  "connect-src 'self' https: http://localhost:*",
  "object-src 'none'",
  "base-uri 'none'",
  "form-action 'none'",
  "frame-ancestors 'none'",
].join("; ");

/** Of the pages that compile WebAssembly where a reply has a schema: see src/grammar/xgrammar.ts. */
const GRAMMAR_POLICY = POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'");

/** @param {{root: string, port: number, middlewares: readonly import("./files.d.mts").Middleware[]}} options root = of the package; port 0 = any free one
 * @returns {Promise<{port: number, close(): Promise<void>}>} */
export async function listen({ root, port, middlewares }) {
  const folder = join(root, "dist-demo");
  const answers = [
    ...middlewares,
    modelList(join(root, "models")),
    modelFiles("/models/", [join(folder, "models"), join(root, "models")]),
    pages(folder),
  ];
  const server = createServer((request, response) => void answer(answers, request, response));
  await new Promise((resolve, reject) => server.once("error", reject).listen(port, "localhost", resolve));
  const close = () => {
    server.closeAllConnections();
    return new Promise((resolve) => void server.close(resolve));
  };
  return { port: server.address().port, close };
}

/** Asks one after another; what none answers is not there. */
async function answer([first, ...others], request, response) {
  if (!first) return response.writeHead(404, { "Content-Type": "text/plain" }).end("not found\n");
  await first(request, response, (error) =>
    error ? response.writeHead(500).end() : void answer(others, request, response),
  );
}

function pages(folder) {
  return async (request, response, next) => {
    const path = normalize(decodeURIComponent(request.url.split(/[?#]/)[0])).replace(/\/$/, "/index.html");
    const type = TYPES[extname(path)];
    const file = join(folder, path);
    if (!type || !(await stat(file).catch(() => null))?.isFile()) return next();
    response.writeHead(200, {
      "Content-Type": type,
      "Content-Security-Policy": /^\/(serve\/|tools\.html$)/.test(path) ? GRAMMAR_POLICY : POLICY,
      "Cache-Control": "no-cache",
      "X-Content-Type-Options": "nosniff",
      "Referrer-Policy": "no-referrer",
    });
    createReadStream(file).pipe(response);
  };
}
