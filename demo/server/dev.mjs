// The pages from their sources, by Vite's development server: what commands use inside the repository.

import { join } from "node:path";
import { createServer } from "vite";

/** Vite's client would look for the web socket of hot reloading, which is off here. */
const withoutClient = {
  name: "longprompt-without-client",
  transformIndexHtml: {
    order: "post",
    handler: (html) => html.replace(/<script type="module" src="\/@vite\/client"><\/script>/, ""),
  },
};

/** @returns {Promise<{port: number, close(): Promise<void>}>} */
export async function listen({ root, port, watch, middlewares }) {
  const answering = {
    name: "longprompt-middlewares",
    configureServer: (server) => middlewares.forEach((answer) => server.middlewares.use(answer)),
  };
  const server = await createServer({
    root: join(root, "demo"),
    configFile: join(root, "vite.config.ts"),
    logLevel: "silent",
    server: { port, host: "localhost", open: false, ...(watch ? {} : { watch: null, hmr: false, ws: false }) },
    plugins: [answering, ...(watch ? [] : [withoutClient])],
  });
  await server.listen();
  return { port: server.httpServer.address().port, close: () => server.close() };
}
