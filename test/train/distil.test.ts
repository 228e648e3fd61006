// Training of students: gradients against float64, AdamW against PyTorch, going on after a stop, what goes wrong.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { makeCheckpoint, makeTensors, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { job, source, testWith } from "../golden/serve.ts";
import { random } from "../kernels/spec.ts";
import type { HubConfig, Tensor } from "../reference.ts";
import { beginning, bytesOf, fingerprint, lossIn64, readCheckpoint, type Window } from "./tools.ts";

interface Step {
  loss: number;
  kl: number;
  hidden: number;
  gradientNorm: number;
  rate: number;
}

interface Case {
  name: string;
  seed: number;
  config: HubConfig;
  layers: number;
  group: number;
  windows: number[][];
  mask: number[][];
  every: number;
  biases: Record<string, number[]>;
  steps: Step[];
  gradients: Record<string, number[]>;
  updated: Record<string, number[]>;
  final: Record<string, number[]>;
}

const golden = JSON.parse(readFileSync("test/golden/distil.json", "utf8")) as {
  temperature: number;
  hiddenWeight: number;
  clip: number;
  finalEvery: number;
  cases: Case[];
};

const students = new Map<string, Uint8Array>();

function filesOf(name: string): Map<string, Uint8Array> {
  const student = students.get(name);
  if (student) return new Map([["student.safetensors", student]]);
  const made = golden.cases.find((each) => `distil-${each.name}` === name);
  if (made) return toFiles({ config: { ...made.config }, tensors: makeTensors(made.config, made.seed) }, "F32");
  const [variant, change] = name.split("@");
  const checkpoint = makeCheckpoint(variant!);
  if (change) checkpoint.tensors.get("model.layers.0.mlp.up_proj.weight")!.data[0]! += 1;
  return toFiles(checkpoint, readGolden(variant!).dtype);
}

const test = testWith(filesOf);

const textOf = (seed: number, count: number, vocabulary: number): number[] => {
  const uniform = random(seed);
  return Array.from({ length: count }, () => 3 + Math.floor(uniform() * (vocabulary - 3)));
};

const largest = (values: ArrayLike<number>): number => Array.from(values).reduce((a, b) => Math.max(a, Math.abs(b)), 0);

// ---- against PyTorch ----

