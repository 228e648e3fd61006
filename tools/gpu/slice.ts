// One slice of a run on a GPU machine, on Dawn in Node: `node slice.mjs SLICE RESULTS UNTIL`. SLICE in JSON, RESULTS a file to which
// each result is added as it comes, UNTIL in milliseconds as Date.now() counts.
import { appendFileSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { argv, exit } from "node:process";
import { profileBoth, runOnce, syntheticTokens } from "../../demo/bench/measure.ts";
import { type Engine, load, measureAdapter, VERSION } from "../../src/index.ts";
import { useDawn } from "../../test/dawn.ts";
import { variantOf } from "../predict/curve.ts";
import { randomModel } from "../shapes/file.ts";
import { shapeNamed } from "../shapes/shapes.ts";
import type { Slice } from "./plan.ts";
import type { Line, Machine, Speed } from "./results.ts";
import { TOY } from "./toy.ts";

const [given, results, until] = argv.slice(2) as [string, string, string];
const note = (line: Line): void => appendFileSync(results, `${JSON.stringify(line)}\n`);
const secondsLeft = (): number => (Number(until) - Date.now()) / 1000;

async function peaks(): Promise<void> {
  const adapter = await navigator.gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) throw new Error("no adapter; got none from Dawn, want a Vulkan driver. See tools/gpu.sh --help.");
  note({ type: "machine", date: new Date().toISOString(), engine: VERSION, ...describe(adapter) });
  note({ type: "peaks", ...(await measureAdapter()) });
}

function describe({ info, features, limits }: GPUAdapter): Machine {
  const names = Object.keys(Object.getPrototypeOf(limits) as object).filter((name) => /^(max|min)/.test(name));
  const of = (name: string) => [name, (limits as unknown as Record<string, number>)[name]!] as const;
  const software = /swiftshader|llvmpipe|lavapipe|software/i.test(`${info.architecture} ${info.description}`);
  return {
    adapter: info.description || info.device || `${info.vendor} ${info.architecture}`,
    vendor: info.vendor,
    architecture: info.architecture,
    software,
    features: [...features].sort(),
    limits: Object.fromEntries(names.map(of)),
    subgroups: [info.subgroupMinSize, info.subgroupMaxSize],
  };
}

interface GoldenCase {
  name: string;
  prompt: number[];
  tokens: number[];
  margin: number[];
}

/** Below this a path's rounding may rightly decide otherwise: Σ of 192 to 512 products through 8 layers, in f32 or with f16 pages. */
const CLOSE: Readonly<Record<string, number>> = { f32: 1e-3, f16: 3e-2 };

async function golden(kv: string): Promise<void> {
  const folder = join(import.meta.dirname, "fable");
  const files = readdirSync(folder).map((name) => new File([readFileSync(join(folder, name))], name));
  const { cases } = JSON.parse(readFileSync(join(folder, "golden.json"), "utf8")) as { cases: GoldenCase[] };
  const engine = await load(files, { kv, context: 1280 });
  for (const { name, prompt, tokens, margin } of cases) {
    const options = { maxTokens: tokens.length, ignoreEnd: true, temperature: 0 };
    const reply = await engine.session().generate({ tokens: prompt }, options).result;
    const found = tokens.findIndex((token, i) => reply.tokens[i] !== token);
    const equal = found < 0 ? tokens.length : found;
    const differsBy = found < 0 ? null : margin[found]!;
    const ok = differsBy === null || differsBy < (CLOSE[kv] ?? 0);
    note({ type: "golden", kv, name, tokens: tokens.length, equal, ok, margin: differsBy });
  }
  engine.dispose();
}

async function speed({
  shape,
  recipe,
  lengths,
  runs,
  newTokens,
  times,
}: Extract<Slice, { kind: "speed" }>): Promise<void> {
  const model = shape === TOY.name ? TOY : shapeNamed(shape)!;
  const { options } = variantOf(recipe, model.layers);
  const engine = await load([randomModel(model)], {
    ...options,
    context: Math.max(...lengths) + newTokens,
    sequences: 1,
  });
  const { loadMs, weightBytes, scratchBytes, variants } = engine.stats();
  note({ type: "loaded", shape, recipe, loadMs, weightBytes, scratchBytes, variants });
  await measured(engine, lengths[0]!, { runs: 1, newTokens }); // compiles what comes late
  let last: Speed | null = null;
  for (const tokens of lengths) {
    const wanted = last ? runs * secondsFor(tokens, last, newTokens) : 0;
    if (wanted > secondsLeft()) {
      note({ type: "skipped", name: `${shape} ${recipe} ${tokens}`, why: `about ${Math.ceil(wanted)} s, too long` });
      continue;
    }
    note({ type: "speed", shape, recipe, ...(last = await measured(engine, tokens, { runs, newTokens })) });
  }
  if (times && last) {
    const kernels = await profileBoth(engine, last.tokens, () => {});
    for (const each of kernels) note({ type: "times", shape, recipe, ...each });
  }
  engine.dispose();
}

/** Seconds that a run with a longer prompt will take: attention grows with its square. */
const secondsFor = (tokens: number, { tokens: known, prefillMs, decode }: Speed, newTokens: number): number =>
  (Math.max(...prefillMs) / 1000) * (tokens / known) ** 1.3 + newTokens / decode;

/** Prompts so far: none is the beginning of another. */
let prompts = 0;

/** The best of some runs with a new prompt each. */
async function measured(
  engine: Engine,
  tokens: number,
  { runs, newTokens }: { runs: number; newTokens: number },
): Promise<Speed> {
  const all = [];
  for (let run = 0; run < runs; run++)
    all.push(await runOnce(engine, syntheticTokens(tokens, engine.model.vocabulary, ++prompts), { newTokens }));
  return {
    tokens,
    prefill: Math.max(...all.map((stats) => stats.prefillTokensPerSecond)),
    decode: Math.max(...all.map((stats) => stats.decodeTokensPerSecond)),
    prefillMs: all.map((stats) => stats.prefillMs),
    kvBytesPerToken: all[0]!.kvBytesPerToken,
  };
}

function run(slice: Slice): Promise<void> {
  switch (slice.kind) {
    case "peaks":
      return peaks();
    case "golden":
      return golden(slice.kv);
    case "speed":
      return speed(slice);
    case "kernels":
      throw new Error("slice: got kernels, want them run by kernels.mjs.");
  }
}

useDawn();
run(JSON.parse(given) as Slice).then(
  () => exit(0),
  (error: unknown) => {
    console.error(error instanceof Error ? error.message : String(error));
    exit(1);
  },
);
