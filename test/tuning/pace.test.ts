// How submits are cut, on a GPU that is a clock: it knows what each kernel really takes.
import { expect, test } from "playwright/test";
import { type Cost, Pace } from "../../src/gpu/pace.ts";
import { profileOf } from "../../src/gpu/profile.ts";
import { awaited } from "../../src/gpu/wait.ts";
import { encodePaced } from "../../src/gpu/paced.ts";
import { chunkRowsOf, plainPlan } from "../../src/kv/plan.ts";
import { Rhythm } from "../../src/model/rhythm.ts";
import { tieredPlan } from "../engine/fake.ts";

const GPU = profileOf({ software: false }, { threads: 256, lanes: 4 });

/** GFLOP/s and GB/s by kernel. */
type Speeds = Record<string, { gflops: number; gbs: number }>;

const PHONE: Speeds = {
  gemm: { gflops: 60, gbs: 20 },
  attention: { gflops: 25, gbs: 20 },
  unpack: { gflops: 30, gbs: 12 },
};
const DESKTOP: Speeds = {
  gemm: { gflops: 9000, gbs: 600 },
  attention: { gflops: 3000, gbs: 500 },
  unpack: { gflops: 900, gbs: 450 },
};

/** The dispatches of a chunk of a model of 1B parameters. */
const chunk = (rows: number, context: number): Cost[] =>
  Array.from({ length: 16 }, () => [
    { kernel: "unpack", bytes: 38e6, flops: 17e6 },
    { kernel: "gemm", bytes: 4 * rows * 18e3, flops: 2 * rows * 8.4e6 },
    { kernel: "attention", bytes: rows * 1e4, flops: 4 * rows * context * 2048 },
    { kernel: "unpack", bytes: 230e6, flops: 1e8 },
    { kernel: "gemm", bytes: 4 * rows * 3e4, flops: 2 * rows * 50e6 },
  ]).flat();

function fakeGpu(speeds: Speeds, mostMs = 100) {
  const time = { now: 0 };
  const pace = new Pace(mostMs, () => time.now);
  const submits: number[] = [];
  const held = new Map<object, number>();
  let [current, busyUntil] = [{}, 0];
  const pending: { at: number; done: () => void }[] = [];
  const device = {
    createCommandEncoder: () => {
      const encoder = { beginComputePass: () => ((current = encoder), { end: () => {} }) };
      return encoder;
    },
  };
  const run = (encoder: object): number => {
    const ms = held.get(encoder) ?? 0;
    submits.push(ms);
    return (busyUntil = Math.max(busyUntil, time.now) + ms);
  };
  const gpu = {
    pace,
    device: device as unknown as GPUDevice,
    submit: (encoder: GPUCommandEncoder) => {
      const at = run(encoder);
      pace.measure(encoder, () => new Promise((done) => pending.push({ at, done })));
    },
  };
  const msOf = ({ kernel, bytes, flops }: Cost) =>
    0.005 + bytes / speeds[kernel]!.gbs / 1e6 + flops / speeds[kernel]!.gflops / 1e6;
  const program = (costs: readonly Cost[]) => ({
    costs,
    encode: (_: GPUComputePassEncoder, first = 0, end = costs.length) => {
      const ms = costs.slice(first, end).reduce((sum, cost) => sum + msOf(cost), 0);
      held.set(current, (held.get(current) ?? 0) + ms);
    },
  });
  /** All that has been submitted is done, one after another. */
  const settle = async () => {
    for (const { at, done } of pending.splice(0)) {
      time.now = at;
      done();
      await new Promise((resolve) => setImmediate(resolve));
    }
    time.now = Math.max(time.now, busyUntil);
  };
  const step = async (costs: readonly Cost[]) => {
    const before = submits.length;
    gpu.submit(encodePaced(gpu, gpu.device.createCommandEncoder(), [program(costs)]));
    await settle();
    return submits.slice(before);
  };
  return { pace, step, msOf };
}

/** A prompt of `tokens` tokens in chunks as long as the rhythm says; the submits of each. */
async function prompt({ pace, step }: ReturnType<typeof fakeGpu>, tokens: number) {
  const rhythm = new Rhythm({ pace, profile: GPU }, plainPlan(1024), {
    rows: 515,
    sequences: 4,
    logitCount: 8,
    vocabulary: 97,
  });
  const chunks: { rows: number; submits: number[] }[] = [];
  for (let at = 0; at < tokens;) {
    const costsOf = ({ rows }: { rows: number }) => chunk(rows, at);
    rhythm.noteWide({ program: { costsOf }, sizes: { rows: 1, decodeRows: 0 } as never });
    const rows = Math.min(rhythm.chunkRows(tokens - at), tokens - at);
    chunks.push({ rows, submits: await step(chunk(rows, at)) });
    at += rows;
  }
  return chunks;
}