for (const each of golden.cases) {
  test(`${each.name}: losses, gradients and AdamW of PyTorch in float64`, async ({ call }) => {
    const { config, seed, layers, group, every, steps } = each;
    await call("open", "dense", source(`distil-${each.name}`), { kv: "f32", context: 64 });
    const { name, hash } = await call("model", "dense");
    const type = `${String(config.model_type)}_swiftkv`;
    const shape = { ...config, model_type: type, num_key_value_layers: layers, key_value_group_size: group };
    const all = makeTensors(shape, seed);
    const weights = new Map<string, Tensor>();
    for (const tensor of Object.keys(each.gradients)) {
      const bias = each.biases[tensor];
      weights.set(tensor, bias ? { shape: [bias.length], data: Float32Array.from(bias) } : all.get(tensor)!);
    }
    const windows = each.windows.map((tokens, i) => ({ tokens, mask: each.mask[i]! }));
    const recipe = {
      steps: steps.length,
      rate: 0.01,
      warmup: 2,
      temperature: golden.temperature,
      batch: windows.length,
      seed: 0,
      hiddenWeight: golden.hiddenWeight,
      clip: golden.clip,
      window: windows[0]!.tokens.length,
    };
    const progress = { version: 1, name, base: hash, swiftkv: { layers, group }, made: null, recipe };
    const state = { text: fingerprint(windows), step: 0, tokens: 0, losses: [] };
    const resume = beginning(weights, { ...progress, ...state });
    const swiftkv = { layers, group };
    const { outcome, reports, checkpoints } = await call("train", "student", "dense", swiftkv, {
      windows,
      resume,
      checkpointEvery: 1,
    });
    expect(outcome).toBe("made");
    for (const [i, { kl, hidden, gradientNorm }] of steps.entries()) {
      const report = reports[i]!;
      for (const [got, want] of [
        [report.loss!, kl],
        [report.hiddenLoss!, hidden],
        [report.gradientNorm!, gradientNorm],
      ] as const)
        expect(Math.abs(got / want - 1), `step ${i}: ${got}, want ${want}`).toBeLessThan(1e-4);
    }
    const first = readCheckpoint(checkpoints[0]!);
    const last = readCheckpoint(checkpoints.at(-1)!);
    const clipped = Math.min(1, golden.clip / (steps[0]!.gradientNorm + 1e-6));
    for (const [tensor, gradients] of Object.entries(each.gradients)) {
      const size = largest(gradients);
      const means = first.first.get(tensor)!.data;
      const updated = first.weights.get(tensor)!.data;
      for (const [i, want] of gradients.entries()) {
        const got = means[i * every]! / (0.1 * clipped);
        expect(Math.abs(got - want) / size, `${tensor} gradient ${i}: ${got}, want ${want}`).toBeLessThan(2e-5);
        // A first step is rate·g/|g|: where g is next to nothing, its sign is chance.
        if (Math.abs(want) < 1e-3 * size) continue;
        const moved = Math.abs(updated[i * every]! - each.updated[tensor]![i]!);
        expect(moved, `${tensor} ${i} after a step`).toBeLessThan(0.02 * steps[0]!.rate);
      }
      const apart = each.final[tensor]!.map((want, i) =>
        Math.abs(last.weights.get(tensor)!.data[i * golden.finalEvery]! - want),
      );
      const typical = apart.toSorted((a, b) => a - b)[Math.floor(0.9 * apart.length)]!;
      expect(typical, `${tensor} after all steps`).toBeLessThan(1e-4);
    }
    for (const engine of ["dense", "student"]) await call("close", engine);
  });
}

// ---- against finite differences ----

for (const [variant, layers, group, length] of [
  ["qwen2", 0, 1, 21], // biases on q, k, v; tied; no layer below
  ["qwen3", 1, 1, 24], // norms of heads
  ["qwen3", 1, 2, 17], // and a group
  ["llama-gqa-tied", 0, 3, 16],
  ["llama-bias", 1, 1, 20], // biases on o and the MLP
  ["mistral", 0, 1, 30], // windows of 16
  ["llama-blocks", 0, 1, 24],
] as const) {
  test(`${variant}, K ${layers}, G ${group}: gradients are the slopes of the loss in float64`, async ({ call }) => {
    const { config, tensors } = makeCheckpoint(variant);
    const windows: Window[] = [
      { tokens: textOf(1, length, Number(config.vocab_size)) },
      {
        tokens: textOf(2, length - 4, Number(config.vocab_size)),
        mask: Array.from({ length: length - 4 }, (_, t) => t % 2),
      },
    ];
    await call("open", "dense", source(variant), { kv: "f32", context: 64 });
    const settings = { temperature: 2, hiddenWeight: 0.3 };
    const swiftkv = { layers, group };
    // A rate of next to nothing: the weights after the step are those before it.
    const options = { ...settings, windows, batch: 2, steps: 1, warmup: 0, rate: 1e-9, clip: 1e30, window: length };
    const { outcome, reports, checkpoints } = await call("train", "student", "dense", swiftkv, {
      ...options,
      start: "folded",
    });
    expect(outcome).toBe("made");
    const { weights, first } = readCheckpoint(checkpoints.at(-1)!);
    const loss = lossIn64({ config, tensors, layers, group, windows, ...settings });
    const { kl, hidden } = loss(weights);
    expect(Math.abs(reports.at(-1)!.loss! / kl - 1)).toBeLessThan(1e-4);
    // A first layer past K is the teacher's: where it is the last but one, there is nothing to see.
    if (hidden > 1e-9) expect(Math.abs(reports.at(-1)!.hiddenLoss! / hidden - 1)).toBeLessThan(1e-4);
    const uniform = random(7);
    for (const [name, { shape, data }] of weights) {
      const gradient = Float64Array.from(first.get(name)!.data, (mean) => mean / 0.1);
      const norm = Math.sqrt(gradient.reduce((sum, value) => sum + value ** 2, 0));
      const one = (at: number) => Float64Array.from(data, (_, i) => (i === at ? 1 : 0));
      const directions = [
        gradient.map((value) => value / (norm || 1)),
        Float64Array.from(data, () => (uniform() < 0.5 ? 1 : -1) / Math.sqrt(data.length)),
        one(Math.floor(uniform() * data.length)),
        one(data.length - 1),
      ];
      for (const [d, direction] of directions.entries()) {
        const h = 1e-4;
        const at = (side: number) =>
          loss(
            new Map([
              ...weights,
              [name, { shape, data: Float64Array.from(data, (w, i) => w + side * h * direction[i]!) }],
            ]),
          ).total;
        const slope = (at(1) - at(-1)) / (2 * h);
        const along = gradient.reduce((sum, value, i) => sum + value * direction[i]!, 0);
        expect(Math.abs(along - slope), `${name}, direction ${d}: ${along}, want ${slope}`).toBeLessThan(
          1e-4 * norm + 1e-7,
        );
      }
    }
    for (const engine of ["dense", "student"]) await call("close", engine);
  });
}

