// SwiftKV in the browser: the conformance vectors, the exactness of skipping, conversion, the switch, what it costs.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { type GoldenNumbers, makeCheckpoint, readGolden, SWIFTKV_VARIANTS } from "./golden/checkpoint.ts";
import { applyChange, DAMAGED, HARMLESS, numbersOf } from "./golden/damage.ts";
import { toFiles } from "./golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "./golden/serve.ts";
import { student } from "./golden/student.ts";
import { toyStudent, toyTensors, vectors, widened } from "./golden/toy.ts";
import type { Job } from "./harness.ts";
import type { Call } from "./page.ts";
import { greedy, logSoftmax, score } from "./reference.ts";

/** A fixture's checkpoint; "toy@G" is the model of the vectors, "odd@n" a fixture with the nth change made to it. */
function filesOf(name: string): Map<string, Uint8Array> {
  const [kind, which] = name.split("@");
  if (which === undefined) return toFiles(makeCheckpoint(name), readGolden(name).dtype);
  if (kind === "toy") return toFiles(widened(toyStudent(Number(which))), "F32");
  return toFiles(applyChange(ODDITIES[Number(which)]![1]), "F32");
}

const ODDITIES = [...Object.entries(HARMLESS), ...Object.entries(DAMAGED)];
const test = testWith(filesOf);
test.describe.configure({ mode: "parallel" });

// ---- the vectors ----

/** f32 rounding of logits: about ten roundings per layer of sums of 12 terms, on logits below 3. */
const TOY_TOLERANCE = 4 * 10 * Math.sqrt(12) * 2 ** -24 * 3;

/** Logits after each beginning of the vectors' tokens: every token is forced once, and the last token's logit is 0. */
async function toyLogits(call: Call, name: string): Promise<number[][]> {
  const found: number[][] = [];
  for (let length = 1; length <= vectors.tokens.length; length++) {
    const jobs = Array.from({ length: 12 }, (_, token) =>
      job(vectors.tokens.slice(0, length), 1, { logitBias: { [token]: 1e4 } }),
    );
    const logprobs = (await call("answers", name, jobs)).map((answer) => answer.logprobs[0]!);
    found.push(logprobs.slice(0, 11).map((logprob) => logprob - logprobs[11]!));
  }
  return found;
}

/** KL(teacher ‖ student) · 4 at temperature 2, of positions 3, 4, 5, over all 6 positions. */
function distillationLoss(teacher: number[][], student: number[][]): number {
  const soft = (logits: number[]) => logSoftmax(Float64Array.from(logits, (logit) => logit / 2));
  let loss = 0;
  for (const t of [3, 4, 5]) {
    const [p, q] = [soft(teacher[t]!), soft(student[t]!)];
    p.forEach((logP, v) => (loss += (Math.exp(logP) * (logP - q[v]!) * 4) / 6));
  }
  return loss;
}

test("conformance vectors: teacher and students, their caches and the distillation loss", async ({ call }) => {
  const row = Array.from(toyTensors().get("model.embed_tokens.weight")!.data.subarray(40, 44));
  expect(worst(row, vectors.embed_row5_first4)).toBeLessThan(1e-12);
  await call("open", "teacher", source("toy@1"), { kv: "f32", context: 256, swiftkv: false });
  const teacher = await toyLogits(call, "teacher");
  expect(worst(teacher.at(-1)!, vectors.teacher_last)).toBeLessThan(TOY_TOLERANCE);
  for (const group of [1, 2] as const) {
    const stats = await call("open", "student", source(`toy@${group}`), { kv: "f32", context: 256 });
    expect(stats.kvBytesPerToken / (2 * 8 * 4), "caches").toBe(group === 1 ? 4 : 3);
    const student = await toyLogits(call, "student");
    expect(worst(student.at(-1)!, vectors[`student_last_G${group}`])).toBeLessThan(TOY_TOLERANCE);
    const loss = distillationLoss(teacher, student);
    expect(Math.abs(loss - vectors[`kl_loss_G${group}`]), "loss").toBeLessThan(4 * TOY_TOLERANCE);
  }
  for (const name of ["teacher", "student"]) await call("close", name);
});

// ---- checkpoints in the public layout, numbers from PyTorch ----

/** Scores and greedy tokens of the fixture's prompt, prompt tokens skipping the later layers. */
async function expectNumbers(call: Call, name: string, prompt: readonly number[], want: GoldenNumbers): Promise<void> {
  const got = await call("answer", name, job(prompt, want.greedy.tokens.length));
  expect(got.tokens).toEqual(want.greedy.tokens);
  expect(worst(got.logprobs, want.greedy.logprobs)).toBeLessThan(tolerance(want));
  const scores = await call("score", name, prompt);
  expect(worst(scores.slice(1), want.logprobs.slice(1) as number[])).toBeLessThan(tolerance(want));
}

