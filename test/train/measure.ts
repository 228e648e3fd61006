// What a step of training costs beside reading its tokens with the ordinary model: in one run, part by part. On Dawn in Node.
//   node test/native.mjs --entry test/train/measure.ts MODEL.gguf|FOLDER K [rows] [rounds]
import { useDawn } from "../dawn.ts";
import { readdirSync, readFileSync, statSync } from "node:fs";
import { basename, join } from "node:path";
import { argv, exit } from "node:process";
import { Gpu } from "../../src/gpu/device.ts";
import { Program } from "../../src/gpu/program.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { layoutOf } from "../../src/kv/systems/swiftkv/layout.ts";
import { readConfig } from "../../src/load/read.ts";
import { assemble, makeReady } from "../../src/load/running.ts";
import { checkOptions } from "../../src/load/settings.ts";
import { nameWeights } from "../../src/model/names.ts";
import { GREEDY } from "../../src/model/model.ts";
import type { Sizes } from "../../src/model/ops/sizes.ts";
import { WeightLoader } from "../../src/model/weights/loader.ts";
import { ADAM } from "../../src/train/optimiser.ts";
import { originOf, shapesOf, startOf } from "../../src/train/start.ts";
import { prepare, studentParts, Trainer } from "../../src/train/trainer.ts";

useDawn();

const [path, ownLayers, rowCount = "512", roundCount = "3"] = argv.slice(2);
const [K, T, rounds] = [Number(ownLayers), Number(rowCount), Number(roundCount)];

const gpu = await Gpu.open();
const paths = statSync(path!).isDirectory() ? readdirSync(path!).map((name) => join(path!, name)) : [path!];
const files = paths.filter((each) => /\.(gguf|json|safetensors)$/.test(each));
const checkpoint = await openCheckpoint(files.map((each) => new File([readFileSync(each)], basename(each))));
const { config } = await readConfig(checkpoint, undefined);
const settings = await checkOptions({ kv: "f16", context: T + 32, chunk: T, tune: "off", sequences: 1 });
const loader = new WeightLoader(gpu, checkpoint, "keep");
const weights = nameWeights(loader, config, layoutOf(config.layers, null));
const { transformer } = await assemble(gpu, config, weights, settings, loader);
await loader.load();
await makeReady({ transformer } as Parameters<typeof makeReady>[0], settings, { report: () => {}, signal: undefined });

const tokens = Array.from({ length: T }, (_, i) => (i * 7919) % config.vocabulary);
const page = (_: unknown, index: number) => ({ index, block: index });

/** Reads the tokens as a prompt, with the logits of the last one. */
async function prefill(): Promise<void> {
  const { read } = await transformer.submit({
    rows: tokens.map((token, i) => ({ token, position: i, cacheIndex: i, sequence: 0 })),
    decodeRows: 0,
    logitRows: [{ row: T - 1, sequence: 0, sampling: GREEDY, counter: 0, forced: null }],
    lists: [{ sequence: 0, enters: true, pages: Array.from({ length: T / 32 }, page), kept: null }],
    moves: [],
    promptEnd: null,
    retiring: null,
    standing: [],
    arrivals: [],
  });
  await read();
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}

const layout = layoutOf(config.layers, { layers: K, group: 1 });
const options = { ...ADAM, temperature: 2, hiddenWeight: 1, rows: T };
const shapes = shapesOf(config, layout, { biasedStores: true });
const trainer = await Trainer.build(gpu, transformer, { layout, shapes }, options);
const origin = originOf({ ...weights, teacher: weights.teacher! }, null, { layers: K, group: 1 });
trainer.write(await startOf(gpu, config, layout, origin));
const median = (times: number[]) => times.toSorted((a, b) => a - b)[times.length >> 1]!;
const show = (times: number[]) => times.map((ms) => (ms / 1000).toFixed(2)).join(" ");
await prefill();
console.log(
  `first step, with what compiles late: ${show([await timed(() => trainer.step([{ tokens }], { rate: 1e-6, step: 1 }))])} s`,
);
const [reading, steps]: [number[], number[]] = [[], []];
for (let round = 0; round < rounds; round++) {
  reading.push(await timed(prefill));
  steps.push(await timed(() => trainer.step([{ tokens }], { rate: 1e-6, step: 2 })));
}
reading.push(await timed(prefill));
console.log(`${gpu.adapter.name}, K ${K}, ${T} tokens: prefill ${show(reading)} s, step ${show(steps)} s`);
console.log(`a step takes ${(median(steps) / median(reading)).toFixed(2)} of the time of prefill`);

// Part by part, with buffers of its own.
const own = gpu.fork();
const training = await prepare(own, { ...transformer.context, gpu: own }, { layout, shapes }, T);
const totals = new Map<string, number>();
for (const [label, dispatches] of studentParts(training, options)) {
  const program = await Program.build(own, label, dispatches);
  program.prepare({} as Sizes);
  const run = async () => {
    const encoder = own.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.encode(pass);
    pass.end();
    own.submit(encoder);
    await own.device.queue.onSubmittedWorkDone();
  };
  await run();
  const ms = Math.min(await timed(run), await timed(run));
  const kind = label.replace(/\d+/, "n");
  totals.set(kind, (totals.get(kind) ?? 0) + ms);
}
for (const [kind, ms] of totals) console.log(`${kind}: ${(ms / 1000).toFixed(2)} s`);
exit(0);