// ---- a training as a whole ----

const TEXT = textOf(5, 900, 151);
const SHORT = { tokens: TEXT, window: 40, steps: 6, warmup: 2, rate: 3e-3, checkpointEvery: 4, seed: 3 };

test("a training that was stopped, twice, goes on as if it had not; nothing is left behind", async ({ call }) => {
  await call("open", "dense", source("qwen2"), { kv: "f32", context: 128 });
  const swiftkv = { layers: 1, group: 1 };
  const whole = await call("train", "student", "dense", swiftkv, SHORT);
  expect(whole.outcome).toBe("made");
  expect(whole.checkpoints.length).toBe(2); // after 4 steps and after the last
  const trained = whole.reports.filter(({ phase }) => phase === "train");
  expect(trained.map(({ done }) => done)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(trained.at(-1)!.secondsLeft).toBe(0);
  const { distillation, undistilled, calibration } = await call("model", "student");
  expect({ undistilled, distillation }).toMatchObject({ undistilled: false, distillation: { steps: 6, window: 40 } });
  expect(calibration!.tokens).toBe(900);
  let resume: string | undefined;
  const calibrated = whole.reports.length - trained.length;
  for (const stop of [calibrated + 3, 2]) {
    const part = await call("train", "stopped", "dense", swiftkv, { ...SHORT, ...(resume ? { resume } : {}) }, stop);
    expect(part.outcome).toContain("AbortError");
    expect(part.left).toBe(0);
    resume = part.checkpoints.at(-1)!;
  }
  const rest = await call("train", "resumed", "dense", swiftkv, { ...SHORT, resume: resume! });
  expect(rest.reports.map(({ done }) => done)).toEqual([6]);
  expect(rest.checkpoints.at(-1)).toBe(whole.checkpoints.at(-1));
  expect(await call("studentOf", "resumed")).toBe(await call("studentOf", "student"));
  for (const engine of ["dense", "student", "resumed"]) await call("close", engine);
});

for (const [variant, layers, group] of [
  ["qwen2", 1, 2], // biases of queries
  ["llama-blocks", 0, 2],
] as const) {
  test(`${variant}: the file of a trained student, its checkpoint's and the engine's are one`, async ({ call }) => {
    await call("open", "dense", source(variant), { kv: "f32", context: 128 });
    const vocabulary = Number(makeCheckpoint(variant).config.vocab_size);
    const options = { ...SHORT, tokens: textOf(5, 900, vocabulary) };
    const { checkpoints } = await call("train", "student", "dense", { layers, group }, options);
    const file = await call("studentOf", "student");
    expect(await call("exported", "dense", checkpoints.at(-1)!)).toBe(file);
    const name = `${variant}-trained`;
    students.set(name, bytesOf(file));
    const student = new URL(source(name), "http://localhost").pathname;
    await call("open", "loaded", source(variant), { kv: "f32", context: 128, student });
    const { prompt } = readGolden(variant);
    const [want, got] = [
      await call("answer", "student", job(prompt, 8)),
      await call("answer", "loaded", job(prompt, 8)),
    ];
    expect({ tokens: got.tokens, logprobs: got.logprobs }).toEqual({ tokens: want.tokens, logprobs: want.logprobs });
    const { distillation } = await call("model", "student");
    expect((await call("model", "loaded")).distillation).toEqual(distillation);
    // Trained further, from where it is.
    const further = await call("train", "further", "loaded", { layers, group }, { ...options, rate: 1e-9 });
    const [end, start] = [checkpoints.at(-1)!, further.checkpoints.at(-1)!].map((each) => readCheckpoint(each).weights);
    const queries = `model.layers.${layers}.self_attn.q_proj_swiftkv.weight`;
    expect(largest(end!.get(queries)!.data.map((w, i) => w - start!.get(queries)!.data[i]!))).toBeLessThan(1e-3);
    expect(further.reports.every(({ phase }) => phase === "train")).toBe(true);
    for (const engine of ["dense", "student", "loaded", "further"]) await call("close", engine);
  });
}

test("what cannot be trained or gone on with is refused by name", async ({ call }) => {
  await call("open", "dense", source("qwen2"), { kv: "f32", context: 128 });
  const shape = { layers: 1, group: 1 };
  const refuse = async (options: object, message: RegExp, swiftkv = shape, from = "dense") =>
    expect((await call("train", "bad", from, swiftkv, options)).outcome).toMatch(message);
  await refuse({}, /InputError: distil: got 0 of texts, tokens and windows, want one/);
  await refuse({ tokens: TEXT, texts: "a" }, /InputError: distil: got 2 of texts/);
  await refuse({ tokens: [] }, /InputError: distil: too short; got no token/);
  await refuse({ texts: ["Āā", "  "] }, /InputError: distil: text 2; got nothing, want a text/);
  await refuse({ texts: "a\0b" }, /InputError: distil: text 1; got bytes that are no text/);
  await refuse({ tokens: [5, 151] }, /InputError: distil: got token id 151, want a whole number from 0 to 150/);
  await refuse({ tokens: TEXT.slice(0, 40) }, /InputError: calibrate: too short; got 40 tokens/);
  await refuse({ tokens: TEXT, steps: 0 }, /InputError: steps: got 0, want a whole number from 1/);
  await refuse({ tokens: TEXT, rate: 2 }, /InputError: rate: got 2, want a number from/);
  await refuse({ windows: [{ tokens: [5] }] }, /distil: window 1; got nothing to predict/);
  await refuse({ windows: [{ tokens: [5, 6], mask: [1, 1, 1] }] }, /distil: window 1; got a mask of 3, want 2/);
  await refuse({ tokens: TEXT }, /InputError: distil: got a shape in which every layer is ordinary/, {
    layers: 3,
    group: 1,
  });
  await refuse({ tokens: TEXT }, /InputError: swiftkv.group: got 3/, { layers: 1, group: 3 });
  const { checkpoints } = await call("train", "student", "dense", shape, { ...SHORT, steps: 1, start: "folded" });
  const resume = checkpoints[0]!;
  await refuse({ ...SHORT, resume }, /InputError: resume: got steps 6, want 1, as the training began/);
  await refuse({ tokens: TEXT.slice(1), window: 40, resume }, /InputError: resume: got another text/);
  await refuse({ tokens: TEXT, resume }, /InputError: resume: got K 1, G 2, want K 1, G 1/, { layers: 1, group: 2 });
  await refuse({ tokens: TEXT, resume: resume.slice(0, 4000) }, /ModelError: checkpoint/);
  await call("open", "other", source("qwen2@other"), { kv: "f32", context: 128 });
  await refuse(
    { tokens: TEXT, resume },
    /ModelError: resume: checkpoint of another model; got qwen2@other/,
    shape,
    "other",
  );
  for (const engine of ["dense", "student", "other"]) await call("close", engine);
});