for (const variant of SWIFTKV_VARIANTS) {
  test(`${variant}: tokens and log-probabilities of PyTorch, student and teacher`, async ({ call }) => {
    const golden = readGolden(variant);
    await call("open", "student", source(variant), { kv: "f32", context: 128, teacher: true });
    await expectNumbers(call, "student", golden.prompt, golden);
    await call("twin", "switched", "student", false);
    await call("open", "dense", source(variant), { kv: "f32", context: 128, swiftkv: false });
    const both = [];
    for (const name of ["switched", "dense"]) both.push(await call("answer", name, job(golden.prompt, 12)));
    expect(both[0]!.logprobs).toEqual(both[1]!.logprobs);
    await expectNumbers(call, "switched", golden.prompt, golden.teacher!);
    const shape = (await call("model", "student")).swiftkv!;
    await call("twin", "back", "switched", shape);
    expect(await call("model", "back")).toMatchObject({ swiftkv: shape, undistilled: false });
    await expectNumbers(call, "back", golden.prompt, golden);
    const kept = (await call("stats", "student")).weightBytes;
    expect((await call("open", "student", source(variant), { context: 128 })).weightBytes).toBeLessThan(kept);
    for (const name of ["student", "switched", "back", "dense"]) await call("close", name);
  });
}

test("checkpoints that lack something or contradict themselves are refused by name; odd ones load", async ({
  call,
}) => {
  for (const [index, [title, change]] of ODDITIES.entries()) {
    const open = call("open", "odd", source(`odd@${index}`), { kv: "f32", context: 128 });
    if ("names" in change) {
      const message = await open.then(() => "loaded", String);
      expect(message, title).toContain("ModelError");
      expect(message, title).toContain(change.names);
    } else {
      await open;
      await expectNumbers(call, "odd", readGolden(change.variant).prompt, numbersOf(change.variant, change.like));
    }
  }
  await call("close", "odd");
});

// ---- exactness ----

/** Log-probabilities of an answer whose prompt skipped layers, and of the same tokens with none skipped. */
async function bothWays(call: Call, name: string, prompt: readonly number[]): Promise<[number[], number[]]> {
  const { tokens, logprobs } = await call("answer", name, job(prompt, 12));
  const scores = await call("score", name, [...prompt, ...tokens]);
  return [logprobs, scores.slice(prompt.length)];
}

test("skipping is exact: chunks, batches, reused prefixes and a second turn", async ({ call }) => {
  const golden = readGolden("qwen3");
  const shape = { layers: 1, group: 2 };
  for (const chunk of [1, 7, 32, 64]) {
    await call("open", "skip", source("qwen3"), { kv: "f32", context: 96, chunk, swiftkv: shape });
    const [skipped, whole] = await bothWays(call, "skip", golden.prompt);
    expect(worst(skipped, whole), `chunk ${chunk}`).toBeLessThan(tolerance(golden));
  }
  await call("open", "skip", source("qwen3"), { kv: "f32", context: 512, chunk: 16, sequences: 4, swiftkv: shape });
  const prompts = [golden.prompt, golden.prompt.slice(0, 20), golden.prompt.slice(10), golden.prompt.slice(0, 33)];
  const alone = [];
  for (const prompt of prompts) {
    await call("open", "single", source("qwen3"), { kv: "f32", context: 96, swiftkv: shape });
    alone.push(await call("answer", "single", job(prompt, 24)));
  }
  const jobs = prompts.map((prompt) => job(prompt, 24));
  const together = await call("answers", "skip", jobs);
  expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  for (const [i, { logprobs }] of together.entries())
    expect(worst(logprobs, alone[i]!.logprobs)).toBeLessThan(tolerance(golden));
  const again = await call("answer", "skip", job(golden.prompt, 24));
  expect(again.reusedTokens).toBe(49);
  expect(again.tokens).toEqual(alone[0]!.tokens);
  const turn = [...golden.prompt, ...again.tokens, 5, 9, 4];
  const second = await call("answer", "skip", job(turn, 12));
  expect(second.reusedTokens).toBeGreaterThan(70);
  expect(second.tokens).toEqual((await call("answer", "single", job(turn, 12))).tokens);
  const [skipped, whole] = await bothWays(call, "skip", turn);
  expect(worst(skipped, whole)).toBeLessThan(tolerance(golden));
  for (const abortAfter of [-1, -2, 1, 3]) {
    const aborted = await call("answer", "skip", { ...job([...golden.prompt, 30 + abortAfter], 40), abortAfter });
    expect(aborted.finish).toBe("abort");
  }
  expect((await call("answer", "skip", job(golden.prompt, 24))).tokens).toEqual(again.tokens);
  for (const name of ["skip", "single"]) await call("close", name);
});