test("no submit takes longer than 100 ms, on a phone from the first one on; chunks are as long as that allows", async () => {
  const gpu = fakeGpu(PHONE);
  const chunks = await prompt(gpu, 4096);
  for (const { submits } of chunks) expect(Math.max(...submits)).toBeLessThanOrEqual(100);
  expect(new Set(chunks.map(({ rows }) => rows))).toEqual(new Set([32]));
  const learnt = chunks.slice(4, 20).flatMap(({ submits }) => submits.slice(0, -1));
  expect(learnt.reduce((sum, ms) => sum + ms, 0) / learnt.length).toBeGreaterThan(25);
});

test("a fast GPU gets small submits at first, whole chunks after few", async () => {
  const chunks = await prompt(fakeGpu(DESKTOP), 8192);
  for (const { submits } of chunks) expect(Math.max(...submits)).toBeLessThanOrEqual(100);
  expect(chunks[0]!.submits.length).toBeGreaterThan(8);
  expect(chunks.slice(0, 4).some(({ rows }) => rows === 512)).toBe(true);
  expect(chunks.at(-2)!.rows).toBe(512);
  const { submits: last } = chunks.at(-2)!;
  expect(last.reduce((sum, ms) => sum + ms, 0) / last.length).toBeGreaterThan(30); // of the 50 that are planned
});

test("a GPU that slows down to a quarter is noticed within a chunk", async () => {
  const speeds = structuredClone(DESKTOP);
  const gpu = fakeGpu(speeds);
  await prompt(gpu, 4096);
  for (const speed of Object.values(speeds)) [speed.gflops, speed.gbs] = [speed.gflops / 4, speed.gbs / 4];
  const [first, ...others] = await prompt(gpu, 4096);
  expect(Math.max(...first!.submits)).toBeLessThanOrEqual(4 * 100);
  for (const { submits } of others) expect(Math.max(...submits)).toBeLessThanOrEqual(100);
});

test("what is left out costs nothing, and a step without work is one submit", async () => {
  const pace = new Pace(100);
  const encoder = {} as GPUCommandEncoder;
  for (let i = 0; i < 9; i++) expect(pace.take(encoder, null)).toBe(true);
  expect(pace.take(encoder, { kernel: "gemm", bytes: 0, flops: 1e12 })).toBe(true); // alone, however long
  expect(pace.take(encoder, { kernel: "gemm", bytes: 0, flops: 1 })).toBe(false);
  expect(await fakeGpu(PHONE).step([])).toEqual([0]);
});

test("caches whose parts change with time have fixed chunks and two steps under way; others three where steps are short", () => {
  const limits = { rows: 515, sequences: 4, logitCount: 8, vocabulary: 97 };
  const slow = {
    program: { costsOf: () => chunk(512, 0), costs: chunk(1, 4096) },
    sizes: { rows: 1, decodeRows: 0 } as never,
  };
  const short = { program: { costs: [{ kernel: "gemv", bytes: 1e6, flops: 1e6 }] } };
  const plain = new Rhythm({ pace: new Pace(100), profile: GPU }, plainPlan(64), limits);
  const tiered = new Rhythm({ pace: new Pace(100), profile: GPU }, tieredPlan(64, 40, 8), limits);
  for (const rhythm of [plain, tiered]) rhythm.noteWide(slow);
  expect([plain.chunkRows(900), tiered.chunkRows(900)]).toEqual([32, chunkRowsOf(limits)]);
  for (const rhythm of [plain, tiered]) rhythm.noteNarrow([short]);
  expect([plain.depth, tiered.depth]).toEqual([3, 2]);
  plain.noteNarrow([slow]);
  expect(plain.depth).toBe(2);
});

test("Firefox is sent empty submits until work is done, others none", async () => {
  const submits: number[] = [];
  const queue = { submit: (commands: Iterable<GPUCommandBuffer>) => void submits.push([...commands].length) };
  const [firefox, chrome] = ["Mozilla/5.0 (X11; rv:145.0) Gecko/20100101 Firefox/145.0", "Mozilla/5.0 Chrome/156.0"];
  const whenSubmitted = (count: number) => async () => {
    while (submits.length < count) await new Promise((resolve) => setTimeout(resolve, 1));
    return "done";
  };
  expect(await awaited(queue, whenSubmitted(3)(), firefox)).toBe("done");
  await expect(awaited(queue, Promise.reject(new Error("told to fail")), firefox)).rejects.toThrow("told to fail");
  const { length } = submits;
  expect(await awaited(queue, new Promise((resolve) => setTimeout(() => resolve("done"), 20)), chrome)).toBe("done");
  expect(submits).toEqual(Array.from({ length }, () => 0));
});

test("until kernels of many rows are compiled, inputs are read a few rows at a time; long ones ask for them", () => {
  const limits = { rows: 515, sequences: 4, logitCount: 8, vocabulary: 97 };
  const rhythm = new Rhythm(
    { pace: new Pace(100), profile: profileOf({ software: true }, { threads: 256, lanes: 4 }) },
    plainPlan(64),
    limits,
  );
  let asked = 0;
  rhythm.onLongInput = () => void asked++;
  rhythm.isStarting = true;
  expect([rhythm.chunkRows(20), asked]).toEqual([8, 0]);
  expect([rhythm.chunkRows(900), asked]).toEqual([8, 1]);
  rhythm.isStarting = false;
  expect(rhythm.chunkRows(900)).toBe(512);
});
