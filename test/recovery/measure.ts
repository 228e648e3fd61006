// How good calibrated students of a model are: cross-entropy, KL(ordinary ‖ student) and share of equal most likely tokens,
// on windows that the fit never saw. Runs on Dawn in Node; prints the rows of docs/recovery.md.
//   node test/native.mjs --entry test/recovery/measure.ts MODEL KS COUNTS RIDGES JUDGED TEXT…
// MODEL: a .gguf or a checkpoint's folder. KS, COUNTS, RIDGES: "22;15", tokens "2560;5120", λ "1e-4;1e-2", all but the first
// tried with the most tokens. JUDGED: windows of each text that are held out. TEXT: a file for each domain; K,G as K/G.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { argv, exit } from "node:process";
import type { SwiftKv } from "../../src/api.ts";
import { fitTo } from "../../src/load/calibrate.ts";
import { assembleStudent, type RunningModel } from "../../src/load/running.ts";
import { readWindow } from "../../src/model/calibrate.ts";
import type { Fit } from "../../src/model/context.ts";
import { tapped } from "../../src/model/forward.ts";
import { emptySums, Moments, type Sums } from "../../src/model/swiftkv/moments.ts";
import type { Transformer } from "../../src/model/transformer.ts";
import { argmax, divergence, eachRow, normalise } from "./judge.ts";
import { openModel } from "./open.ts";

const WINDOW = 512;
const [model, layersList = "", countList = "", ridgeList = "", judged = "1", ...texts] = argv.slice(2);
const numbers = (list: string) => list.split(";").map(Number);
const shapes = layersList.split(";").map((text): SwiftKv => {
  const [layers, group = 1] = text.split("/").map(Number) as [number, number?];
  return { layers, group };
});
const ownLayers = [...new Set(shapes.map(({ layers }) => layers))];
const [counts, ridges] = [numbers(countList), numbers(ridgeList)];
const most = Math.max(...counts);
const [ridge] = ridges as [number];

const began = performance.now();
const say = (text: string) => console.log(`${Math.round((performance.now() - began) / 1000)} s  ${text}`);
const { gpu, config, tokenizer, settings, weights, dense } = await openModel(model!, WINDOW);

// ---- texts: the middle windows of each are held out ----

const pieces = texts.map((path) => {
  const tokens = tokenizer.encode(readFileSync(path, "utf8").slice(0, 16 * most));
  const windows = Array.from({ length: Math.floor(tokens.length / WINDOW) }, (_, i) =>
    tokens.slice(i * WINDOW, (i + 1) * WINDOW),
  );
  const held = windows.splice(windows.length >> 1, Number(judged));
  return { name: basename(path), held, windows };
});
const calibration = Array.from({ length: Math.max(...pieces.map(({ windows }) => windows.length)) }, (_, i) =>
  pieces.flatMap(({ windows }) => windows.slice(i, i + 1)),
).flat();

// ---- judging ----

const references = new Map<readonly number[], Float32Array[]>();

/** Sums over the held-out windows of a text. */
async function judgeWindow(model: RunningModel, tokens: readonly number[], sums: number[]): Promise<void> {
  const known = references.get(tokens);
  const own: Float32Array[] = [];
  await eachRow(gpu, model, tokens, (row, logits) => {
    const student = normalise(logits.slice());
    if (!known) own.push(student);
    if (row === tokens.length - 1) return;
    const teacher = known?.[row] ?? student;
    sums[0]! -= student[tokens[row + 1]!]!;
    if (known) sums[1]! += divergence(teacher, student);
    sums[2]! += argmax(teacher) === argmax(student) ? 1 : 0;
  });
  if (!known) references.set(tokens, own);
}

async function judge(title: string, model: RunningModel): Promise<void> {
  const cells: string[] = [];
  for (const { held } of pieces) {
    const sums = [0, 0, 0];
    for (const tokens of held) await judgeWindow(model, tokens, sums);
    const [ce, kl, same] = sums.map((sum) => sum / held.length / (WINDOW - 1)) as [number, number, number];
    cells.push(`${ce.toFixed(3)} / ${kl.toFixed(3)} / ${same.toFixed(2)}`);
  }
  say(`| ${title} | ${cells.join(" | ")} |`);
}

async function judgeStudent(title: string, shape: SwiftKv, fit: Fit | null): Promise<void> {
  const own = gpu.fork();
  const student = await assembleStudent(own, { ...config, swiftkv: shape }, weights, settings, fit);
  await judge(title, student);
  own.dispose();
}

// ---- reading and fitting ----

const copyOf = ({ tokens, gram, cross, squares }: Sums): Sums => ({
  tokens,
  gram: gram.slice(),
  cross: cross.map((each) => each.slice()),
  squares: squares.slice(),
});

/** The sums for each K after each of `counts` tokens, in one pass. */
async function readAll(transformer: Transformer): Promise<Map<string, Sums>> {
  const own = gpu.fork();
  const { context } = transformer;
  const taps = ownLayers.map((first) => ({
    first,
    moments: new Moments(own, context, first),
    sums: emptySums(config, first),
  }));
  const program = await tapped({ ...context, gpu: own }, (layer) =>
    taps.flatMap(({ moments }) => moments.before(layer)),
  );
  const snapshots = new Map<string, Sums>();
  let [done, moved] = [0, 0];
  for (const window of calibration) {
    await readWindow(transformer, program, window, () => {});
    done += window.length;
    if (done - moved >= 2560) {
      for (const { moments, sums } of taps) await moments.moveTo(sums, done - moved);
      moved = done;
    }
    if (counts.includes(done)) for (const { first, sums } of taps) snapshots.set(`${first} ${done}`, copyOf(sums));
    if (counts.includes(done)) say(`read ${done} tokens`);
    if (done >= Math.max(...counts)) break;
  }
  own.dispose();
  return snapshots;
}

say(`${gpu.adapter.name}; ${calibration.length * WINDOW} tokens to calibrate on`);
say(`CE / KL / top-1 on ${pieces.map(({ name, held }) => `${name} (${held.length * WINDOW} tokens)`).join(", ")}`);
const snapshots = await readAll(dense.transformer);
await judge("dense", dense);

async function judgeFit(shape: SwiftKv, count: number, lambda: number): Promise<void> {
  const sums = copyOf(snapshots.get(`${shape.layers} ${count}`)!);
  const fit = await fitTo(sums, { config, shape, window: WINDOW, ridge: lambda, constant: true }, { onDone: () => {} });
  say(`R² ${fit.made!.r2.map((value) => value.toFixed(3)).join(" ")}`);
  await judgeStudent(`K ${shape.layers}, G ${shape.group}, ${count} tokens, λ ${lambda}`, shape, fit);
}

// The most telling first: on a busy machine this takes long.
for (const shape of shapes) await judgeFit(shape, most, ridge);
for (const shape of shapes) await judgeStudent(`K ${shape.layers}, G ${shape.group}, γ folded`, shape, null);
for (const shape of shapes)
  for (const count of counts.filter((each) => each < most)) await judgeFit(shape, count, ridge);
for (const shape of shapes) for (const lambda of ridges.slice(1)) await judgeFit(shape, most, lambda);
exit(0);