test("skipping is exact on Fable: a prompt of two chunks, scored 64 rows at a time through every layer", async ({
  call,
}) => {
  const { cases } = JSON.parse(readFileSync("demo/models/fable/golden.json", "utf8")) as {
    cases: { name: string; prompt: number[] }[];
  };
  const prompt = cases.find(({ name }) => name === "notes")!.prompt.slice(0, 200);
  const settings = { kv: "f32", context: 256, chunk: 128, swiftkv: { layers: 4, group: 2 } } as const;
  await call("open", "fable", "/demo/models/fable/", settings);
  const [skipped, whole] = await bothWays(call, "fable", prompt);
  // Ten roundings in each of 8 layers, of sums of 512 terms, on logits of about 10.
  expect(worst(skipped, whole)).toBeLessThan(8 * 10 * Math.sqrt(512) * 2 ** -24 * 10);
  await call("close", "fable");
});

// ---- conversion ----

for (const [variant, shape] of [
  ["llama-gqa-tied", { layers: 1, group: 1 }],
  ["llama-bias", { layers: 1, group: 2 }],
  ["qwen2", { layers: 0, group: 3 }],
  ["qwen3", { layers: 2, group: 1 }],
  ["mistral", { layers: 1, group: 2 }],
  ["llama-head-20", { layers: 1, group: 1 }],
  ["qwen3-head-36", { layers: 1, group: 2 }],
] as const) {
  test(`${variant} converted with K ${shape.layers}, G ${shape.group}: the reference's student`, async ({ call }) => {
    const golden = readGolden(variant);
    const want = student(variant, shape);
    await call("open", "dense", source(variant), { kv: "f32", context: 128 });
    await call("twin", "student", "dense", shape);
    expect(await call("model", "student")).toMatchObject({ swiftkv: shape, convertible: true, undistilled: true });
    const scores = await call("score", "student", golden.prompt);
    expect(worst(scores.slice(1), score(want, golden.prompt).subarray(1))).toBeLessThan(tolerance(golden));
    const got = await call("answer", "student", job(golden.prompt, 8));
    const expected = greedy(want, golden.prompt, 8);
    expect(got.tokens).toEqual(expected.tokens);
    expect(worst(got.logprobs, expected.logprobs)).toBeLessThan(tolerance(golden));
    // The weights go with the last engine that reads them.
    await call("close", "dense");
    expect((await call("answer", "student", job(golden.prompt, 8))).tokens).toEqual(expected.tokens);
    await call("close", "student");
  });
}

test("switched off it is the ordinary model, bit for bit; so is K = L", async ({ call }) => {
  const { prompt, greedy: want } = readGolden("llama-bias");
  await call("open", "dense", source("llama-bias"), { kv: "f32", context: 128 });
  const dense = await call("answer", "dense", job(prompt, 24));
  expect(dense.tokens).toEqual(want.tokens);
  await call("twin", "student", "dense", { layers: 1, group: 2 });
  expect((await call("answer", "student", job(prompt, 24))).logprobs).not.toEqual(dense.logprobs);
  await call("twin", "off", "student", false);
  expect(await call("model", "off")).toMatchObject({ swiftkv: null, undistilled: false });
  expect((await call("answer", "off", job(prompt, 24))).logprobs).toEqual(dense.logprobs);
  await call("twin", "same", "dense", { layers: 3, group: 1 });
  expect((await call("answer", "same", job(prompt, 24))).logprobs).toEqual(dense.logprobs);
  for (const name of ["dense", "student", "off", "same"]) await call("close", name);
});

test("a shape asked for by name is the trained one where the checkpoint has it", async ({ call }) => {
  const [name] = SWIFTKV_VARIANTS;
  const golden = readGolden(name!);
  await call("open", "own", source(name!), { kv: "f32", context: 128 });
  const { swiftkv } = await call("model", "own");
  await call("open", "named", source(name!), { kv: "f32", context: 128, swiftkv: swiftkv! });
  expect(await call("model", "named")).toMatchObject({ swiftkv, undistilled: false });
  expect((await call("answer", "named", job(golden.prompt, 8))).tokens).toEqual(golden.greedy.tokens.slice(0, 8));
  for (const engine of ["own", "named"]) await call("close", engine);
});

// ---- cost ----

