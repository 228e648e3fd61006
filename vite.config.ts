// Two jobs: the dev server of demo/ (chat at /, benchmark at /bench.html, training at /distil.html, models below /models/), and the builds.
// `vite build` makes the library in dist/, `vite build --mode demo` a static site in dist-demo/.

import { execFileSync } from "node:child_process";
import { cpSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { defineConfig } from "vite";
import type { Plugin, UserConfig } from "vite";
import { modelFiles, modelList } from "./demo/server/files.mjs";

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

/** Type declarations beside dist/index.js. */
function declarations(): Plugin {
  const flags =
    "--ignoreConfig --declaration --emitDeclarationOnly --allowImportingTsExtensions --skipLibCheck --strict";
  const language =
    "--target es2023 --module esnext --moduleResolution bundler --types @webgpu/types --lib es2023,dom,dom.iterable,dom.asynciterable";
  return {
    name: "longprompt-declarations",
    closeBundle() {
      const compiler = join(root, "node_modules/typescript/bin/tsc");
      const places = ["--rootDir", "src", "--outDir", "dist", "src/index.ts", "src/ai-sdk/index.ts"];
      execFileSync(process.execPath, [compiler, ...flags.split(" "), ...language.split(" "), ...places], {
        cwd: root,
        stdio: "inherit",
      });
    },
  };
}

function embeddedModel(): Plugin {
  return {
    name: "longprompt-embedded-model",
    closeBundle() {
      const skip = /[/\\](training|golden\.json)/;
      cpSync(join(demo, "models"), join(root, "dist-demo/models"), {
        recursive: true,
        filter: (path) => !skip.test(path),
      });
    },
  };
}

function library(): UserConfig {
  const { dependencies, optionalDependencies } = JSON.parse(readFileSync(join(root, "package.json"), "utf8")) as Record<
    "dependencies" | "optionalDependencies",
    object
  >;
  const entry = { index: "src/index.ts", "ai-sdk": "src/ai-sdk/index.ts" };
  return {
    root,
    publicDir: false,
    plugins: [declarations()],
    build: {
      target: "es2023",
      lib: { entry, formats: ["es"] },
      rolldownOptions: { external: Object.keys({ ...dependencies, ...optionalDependencies }) },
    },
  };
}

const pages: UserConfig = {
  root: demo,
  base: "./",
  publicDir: false,
  plugins: [localModels(), embeddedModel()],
  build: {
    target: "es2023",
    outDir: join(root, "dist-demo"),
    emptyOutDir: true,
    rolldownOptions: { input: ["index.html", "bench.html", "distil.html"].map((page) => join(demo, page)) },
  },
};

const serving: UserConfig = {
  root: demo,
  appType: "mpa", // an unknown path is a 404, never the chat page: the loader probes for files
  publicDir: false,
  plugins: [localModels()],
  optimizeDeps: { noDiscovery: true }, // every dependency is one ES module already; nothing to prebuild, no reload mid-run
  server: { host: "localhost", fs: { allow: [root] } },
};

export default defineConfig(({ command, mode }) => {
  if (command === "serve") return serving;
  return mode === "demo" ? pages : library();
});
