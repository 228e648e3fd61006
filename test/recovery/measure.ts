// How good calibrated students of a GGUF model are: cross-entropy, KL(ordinary ‖ student) and share of equal most likely
// tokens, on windows that the fit never saw. Runs on Dawn in Node; prints the rows of docs/recovery.md.
//   node test/native.mjs --entry test/recovery/measure.ts MODEL.gguf CORPORA "22;15" "2560;5120;10240;20480" [ridges]
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { create, globals } from "webgpu";
import type { SwiftKv } from "../../src/api.ts";
import { Gpu } from "../../src/gpu/device.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { blocksFor } from "../../src/kv/blocks.ts";
import { layoutOf } from "../../src/kv/systems/swiftkv/layout.ts";
import { fitTo } from "../../src/load/calibrate.ts";
import { readConfig, readLanguage } from "../../src/load/read.ts";
import { assemble, assembleStudent, makeReady, type RunningModel } from "../../src/load/running.ts";
import { checkOptions } from "../../src/load/settings.ts";
import { readWindow } from "../../src/model/calibrate.ts";
import type { Fit } from "../../src/model/context.ts";
import { nameWeights, tapped } from "../../src/model/families/llama.ts";
import { GREEDY } from "../../src/model/model.ts";
import { emptySums, Moments, type Sums } from "../../src/model/swiftkv/moments.ts";
import type { Transformer } from "../../src/model/transformer.ts";
import { WeightLoader } from "../../src/model/weights/loader.ts";

const WINDOW = 512;
/** Tokens of each held-out window that are judged. */
const JUDGED = 256;
const [file, corpora, layersList = "22", countList = "5120", ridgeList = "1e-4"] = argv.slice(2);
const numbers = (list: string) => list.split(";").map(Number);
const [ownLayers, counts, ridges] = [numbers(layersList), numbers(countList), numbers(ridgeList)];

Object.assign(globalThis, globals);
const dawn = create(["enable-dawn-features=allow_unsafe_apis"]);
Object.defineProperty(globalThis, "navigator", { value: { gpu: dawn }, configurable: true });
const began = performance.now();
const say = (text: string) => console.log(`${Math.round((performance.now() - began) / 1000)} s  ${text}`);

// ---- the model ----

const gpu = await Gpu.open();
const checkpoint = await openCheckpoint([new File([readFileSync(file!)], "model.gguf")]);
const { config } = await readConfig(checkpoint, undefined);
const { tokenizer } = readLanguage(checkpoint);
const settings = checkOptions({ kv: "f32", context: WINDOW, tune: "off", sequences: 1 });
const loader = new WeightLoader(gpu, checkpoint, "keep");
const weights = nameWeights(loader, config, layoutOf(config.layers, null));
const dense = assemble(gpu, config, weights, settings, loader);
await loader.load();
await makeReady(dense, settings, { report: () => {}, signal: undefined });

// ---- texts: an encyclopaedia, novels, chats; the first window of each domain is held out ----

const read = (path: string) => readFileSync(`${corpora}/${path}`, "utf8");
const chat = (line: string) => {
  const { question, answer } = JSON.parse(line) as Record<string, string>;
  return `<|im_start|>system\nYou are a helpful AI assistant named SmolLM, trained by Hugging Face<|im_end|>\n<|im_start|>user\n${question}<|im_end|>\n<|im_start|>assistant\n${answer}<|im_end|>\n`;
};
const NOVELS = ["Jane_Austen_-_Emma", "H.G._Wells_-_The_Invisible_Man", "Anna_Sewell_-_Black_Beauty"];
const domains = {
  encyclopaedia: read("wikitext2/wiki.test.raw").slice(0, 150_000),
  novels: NOVELS.map((name) => read(`books/${name}.md`).slice(20_000, 70_000)).join("\n"),
  chat: read("gsm8k/test.jsonl").trim().split("\n").slice(0, 150).map(chat).join(""),
};
const pieces = Object.entries(domains).map(([name, text]) => {
  const tokens = tokenizer.encode(text);
  const windows = Array.from({ length: Math.floor(tokens.length / WINDOW) }, (_, i) =>
    tokens.slice(i * WINDOW, (i + 1) * WINDOW),
  );
  return {
    name,
    held: windows[windows.length >> 1]!.slice(0, JUDGED),
    windows: windows.toSpliced(windows.length >> 1, 1),
  };
});
const calibration = pieces[0]!.windows.flatMap((_, i) => pieces.flatMap(({ windows }) => windows.slice(i, i + 1)));

// ---- judging ----