test("a decoded token costs what the ordinary model's costs; a chunk that is not the last runs no later layer", async ({
  call,
}) => {
  const { prompt } = readGolden("llama3");
  const counts = async (name: string, ...jobs: Job[]) => {
    const before = await call("stats", name);
    for (const one of jobs) await call("answer", name, one);
    const after = await call("stats", name);
    const per = (what: "submits" | "readbacks" | "readbackBytes" | "objectsCreated" | "dispatches") =>
      after[what] - before[what];
    return {
      submits: per("submits"),
      readbacks: per("readbacks"),
      bytes: per("readbackBytes"),
      objects: per("objectsCreated"),
      dispatches: per("dispatches"),
    };
  };
  await call("open", "dense", source("llama3"), { context: 256, chunk: 16 });
  const shape = { layers: 1, group: 2 };
  await call("twin", "student", "dense", shape);
  const found = [];
  for (const name of ["dense", "student"]) {
    await call("answer", name, job(prompt, 4));
    const decoding = await counts(name, job([4], 20), job([5], 1));
    const reading = await counts(name, job([6, ...prompt.slice(0, 47)], 1));
    found.push({ decoding, reading });
  }
  const [dense, student] = found as [(typeof found)[0], (typeof found)[0]];
  expect(dense.decoding).toEqual({
    submits: 21,
    readbacks: 21,
    bytes: 21 * 8,
    objects: 0,
    dispatches: 21 * (1 + 3 * 5 + 4),
  });
  expect(student.decoding).toEqual(dense.decoding);
  // Three chunks of 16 rows, of which only the last goes on. A chunk: embed, K layers like the ordinary model's, the
  // projection from packed weights. Then gather; each later layer: queries, attention over two pages and
  // their merging, three products; norm, logits, two for sampling.
  expect(student.reading).toMatchObject({ submits: 3, readbacks: 1, bytes: 8, objects: 0 });
  const layer = (dense.reading.dispatches - 3 - 4) / 9;
  expect(student.reading.dispatches).toBe(3 * (1 + layer + 1) + 1 + 2 * 6 + 4);
  for (const name of ["dense", "student"]) await call("close", name);
});

test("bytes of keys and values are 2·G·E·b·(K + (L − K)/G) a token, and the cache's as many as it has tokens", async ({
  call,
}) => {
  const { config } = makeCheckpoint("llama-blocks");
  const [L, heads] = [Number(config.num_hidden_layers), Number(config.num_key_value_heads)];
  const E = Number(config.head_dim ?? Number(config.hidden_size) / Number(config.num_attention_heads));
  const perHead = { f32: 8 * E, int4: E + 8 };
  await call("open", "dense", source("llama-blocks"), { context: 64 });
  for (const kv of ["f32", "int4"] as const) {
    for (const group of [1, 2, 4].filter((size) => L % size === 0 || (L - 1) % size === 0)) {
      const layers = (L - 1) % group === 0 ? 1 : 0;
      const stats = await call("twin", "student", "dense", { layers, group }, { kv, context: 256 });
      expect(stats.kvBytesPerToken, `${kv}, G ${group}`).toBe(heads * perHead[kv] * (layers + (L - layers) / group));
      expect(stats.kvBytes).toBe(256 * stats.kvBytesPerToken);
    }
  }
  for (const name of ["dense", "student"]) await call("close", name);
});

test("layers of a group share one store in several buffers, copies included", async ({ call }) => {
  const { prompt } = readGolden("qwen3");
  const want = greedy(student("qwen3", { layers: 1, group: 2 }), prompt, 12).tokens;
  for (const arenaBytes of [8192, 20_000]) {
    const options = { kv: "f32", context: 512, arenaBytes, sequences: 4, swiftkv: { layers: 1, group: 2 } } as const;
    await call("open", "parts", source("qwen3"), options);
    const jobs = [job(prompt, 12), job(prompt, 12), job([...prompt.slice(0, 45), 7], 12)];
    const answers = await call("answers", "parts", jobs);
    expect(answers.slice(0, 2).map(({ tokens }) => tokens)).toEqual([want, want]);
  }
  await call("close", "parts");
});

test("shapes that a model cannot have, and switches that it has not, are refused", async ({ call }) => {
  const refuse = (options: object, message: RegExp) =>
    expect(call("open", "bad", source("llama"), { context: 64, ...options })).rejects.toThrow(message);
  await refuse(
    { swiftkv: { layers: 4, group: 1 } },
    /InputError: swiftkv.layers: got 4, want a whole number from 0 to 3/,
  );
  await refuse({ swiftkv: { layers: 1, group: 3 } }, /InputError: swiftkv.group: got 3, want a divisor of 2/);
  await refuse({ swiftkv: { layers: 1.5, group: 1 } }, /InputError: swiftkv.layers: got 1.5/);
  await refuse({ swiftkv: true }, /InputError: swiftkv: got true, but .* is an ordinary model/);
  await call("open", "toy", source("toy@1"), { context: 64 });
  await expect(call("twin", "off", "toy", false)).rejects.toThrow(
    /InputError: convert: .* Load it with \{ teacher: true \}/,
  );
  await call("open", "toy", source("toy@1"), { context: 64, teacher: true });
  await call("twin", "off", "toy", false);
  for (const name of ["toy", "off"]) await call("close", name);
});
