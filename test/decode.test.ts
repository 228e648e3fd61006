// What decoding asks of a GPU, counted without one: workgroups of each dispatch, loads, and loops that compilers guard.
import { expect, test } from "playwright/test";
import { globals } from "webgpu";
import * as kernels from "../src/gpu/kernels.gen.ts";
import { specialise } from "../src/gpu/specialise.ts";
import { textOf } from "../src/gpu/text.ts";
import { type Checkpoint, openCheckpoint } from "../src/io/checkpoint.ts";
import { randomModel } from "../tools/shapes/file.ts";
import { shapeNamed } from "../tools/shapes/shapes.ts";
import { DEVICES } from "../tools/predict/devices.ts";
import { factsOf } from "../tools/predict/facts.ts";
import { openNamed } from "../tools/predict/open.ts";
import { dispatchesOf, type PaperOptions, type Repeated } from "../tools/predict/paper.ts";

Object.assign(globalThis, globals);

const M4 = DEVICES.find(({ name }) => name === "M4 Pro")!; // subgroups of 32

/** Workgroups for each core of a GPU of 40 cores. */
const perCore = ({ grid: [x, y, z] }: Repeated): number => (x * y * z) / 40;

/** Dispatches of a token after prompts of these lengths. */
async function decodeOf(
  model: Checkpoint | string,
  lengths: readonly number[],
  options: Pick<PaperOptions, "kv" | "heads"> = { kv: "f16" },
): Promise<(readonly Repeated[])[]> {
  const context = Math.max(...lengths) + 64;
  const checkpoint = typeof model === "string" ? await openNamed(model) : model;
  const costs = await dispatchesOf(checkpoint, factsOf(M4), lengths, { ...options, context });
  return costs.map(({ decode }) => decode);
}

const count = (dispatches: readonly Repeated[]): number => dispatches.reduce((sum, each) => sum + each.count, 0);

/** Heads, attention, output, gate·up, down, logits. */
function expectBusy(dispatches: readonly Repeated[]): void {
  const busy = dispatches.filter(({ kernel: { name } }) => /^(gemv|qkv|attn_decode)/.test(name));
  expect(busy.length).toBeGreaterThanOrEqual(6);
  for (const each of busy) expect(perCore(each), `${each.label}, ${each.kernel.name}`).toBeGreaterThanOrEqual(4);
}

for (const shape of ["smollm2-135m", "qwen2.5-0.5b", "llama-3.2-1b", "llama-3.2-3b"]) {
  test(`${shape}: a decoded token fills a GPU of 40 cores with every product and with attention`, async () => {
    const [dispatches] = await decodeOf(shape, [4096]);
    expectBusy(dispatches!);
  });
}

/** Two layers of a shape, with few tokens: all that differs is how often a dispatch comes, and the logits. */
const smallOf = (shape: string): Promise<Checkpoint> =>
  openCheckpoint([randomModel({ ...shapeNamed(shape)!, layers: 2, vocabulary: 4096 })]);

// Heads with norms, and pages of 8 and 4 bits.
for (const [shape, kv] of [
  ["qwen3-0.6b", "f16"],
  ["smollm2-135m", "int8"],
  ["llama-3.2-1b", "int4"],
] as const) {
  test(`${shape}, ${kv}: where heads are made in two dispatches, so does every product`, async () => {
    const model = await smallOf(shape);
    const [whole] = await decodeOf(model, [4096], { kv });
    const [placed] = await decodeOf(model, [4096], { kv, heads: "placed deep 8·64" });
    expectBusy(placed!);
    const heads = whole!.find(({ kernel }) => kernel.name === "qkv_split")!;
    expect(perCore(heads)).toBeLessThan(4); // still the default: by prediction faster on most GPUs
    expect(count(placed!) - count(whole!)).toBe(heads.count);
  });
}