/** Log-probabilities of the token after each, and all of them: [rows, V] logits, 64 rows at a time. */
async function eachRow(
  { transformer }: RunningModel,
  tokens: readonly number[],
  use: (row: number, logits: Float32Array) => void,
): Promise<void> {
  const { logits } = transformer.context.activations;
  const { vocabulary: V } = config;
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const staging = gpu.device.createBuffer({ size: logits.size, usage: COPY_DST | MAP_READ });
  for (let start = 0; start < tokens.length; start += 64) {
    const rows = tokens.slice(start, start + 64);
    const page = (_: unknown, index: number) => ({ index, block: index });
    const { read } = await transformer.submit({
      rows: rows.map((token, i) => ({ token, position: start + i, cacheIndex: start + i, sequence: 0 })),
      decodeRows: 0,
      logitRows: rows.map((_, row) => ({ row, sequence: 0, sampling: GREEDY, counter: 0, forced: 0 })),
      lists: [
        {
          sequence: 0,
          enters: start === 0,
          pages: start ? [] : Array.from({ length: blocksFor(WINDOW) }, page),
          kept: null,
        },
      ],
      moves: [],
      promptEnd: null,
      arrivals: [],
    });
    await read();
    const encoder = gpu.device.createCommandEncoder();
    encoder.copyBufferToBuffer(logits, 0, staging, 0, logits.size);
    gpu.submit(encoder);
    await staging.mapAsync(GPUMapMode.READ);
    const all = new Float32Array(staging.getMappedRange());
    for (let i = 0; i < rows.length; i++) use(start + i, all.subarray(i * V, (i + 1) * V));
    staging.unmap();
  }
  staging.destroy();
}

const argmax = (values: Float32Array): number => {
  let best = 0;
  for (let v = 1; v < values.length; v++) if (values[v]! > values[best]!) best = v;
  return best;
};

/** Logits → log-probabilities, in place. */
function normalise(logits: Float32Array): Float32Array {
  const most = logits[argmax(logits)]!;
  let sum = 0;
  for (let v = 0; v < logits.length; v++) sum += Math.exp(logits[v]! - most);
  const shift = most + Math.log(sum);
  for (let v = 0; v < logits.length; v++) logits[v]! -= shift;
  return logits;
}

/** KL(teacher ‖ student) */
function divergence(teacher: Float32Array, student: Float32Array): number {
  let kl = 0;
  for (let v = 0; v < teacher.length; v++) kl += Math.exp(teacher[v]!) * (teacher[v]! - student[v]!);
  return kl;
}

const references = new Map<string, Float32Array[]>();

async function judge(title: string, model: RunningModel): Promise<void> {
  const cells: string[] = [];
  for (const { name, held } of pieces) {
    const known = references.get(name);
    const own: Float32Array[] = [];
    let [ce, kl, same] = [0, 0, 0];
    await eachRow(model, held, (row, logits) => {
      const student = normalise(logits.slice());
      if (!known) own.push(student);
      if (row === held.length - 1) return;
      const teacher = known?.[row] ?? student;
      ce -= student[held[row + 1]!]!;
      if (known) kl += divergence(teacher, student);
      same += argmax(teacher) === argmax(student) ? 1 : 0;
    });
    if (!known) references.set(name, own);
    const count = held.length - 1;
    cells.push(`${(ce / count).toFixed(3)} / ${(kl / count).toFixed(3)} / ${(same / count).toFixed(2)}`);
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
await judge("dense", dense);
const snapshots = await readAll(dense.transformer);
const most = Math.max(...counts);

async function judgeFit(layers: number, count: number, ridge: number): Promise<void> {
  const shape = { layers, group: 1 };
  const sums = copyOf(snapshots.get(`${layers} ${count}`)!);
  const fit = await fitTo(sums, { config, shape, window: WINDOW, ridge }, { onDone: () => {} });
  say(`R² ${fit.made!.r2.map((value) => value.toFixed(3)).join(" ")}`);
  await judgeStudent(`K ${layers}, ${count} tokens, λ ${ridge}`, shape, fit);
}

// The most telling first: on a busy machine this takes long.
for (const layers of ownLayers) await judgeFit(layers, most, 1e-4);
for (const layers of ownLayers) await judgeStudent(`K ${layers}, γ folded`, { layers, group: 1 }, null);
for (const layers of ownLayers)
  for (const count of counts.filter((each) => each < most)) await judgeFit(layers, count, 1e-4);
for (const layers of ownLayers)
  for (const ridge of ridges.filter((each) => each !== 1e-4)) await judgeFit(layers, most, ridge);
exit(0);
