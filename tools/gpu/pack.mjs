// npm run gpu: packs what a run on a Linux GPU machine needs, so that it needs neither a network nor a browser there: Node, Dawn,
// the Vulkan loader, kernel tests, the model that comes with the repository, and the benchmark. tools/gpu.sh unpacks and runs it.
//   node tools/gpu/pack.mjs [--out FOLDER] [--parts]     --parts: the programs alone, not packed, with Node and Dawn of this machine
import { execFileSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { argv, execPath, exit } from "node:process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";

const ROOT = fileURLToPath(new URL("../..", import.meta.url));
const { values } = parseArgs({
  args: argv.slice(2),
  options: { out: { type: "string", default: join(ROOT, "dist-gpu") }, parts: { type: "boolean", default: false } },
});
/** Bytes that a pack may have. */
const MOST = 60e6;
const PROGRAMS = { main: "tools/gpu/main.ts", slice: "tools/gpu/slice.ts", kernels: "test/kernels/native.ts" };
const MODEL = [
  "config.json",
  "generation_config.json",
  "golden.json",
  "model.safetensors",
  "tokenizer.json",
  "tokenizer_config.json",
];
const webgpu = join(ROOT, "node_modules/webgpu");

function putParts(folder) {
  mkdirSync(join(folder, "fable"), { recursive: true });
  for (const [name, entry] of Object.entries(PROGRAMS)) {
    const bundle = join(folder, `${name}.mjs`);
    execFileSync(execPath, [join(ROOT, "test/native.mjs"), "--entry", entry, "--bundle", bundle], { stdio: "inherit" });
  }
  writeFileSync(join(folder, "package.json"), '{ "type": "module" }\n');
  for (const name of MODEL) cpSync(join(ROOT, "demo/models/fable", name), join(folder, "fable", name));
}

function putDawn(folder) {
  const binary = "dist/linux-x64/dawn.node";
  mkdirSync(join(folder, "node_modules/webgpu/dist/linux-x64"), { recursive: true });
  for (const file of ["index.js", "package.json", "LICENSE.md", binary])
    cpSync(join(webgpu, file), join(folder, "node_modules/webgpu", file), { dereference: true });
}

/** Node without its symbols, of this machine: it must be Linux on x86-64, as the other is. */
function putNode(folder) {
  if (process.platform !== "linux" || process.arch !== "x64") {
    throw new Error(
      `gpu: Node; got ${process.platform} ${process.arch}, want linux x64, as on the machine with the GPU.`,
    );
  }
  cpSync(execPath, join(folder, "node"), { dereference: true });
  try {
    execFileSync("strip", ["-s", join(folder, "node")], { stdio: "ignore" });
  } catch {
    console.log("gpu: no strip here; the pack has Node's symbols, too");
  }
}

/** Debian's Vulkan loader, for machines that have a driver and no loader. */
function putLoader(folder) {
  const scratch = mkdtempSync(join(tmpdir(), "longprompt-loader-"));
  try {
    execFileSync("apt-get", ["download", "libvulkan1"], { cwd: scratch, stdio: "ignore" });
    const [deb] = readdirSync(scratch);
    execFileSync("dpkg-deb", ["-x", deb, "."], { cwd: scratch });
    const found = execFileSync("find", [".", "-name", "libvulkan.so.1*", "-type", "f"], {
      cwd: scratch,
      encoding: "utf8",
    });
    mkdirSync(join(folder, "lib"));
    cpSync(join(scratch, found.trim()), join(folder, "lib/libvulkan.so.1"));
  } catch (cause) {
    throw new Error(
      "gpu: no Vulkan loader; apt-get download libvulkan1 failed. Run apt-get update, on Debian or Ubuntu.",
      { cause },
    );
  } finally {
    rmSync(scratch, { recursive: true });
  }
}

function main() {
  const folder = join(values.out, "longprompt-gpu");
  rmSync(folder, { recursive: true, force: true });
  putParts(folder);
  if (values.parts) {
    mkdirSync(join(folder, "node_modules"));
    symlinkSync(webgpu, join(folder, "node_modules/webgpu"));
    return;
  }
  putDawn(folder);
  putNode(folder);
  putLoader(folder);
  const archive = join(values.out, "longprompt-gpu.tar.gz");
  // gzip, since bare machines have no xz.
  execFileSync("tar", ["-C", values.out, "-I", "gzip -9", "-cf", archive, "longprompt-gpu"]);
  rmSync(folder, { recursive: true });
  const { size } = statSync(archive);
  if (size > MOST) throw new Error(`gpu: the pack; got ${size} bytes, want at most ${MOST}.`);
  console.log(`${archive}: ${(size / 1e6).toFixed(1)} MB\non a Linux machine with a GPU: tools/gpu.sh ${archive}`);
}

try {
  if (!existsSync(webgpu)) throw new Error("gpu: got no node_modules/webgpu, want it. Run npm ci.");
  main();
} catch (error) {
  console.error(error instanceof Error ? error.message : String(error));
  exit(1);
}