test("a decoded token of SmolLM2-135M is 154 dispatches: five a layer, and no norm before the logits", async () => {
  const [dispatches] = await decodeOf("smollm2-135m", [200]);
  const SAMPLED = 2; // slices of the vocabulary, and their merging
  expect(count(dispatches!)).toBe(1 + 30 * 5 + 1 + SAMPLED);
  expect(dispatches!.map(({ label }) => label)).not.toContain("final norm");
});

test("a list of eight pages is read by one workgroup, and nothing is merged", async () => {
  const [short, long] = await decodeOf("smollm2-135m", [200, 300]);
  const LAYERS = 30;
  expect(count(long!) - count(short!)).toBe(LAYERS);
});

/** The text of attn_decode_vec for heads of 64 in f16, on subgroups of 32. */
const attention = async (): Promise<string> => {
  const constants = { R: 3, E: 64, KV_BITS: 16, LANES: 32, V_LANES: 8, SUBGROUPS: 4 };
  return specialise({ ...kernels.attn_decode_vec, code: await textOf(kernels.attn_decode_vec) }, constants);
};

test("decode attention loads a page of 32 slots with 16 instructions of a subgroup", async () => {
  const code = await attention();
  const pages = code.slice(code.indexOf("// All loads"), code.indexOf("// Scores, and weights"));
  const loads = pages.match(/= (kv\[|value_load\()/g)!.length;
  expect(pages).not.toContain("for (");
  const groups = 32 / 8; // a subgroup takes eight slots
  expect(loads * groups).toBe(16);
});

// Seen in what Tint makes of them (Dawn's dump_shaders, version of 2026-11): a loop gets a counter against endless ones, unless it
// counts by one from anything to a constant, or down to 0. Guarded: a bound out of a parameter, of the dispatch or of a
// function, or out of a variable; a second condition; a step of two.
const UNGUARDED = [
  /^var (\w+) = [^;]+; \1 < (?:[A-Z][A-Z0-9_]*|\d+u|min|[ (),+*/-])+; \1\+\+$/,
  /^var (\w+) = [^;]+; \1 > 0u; \1--$/,
];

const DECODE = [kernels.attn_decode_vec, kernels.attn_combine, kernels.gemv_deep, kernels.qkv_deep];
const WITHOUT_SUBGROUPS = [kernels.attn_decode, kernels.gemv_split, kernels.qkv_split, kernels.rmsnorm];
const PREFILL = [kernels.gemm_packed, kernels.gemm_int8, kernels.qkv_packed, kernels.attn_prefill_tile];

test("kernels that prompts and tokens have most of their time in have no guarded loop", async () => {
  for (const kernel of [...DECODE, ...WITHOUT_SUBGROUPS, ...PREFILL]) {
    const code = (await textOf(kernel)).replace(/\/\/.*$/gm, "");
    const heads = [...code.matchAll(/for \((.*?)\) \{/g)].map(([, head]) => head!);
    expect(heads.length).toBeGreaterThan(0);
    const guarded = heads.filter((head) => !UNGUARDED.some((form) => form.test(head)));
    expect(guarded, kernel.name).toEqual([]);
    expect(code).not.toMatch(/\b(while|loop)\b/);
  }
});

test("a draw after top-k and top-p has its threads wait for each other 23 times", async () => {
  const code = await textOf(kernels.sample_filter);
  const barriers = (text: string): number => text.split("workgroupBarrier();").length - 1;
  const round = code.slice(code.indexOf("for (var round"), code.indexOf("search = next_digit"));
  const rounds = 2 + 4 + 4; // peaks, then tokens, for top-k; tokens for top-p
  expect(barriers(code) - barriers(round) + rounds * barriers(round)).toBe(23);
  // Those of no round stand in no loop: they are indented as a function's own lines are.
  expect(barriers(code) - barriers(round)).toBe(code.match(/^ {2}workgroupBarrier\(\);$/gm)!.length);
});
