// Bundles a TypeScript entry and runs it in Node with Dawn: node test/native.mjs [--entry FILE] [--bundle OUT] [--small] [arguments …]
// --small takes the shaders as builds have them (shaders/plugin.mjs).
// On Linux without a GPU, Dawn finds SwiftShader beside the installed Chromium.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { argv, env, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { build } from "vite";
import { smallShaders } from "../shaders/plugin.mjs";

const rest = argv.slice(2);
const take = (flag) => {
  const at = rest.indexOf(flag);
  return at < 0 ? undefined : rest.splice(at, 2)[1];
};
const root = fileURLToPath(new URL("..", import.meta.url));
const entry = take("--entry") ?? "test/kernels/native.ts";
const bundle = take("--bundle");
const small = rest.includes("--small");
const out = bundle ?? `${root}node_modules/.cache/native/${entry.replaceAll("/", "-").replace(".ts", "")}.mjs`;
await build({
  root,
  configFile: false,
  logLevel: "error",
  plugins: small ? [smallShaders()] : [],
  build: {
    ssr: entry,
    outDir: out.slice(0, out.lastIndexOf("/")),
    emptyOutDir: false,
    minify: false,
    rolldownOptions: {
      output: { entryFileNames: out.slice(out.lastIndexOf("/") + 1), format: "es" },
      external: ["webgpu"],
    },
  },
  ssr: { noExternal: [/^(?!webgpu$)/] },
});
if (bundle) exit(0);
const chromium = ["/usr/lib/chromium", "/opt/google/chrome"].find((dir) =>
  existsSync(`${dir}/vk_swiftshader_icd.json`),
);
const software = chromium && !existsSync("/dev/nvidia0") && !existsSync("/dev/dri");
const vulkan = software ? { LD_LIBRARY_PATH: chromium, VK_ICD_FILENAMES: `${chromium}/vk_swiftshader_icd.json` } : {};
spawn(execPath, [out, ...rest], { stdio: "inherit", env: { ...env, ...vulkan } }).on("exit", (code) => exit(code ?? 1));
