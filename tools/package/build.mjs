// What `npm run build` makes of the library: dist/index.js with chunks that are fetched when needed, and
// dist/longprompt.min.js, the same in one file for a page without a bundler.
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

/** Names the chunk `core` for every module that the entry imports without waiting: one file instead of thirty. */
function coreChunk() {
  const known = new Map();
  const isCore = (id, graph) => {
    if (id.endsWith(`/${ENTRIES.index}`)) return true;
    if (!known.has(id)) {
      known.set(id, false); // on the way: an import cycle
      known.set(
        id,
        (graph.getModuleInfo(id)?.importers ?? []).some((from) => isCore(from, graph)),
      );
    }
    return known.get(id);
  };
  return { groups: [{ debugName: "core", name: (id, graph) => (isCore(id, graph) ? "core" : null) }] };
}

const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(ROOT, "package.json"), "utf8"));
/** Packages that are imported only where they are used, and may be missing. */
export const OPTIONAL = Object.keys(optionalDependencies);

const shared = (output, more) => ({
  root: ROOT,
  configFile: false,
  logLevel: "warn",
  publicDir: false,
  plugins: [smallShaders()],
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
  const config = shared(files, {
    external: [...Object.keys(dependencies), ...OPTIONAL],
    preserveEntrySignatures: "allow-extension",
  });
  config.build.lib = { entry: ENTRIES, formats: ["es"] };
  return config;
}

/** Of the library in one file that imports nothing, except what is optional where that is used. */
export function singleFileConfig() {
  const output = { entryFileNames: "longprompt.min.js", codeSplitting: false };
  const config = shared(output, { external: OPTIONAL });
  config.build.lib = { entry: ENTRIES.index, formats: ["es"] };
  return config;
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  rmSync(join(ROOT, "dist"), { recursive: true, force: true });
  await build(libraryConfig());
  await build(singleFileConfig());
  execFileSync(process.execPath, [join(ROOT, "tools/package/types.mjs")], { stdio: "inherit" });
}
