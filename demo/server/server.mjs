// The dev server for the commands: the demo pages, and at most one model from elsewhere on the disk.

import { randomBytes } from "node:crypto";
import { basename, dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { createServer } from "vite";
import { modelFiles } from "./files.mjs";

const REPOSITORY = join(dirname(fileURLToPath(import.meta.url)), "../..");

/** Serves the demo without file watching.
 * @param {{port?: number, local?: {directory: string, file: string}, students?: readonly {directory: string, file: string}[], watch?: boolean}} [options]
 *   port 0 or none = any free one; local = a model, students = files beside it, to mount under paths nobody can guess
 * @returns {Promise<{url: string, source: string | null, students: string[], named(text: string): string, close(): Promise<void>}>}
 *   source, students = what is mounted as a page on `url` names it; named = `text` with such addresses turned into paths on the disk again */
export async function serve(options = {}) {
  const local = options.local && mounted(options.local);
  const students = (options.students ?? []).map(mounted);
  const mounts = [...(local ? [local] : []), ...students];
  const server = await createServer({
    root: join(REPOSITORY, "demo"),
    configFile: join(REPOSITORY, "vite.config.ts"),
    logLevel: "silent",
    server: {
      port: options.port ?? 0,
      host: "localhost",
      open: false,
      ...(options.watch ? {} : { watch: null, hmr: false, ws: false }),
    },
    plugins: [...mounts.map(mount), ...(options.watch ? [] : [withoutClient])],
  });
  await server.listen();
  const url = `http://localhost:${server.httpServer.address().port}`;
  const named = (text, { prefix, directory }) =>
    text.replaceAll(url + prefix, join(directory, "/")).replaceAll(prefix, join(directory, "/"));
  return {
    url,
    named: (text) => mounts.reduce(named, text),
    source: local?.source ?? null,
    students: students.map(({ source }) => source),
    close: () => server.close(),
  };
}

/** A place on the disk and its address. The directory's own name comes last, because the engine names a model after it. */
function mounted({ directory, file }) {
  const prefix = `/mounted-${randomBytes(16).toString("hex")}/${encodeURIComponent(basename(directory))}/`;
  return { directory, file, prefix, source: prefix + encodeURIComponent(file) };
}

/** Vite's client would look for the web socket of hot reloading, which is off here. */
const withoutClient = {
  name: "longprompt-without-client",
  transformIndexHtml: {
    order: "post",
    handler: (html) => html.replace(/<script type="module" src="\/@vite\/client"><\/script>/, ""),
  },
};

function mount({ prefix, directory, file }) {
  const files = modelFiles(prefix, [directory]);
  return {
    name: `longprompt-mount ${prefix}`,
    configureServer(server) {
      server.middlewares.use((request, response, next) => {
        const path = request.url.split(/[?#]/)[0];
        // A single file was asked for: its neighbours stay private.
        const private_ = file && path.startsWith(prefix) && path !== prefix + encodeURIComponent(file);
        if (private_) return void response.writeHead(404).end();
        return files(request, response, next);
      });
    },
  };
}
