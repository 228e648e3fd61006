// The server for the commands: the demo pages, and models from elsewhere on the disk.

import { randomBytes } from "node:crypto";
import { existsSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { modelFiles } from "./files.mjs";

/** Of the repository, or of the published package, which has the pages as they were built. */
const ROOT = join(dirname(fileURLToPath(import.meta.url)), "../..");
export const isPublished = !existsSync(join(ROOT, "vite.config.ts"));

/** Serves the demo without file watching.
 * @param {{port?: number, local?: {directory: string, file: string}, students?: readonly {directory: string, file: string}[], watch?: boolean}} [options]
 *   port 0 or none = any free one; local = a model, students = files beside it, to mount under paths nobody can guess
 * @returns {Promise<{url: string, source: string | null, students: string[], named(text: string): string, close(): Promise<void>}>}
 *   source, students = what is mounted as a page on `url` names it; named = `text` with such addresses turned into paths on the disk again */
export async function serve(options = {}) {
  const local = options.local && mounted(options.local);
  const students = (options.students ?? []).map(mounted);
  const mounts = [...(local ? [local] : []), ...students];
  const { listen } = await import(isPublished ? "./built.mjs" : "./dev.mjs");
  const { port = 0, watch = false } = options;
  const server = await listen({ root: ROOT, port, watch, middlewares: mounts.map(mount) });
  const url = `http://localhost:${server.port}`;
  const named = (text, { prefix, directory }) =>
    text.replaceAll(url + prefix, join(directory, "/")).replaceAll(prefix, join(directory, "/"));
  return {
    url,
    named: (text) => mounts.reduce(named, text),
    source: local?.source ?? null,
    students: students.map(({ source }) => source),
    close: server.close,
  };
}

/** A place on the disk and its address. The directory's own name comes last, because the engine names a model after it. */
function mounted({ directory, file }) {
  const prefix = `/mounted-${randomBytes(16).toString("hex")}/${encodeURIComponent(basename(directory))}/`;
  return { directory, file, prefix, source: prefix + encodeURIComponent(file) };
}

/** Answers requests for one model. */
function mount({ prefix, directory, file }) {
  const files = modelFiles(prefix, [directory]);
  return (request, response, next) => {
    const path = request.url.split(/[?#]/)[0];
    // A single file was asked for: its neighbours stay private.
    const private_ = file && path.startsWith(prefix) && path !== prefix + encodeURIComponent(file);
    if (private_) return void response.writeHead(404).end();
    return files(request, response, next);
  };
}
