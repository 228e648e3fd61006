// The time of each of ShadowKV's dispatches in a layer of a model's shape, on Dawn in Node.
//   node test/native.mjs --entry test/kv/shadow/parts.ts [tokens]
import * as more from "../../../src/kv/more.ts";
import { useDawn } from "../../dawn.ts";
import { argv, exit } from "node:process";
import { Gpu } from "../../../src/gpu/device.ts";
import { Program } from "../../../src/gpu/program.ts";
import { KvCache } from "../../../src/kv/cache.ts";
import { blocksFor } from "../../../src/kv/blocks.ts";
import { PagePool } from "../../../src/kv/pages.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { planOf, privatePagesOf, tiersOf } from "../../../src/kv/shape.ts";
import type { StepSizes, SystemContext } from "../../../src/kv/system.ts";
import { shadow } from "../../../src/kv/systems/shadow/system.ts";

useDawn();

const tokens = Number(argv[2] ?? 4096);
const bounds = { context: tokens + 64, rows: 64, sequences: 1 };
const model = {
  hiddenSize: 576,
  layers: 1,
  heads: 9,
  kvHeads: 3,
  headWidth: 64,
  windows: [0],
  context: 8192,
  swiftkv: null,
};
const gpu = await Gpu.open();
await shadow.load!();
const kv = parseRecipe("shadow:budget=512").resolve(model, bounds);
const plan = planOf(kv, bounds);
const { layout } = kv;
const cache = new KvCache(
  gpu,
  {
    layout,
    kvHeads: 3,
    headWidth: 64,
    tiers: tiersOf(kv, bounds),
    twins: [],
    kept: kv.kept,
    streamed: null,
    choiceWords: 0,
    privatePages: privatePagesOf(kv, bounds),
    regions: plan.privatePages!.stateBlocks!,
    sequences: 1,
    maxPages: bounds.context / 32,
    room: bounds.context / 32,
    arenaBytes: 2 ** 27,
    records: 64,
  },
  more,
);
const noise = (size: number) => Uint32Array.from({ length: size / 4 }, () => Math.floor(Math.random() * 2 ** 32) & 0xbbffbbff); // prettier-ignore
for (const { buffers } of cache.writtenArenasOf(0))
  for (const buffer of buffers) gpu.write(buffer, 0, noise(buffer.size));
const rope = gpu.buffer("rope", bounds.context * 64 * 4, "scratch");
const query = gpu.buffer("query", 64 * 9 * 64 * 4, "scratch");
const context: SystemContext = {
  gpu,
  model,
  cache,
  query,
  records: { buffer: cache.lists.inputs, offset: 0, size: 64 * 16 },
  attentionScale: 1 / 8,
  ropeOf: () => rope,
  keep: gpu.buffer("keep", 3 * 1024 * 4, "scratch"),
  keepStride: 1024,
};
cache.openSequence(0);
for (let i = 0; i < blocksFor(tokens); i++) cache.setPage(0, { index: i, block: i });
const retention = plan.retain(tokens)!;
const kept = {
  ...retention,
  region: 0,
  standing: 0,
  pages: new PagePool(plan.privatePages!).take(retention.tokens.map(blocksFor)),
};
const system = kv.systems.at(-1)!;
const end = {
  sequence: 0,
  region: 0,
  standing: 0,
  tokens,
  kept: retention.tokens[0]!,
  rows: 1,
  more: false,
  windowAt: 0,
  windowRows: 1,
  question: 1,
};

const ask = () =>
  gpu.write(
    query,
    0,
    Float32Array.from({ length: 9 * 64 }, () => 4 * Math.random() - 2),
  );

async function time(
  label: string,
  dispatches: Parameters<typeof Program.build<StepSizes>>[2],
  sizes: StepSizes,
): Promise<void> {
  for (const each of dispatches) {
    const program = await Program.build(gpu, label, [each]);
    program.prepare(sizes);
    const run = async () => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      program.encode(pass);
      pass.end();
      gpu.submit(encoder);
      await gpu.device.queue.onSubmittedWorkDone();
    };
    await run();
    const times: number[] = [];
    for (let i = 0; i < (label === "end" ? 1 : 7); i++) {
      const began = performance.now();
      await run();
      times.push(performance.now() - began);
    }
    console.log(`${label} ${each.label}: ${Math.min(...times).toFixed(2)} ms`);
  }
}

ask();
await time("end", system.retaining!.select(0, context), {
  rows: 1,
  decodeRows: 0,
  pagesGivenUp: 0,
  promptEnd: end,
  retiring: null,
});
cache.setKept(0, kept);
const parts = system.at!("afterHeads", 0, context);
const whole = await Program.build(gpu, "whole", parts);
const decoding = { rows: 1, decodeRows: 1, pagesGivenUp: retention.liveFrom, promptEnd: null, retiring: null };
whole.prepare(decoding);
const run = async () => {
  const encoder = gpu.device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  whole.encode(pass);
  pass.end();
  gpu.submit(encoder);
  await gpu.device.queue.onSubmittedWorkDone();
};
for (const changes of [true, false]) {
  const times: number[] = [];
  for (let i = 0; i < 9; i++) {
    if (changes) ask();
    const began = performance.now();
    await run();
    times.push(performance.now() - began);
  }
  console.log(`${changes ? "another query" : "the same query"}: ${Math.min(...times).toFixed(2)} ms`);
}
await time("same", system.at!("afterHeads", 0, context), decoding);
exit(0);
