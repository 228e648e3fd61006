// The pages of demo/: a dev server (chat at /, benchmark at /bench.html, training at /distil.html, JSON and functions at /tools.html, models below /models/), and
// with `vite build --mode demo` a static site in dist-demo/. tools/package/build.mjs builds the library.

import { cpSync, existsSync, readdirSync, readFileSync, realpathSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import type { Plugin, UserConfig } from "vite";
import { modelFiles, modelList } from "./demo/server/files.mjs";
import { smallShaders } from "./shaders/plugin.mjs";

const root = fileURLToPath(new URL(".", import.meta.url));
const demo = join(root, "demo");

/** /models.json and /models/…: the embedded model and whatever lies in the git-ignored models/. */
function localModels(): Plugin {
  return {
    name: "longprompt-models",
    configureServer(server) {
      server.middlewares.use(modelList(join(root, "models")));
      server.middlewares.use(modelFiles("/models/", [join(demo, "models"), join(root, "models")]));
    },
  };
}

/** What pdf.js needs to read texts in the older encodings of Chinese, Japanese and Korean: below /cmaps/. */
const CMAPS = join(root, "node_modules/pdfjs-dist/cmaps");

/**
 * pdf.js imports from addresses that it computes, for pictures, which are not read here. Vite's way with such imports is a
 * client script that waits for changes; these pages have none.
 */
function plainPdfjs(): Plugin {
  return {
    name: "longprompt-pdfjs",
    apply: "serve",
    configureServer(server) {
      server.middlewares.use("/cmaps/", (request, response, next) => {
        const name = /^\/?([\w-]+\.bcmap)$/.exec(request.url ?? "")?.[1];
        const path = join(CMAPS, name ?? "");
        if (name && existsSync(path)) response.end(readFileSync(path));
        else next();
      });
    },
    transform: (code, id) =>
      /pdfjs-dist\/build\//.test(id) ? code.replaceAll(/\bimport\(/g, "Promise.reject(") : undefined,
  };
}

/** Copies the embedded model and the encodings beside the pages. */
function embeddedModel(): Plugin {
  let out = "";
  return {
    name: "longprompt-embedded-model",
    apply: "build",
    configResolved: ({ build }) => void (out = build.outDir),
    closeBundle() {
      const skip = /[/\\](training|golden\.json)/;
      cpSync(CMAPS, join(out, "cmaps"), { recursive: true });
      cpSync(join(demo, "models"), join(out, "models"), { recursive: true, filter: (path) => !skip.test(path) });
    },
  };
}

const EXAMPLES = readdirSync(join(demo, "examples")).filter((file) => file.endsWith(".html"));
const PAGES = [
  ...["index.html", "bench.html", "distil.html", "tools.html", "cli/index.html", "serve/index.html"].map((page) =>
    join(demo, page),
  ),
  ...EXAMPLES.map((page) => join(demo, "examples", page)),
];

/** Not every server knows that .mjs is JavaScript, and a worker of another type does not start. */
const isModule = (names: readonly string[]): boolean => names.some((name) => name.endsWith(".mjs"));

const pages: UserConfig = {
  root: demo,
  base: "./",
  publicDir: false,
  plugins: [localModels(), embeddedModel(), smallShaders()],
  worker: { format: "es", plugins: () => [smallShaders()] },
  build: {
    target: "es2023",
    outDir: join(root, "dist-demo"),
    emptyOutDir: true,
    rolldownOptions: {
      input: PAGES,
      output: { assetFileNames: ({ names }) => `assets/[name]-[hash]${isModule(names) ? ".js" : "[extname]"}` },
    },
  },
};

const serving: UserConfig = {
  root: demo,
  appType: "mpa", // an unknown path is a 404, never the chat page: the loader probes for files
  publicDir: false,
  plugins: [localModels(), plainPdfjs()],
  optimizeDeps: { noDiscovery: true }, // every dependency is one ES module already; nothing to prebuild, no reload mid-run
  server: { host: "localhost", fs: { allow: [root, realpathSync(join(root, "node_modules"))] } },
};

export default defineConfig(({ command }) => (command === "serve" ? serving : pages));
