// What `npm run build` makes of the library: dist/index.js with chunks that are fetched when needed, dist/worker.js, the script of
// workers, and dist/longprompt.min.js, the same in one file for a page without a bundler.
//   node tools/package/build.mjs
import { execFileSync } from "node:child_process";
import { readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { smallShaders } from "../../shaders/plugin.mjs";

export const ROOT = fileURLToPath(new URL("../..", import.meta.url));

/** Files of dist/ that are imported by name, and what they are made of. Each has a line in `exports` of package.json, too. */
export const ENTRIES = { index: "src/index.ts", recipes: "src/recipes.ts", "ai-sdk": "src/ai-sdk/index.ts" };

/** Scripts of dist/ that others start: as a worker in several files, for bundlers that make workers of modules. */
const SCRIPTS = { worker: "src/worker.ts" };

/**
 * Names the chunk `core` for every module that the entry imports without waiting: one file instead of thirty. What leads to the
 * start of workers is no part of it, since a worker's script imports it, too.
 */
function coreChunk() {
  const isOutside = (id) => id.endsWith(`/${ENTRIES.index}`) || id.endsWith("/src/start.ts");
  const known = new Map();
  const isCore = (id, graph) => {
    if (isOutside(id)) return false;
    if (!known.has(id)) {
      known.set(id, false); // on the way: an import cycle
      known.set(
        id,
        (graph.getModuleInfo(id)?.importers ?? []).some(
          (from) => from.endsWith(`/${ENTRIES.index}`) || isCore(from, graph),
        ),
      );
    }
    return known.get(id);
  };
  return { groups: [{ debugName: "core", name: (id, graph) => (isCore(id, graph) ? "core" : null) }] };
}

const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
/** Packages that are imported only where they are used, and may be missing. */
export const OPTIONAL = Object.keys(optionalDependencies);

/** The worker's script in src/thread/start.ts, as Vite looks for it when it makes this repository's pages. */
const WORKER_URL = /new URL\("\.\.\/worker\.ts", import\.meta\.url\)/;

/**
 * Puts the address of a built script there, as a text: bundlers of applications then take the script as it is. Where they find
 * `new Worker(new URL(…))`, Vite makes a worker of its own, which fails for scripts in several files unless the application's
 * configuration says that its workers are modules.
 */
function workerScript(address) {
  const mark = "__WORKER_ADDRESS__";
  return {
    name: "longprompt-worker-script",
    enforce: "pre",
    transform: (code, id) => (id.endsWith("/src/thread/start.ts") ? swapped(code, WORKER_URL, mark) : null),
    renderChunk: (code) => (code.includes(mark) ? { code: code.replaceAll(mark, address), map: null } : null),
  };
}

function swapped(code, pattern, text) {
  if (!pattern.test(code))
    throw new Error(`build: src/thread/start.ts; got no ${pattern}, want it where a worker starts`);
  return { code: code.replace(pattern, text), map: null };
}

const shared = (address, output, more) => ({
  root: ROOT,
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  plugins: [smallShaders(), workerScript(address)],
  build: {
    target: "es2023",
    outDir: "dist",
    emptyOutDir: false,
    sourcemap: true,
    reportCompressedSize: false,
    rolldownOptions: { output: { minify: true, ...output }, ...more },
  },
});

/** Vite's configuration of the library for bundlers; dependencies stay imports. */
export function libraryConfig() {
  const files = { entryFileNames: "[name].js", chunkFileNames: "chunks/[name].js", codeSplitting: coreChunk() };
  const config = shared('`${new URL("../longprompt.min.js", import.meta.url)}`', files, {
    external: [...Object.keys(dependencies), ...OPTIONAL],
    preserveEntrySignatures: "allow-extension",
  });
  config.build.lib = { entry: { ...ENTRIES, ...SCRIPTS }, formats: ["es"] };
  return config;
}

/** Of the library in one file that imports nothing, except what is optional where that is used. It is the worker's script, too. */
export function singleFileConfig() {
  const output = { entryFileNames: "longprompt.min.js", codeSplitting: false };
  const config = shared("import.meta.url", output, { external: OPTIONAL });
  config.build.lib = { entry: "tools/package/single.ts", formats: ["es"] };
  return config;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync(join(ROOT, "dist"), { recursive: true, force: true });
  await build(libraryConfig());
  await build(singleFileConfig());
  execFileSync(process.execPath, [join(ROOT, "tools/package/types.mjs")], { stdio: "inherit" });
}
