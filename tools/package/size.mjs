// npm run size: bytes of the library as it is loaded, gzip -9. Fails where the engine without optional parts is above LIMIT.
import { SourceMap } from "node:module";
import { gzipSync } from "node:zlib";
import { build } from "vite";
import { libraryConfig, OPTIONAL } from "./build.mjs";

/** kB (1000 bytes): what a page loads for a safetensors model on a GPU, without its chat template; dependencies included. */
const LIMIT = 80;

/** When a chunk is fetched, by name. */
const WHEN = {
  chat: "a model with a chat template",
  whole: "a GGUF file",
  uncommon: "weights in several files, older tokenizers, no checkpoint, models that see",
  names: "wrapped models, fused matrices, GGUF files",
  local: "files and folders that the user picks",
  stretched: "scaled rotations: Llama 3, yarn, longrope",
  spelled: "an adapter without a GPU, or tuning",
  gguf: "a GGUF file",
  blocks: "a GGUF file",
  cpu: "an adapter without a GPU",
  software: "an adapter without a GPU",
  int8: "int8Products",
  matrix: "matrixProducts",
  rounded: "int8Products, matrixProducts",
  tune: "tune: auto, the default",
  gpu: "a GPU",
  tiles: "a GPU",
  remember: "tune: auto, the default",
  spare: "few models",
  others: "few models",
  place: "few models",
  kv: "a recipe with a cache system",
  parse: "a recipe with a cache system",
  recipes: "the entry longprompt/recipes",
  "ai-sdk": "the entry longprompt/ai-sdk",
  remote: "a model from elsewhere, or a GGUF file",
  shelf: "a model from elsewhere, a GGUF file, or kept.list()",
  kept: "kept.list() and so on",
  choices: "a repository with GGUF files alone",
  plan: "plan, or load with memory",
  sampling: "sampling with filters, penalties or constraints",
  "of-sampling": "sampling with filters, penalties or constraints",
  extras: "sampling with filters, penalties or constraints",
  completions: "chat.completions",
  formats: "chat.completions and constraints",
  constraint: "a schema or grammar; with web-xgrammar, 380 kB",
  work: "shadow",
  start: "load with worker",
  language: "load with worker",
  worker: "load with worker, in the worker",
  basis: "a recipe with a cache system",
  more: "a recipe with a cache system",
  streamed: "shadow with a SwiftKV student",
  scoring: "pyramid, snapkv",
  saving: "session.save, engine.open, engine.sessions and engine.prefixes",
  saved: "the same",
  score: "engine.score",
  evaluate: "engine.evaluate",
  calibrate: "convert with texts",
  convert: "convert, distil",
  renewal: "a load on a device of its own",
  distil: "distil",
};

const gzip = (text) => gzipSync(text, { level: 9 }).length;
const kilobytes = (bytes) => (bytes / 1000).toFixed(1).padStart(7);

/** The chunks of a build that is not written; dependencies are part of it, optional ones are not. */
async function chunksOf(config) {
  config.build.write = false;
  config.build.rolldownOptions.external = OPTIONAL;
  const made = await build(config);
  return [made].flat()[0].output.filter(({ type }) => type === "chunk");
}

/** Text of a chunk by folder of src/: a folder's share, compressed by itself, says more than it adds. */
function parts({ code, map }) {
  const sources = new SourceMap({ ...map, version: 3 });
  const texts = {};
  for (const [line, text] of code.split("\n").entries()) {
    let from = 0;
    let part = null;
    for (let at = 0; at <= text.length; at++) {
      const source = at < text.length ? sources.findEntry(line, at).originalSource : null;
      const next = source === undefined ? "other" : source && partOf(source);
      if (next === part && at < text.length) continue;
      if (part) texts[part] = (texts[part] ?? "") + text.slice(from, at);
      [part, from] = [next, at];
    }
  }
  return Object.entries(texts).map(([part, text]) => [part, gzip(text)]);
}

function partOf(source) {
  if (/packs|kernels\.gen/.test(source)) return "kernels (WGSL and their descriptions)";
  return /(?:^|\/)src\/(\w+)/.exec(source)?.[1] ?? "other";
}

/** The chunks that every page loads: the entry and what it imports without waiting. */
function alwaysOf(chunks) {
  const found = new Set(["index.js"]);
  for (const name of found)
    for (const next of chunks.find(({ fileName }) => fileName === name).imports) found.add(next);
  return chunks.filter(({ fileName }) => found.has(fileName));
}

async function main() {
  const chunks = await chunksOf(libraryConfig());
  const always = alwaysOf(chunks);
  const total = always.reduce((sum, { code }) => sum + gzip(code), 0);
  console.log("kB gzip  the engine without optional parts, by folder");
  for (const chunk of always)
    for (const [part, bytes] of parts(chunk).sort(([, a], [, b]) => b - a)) console.log(kilobytes(bytes), "", part);
  console.log(kilobytes(total), " together\n\nkB gzip  fetched when needed");
  for (const { name, code } of chunks.filter((chunk) => !always.includes(chunk))) {
    const when = Object.entries(WHEN).find(([key]) => name.replace(".gen", "") === key)?.[1] ?? "when it is called";
    console.log(kilobytes(gzip(code)), ` ${name.replace(".gen", " kernels").padEnd(18)} ${when}`);
  }
  if (total <= LIMIT * 1000) return;
  console.error(
    `size: the engine without optional parts; got ${(total / 1000).toFixed(1)} kB, want at most ${LIMIT}. Fetch what few pages need by import(), as src/load/read.ts does.`,
  );
  process.exit(1);
}

await main();
