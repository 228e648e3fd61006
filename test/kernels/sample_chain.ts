// The sampling kernels in sequence: empirical frequencies against the exact distribution, and what a seed promises.
// Seeds are fixed, so the outcome is too on a given adapter. Runs in the page and on Dawn in Node.
import { logit_adjust, logit_count, sample_filter } from "../../src/gpu/kernels.gen.ts";
import { sample_merge, sample_slices } from "../../src/gpu/kernels.gen.ts";
import { type Constants, Kernel, type KernelSource, packParams, type Params } from "../../src/gpu/kernel.ts";
import {
  MOST_BIASES,
  filtered,
  finite,
  packMask,
  packSettings,
  plain,
  PROMPT_BIT,
  type RowSettings,
  SETTING_WORDS,
} from "./sample_reference.ts";
import { floats, random } from "./spec.ts";

// Narrow workgroups: SwiftShader pays for barriers.
const LANES = 16;
const STEPS = 64;

/** One dispatch with its parameters. */
interface Launch {
  kernel: KernelSource;
  constants: Readonly<Record<string, number>>;
  params: Readonly<Record<string, number>>;
  grid: readonly [number, number];
}

const launch = <K extends KernelSource>(
  kernel: K,
  constants: Constants<K>,
  params: Params<K>,
  grid: readonly [number, number],
): Launch => ({ kernel, constants, params, grid }) as Launch;

/** Every dispatch of one sampling step of M rows; the middle three only where some row asks for them. */
function stepOf(V: number, rows: readonly RowSettings[]): Launch[] {
  const M = rows.length;
  const N = Math.ceil(V / (LANES * STEPS));
  const tiles = { LANES, STEPS };
  const counted = rows.some((row) => row.repetitionPenalty !== 1 || row.frequencyPenalty || row.presencePenalty);
  const isAdjusted = counted || rows.some((row) => row.biasCount > 0 || row.masked > 0);
  const isFiltered = rows.some((row) => row.temperature > 0 && (row.topK > 0 || row.topP < 1 || row.minP > 0));
  return [
    ...(isAdjusted ? [launch(logit_adjust, {}, { vocabulary: V }, [N, M])] : []),
    launch(sample_slices, tiles, { vocabulary: V }, [N, M]),
    ...(isFiltered ? [launch(sample_filter, { ...tiles, WG: 16 }, { vocabulary: V }, [M, 1])] : []),
    launch(sample_merge, { WG: 16 }, { vocabulary: V, sliceCount: N }, [M, 1]),
    ...(counted ? [launch(logit_count, {}, { rows: M, vocabulary: V }, [Math.ceil(M / 64), 1])] : []),
  ];
}

/** What the kernels of one step share. */
class Bench {
  readonly #device: GPUDevice;
  readonly #buffers: Record<string, GPUBuffer> = {};
  readonly #kernels = new Map<KernelSource, Kernel>();
  readonly #V: number;

  constructor(device: GPUDevice, logits: Float32Array<ArrayBuffer>, V: number, sequences: number) {
    this.#device = device;
    this.#V = V;
    const M = logits.length / V;
    const N = Math.ceil(V / (LANES * STEPS));
    const words = {
      logits: M * V,
      scores: M * V,
      settings: M * SETTING_WORDS,
      slices: M * N * 4,
      peaks: M * N * LANES,
      picks: M,
      result: M * 2,
      tokens: sequences,
      counts: sequences * V,
      bias: sequences * MOST_BIASES * 2,
      mask: M * Math.ceil(V / 32),
    };
    const { STORAGE, COPY_DST, COPY_SRC } = GPUBufferUsage;
    for (const [name, count] of Object.entries(words)) {
      this.#buffers[name] = device.createBuffer({ size: count * 4, usage: STORAGE | COPY_DST | COPY_SRC });
    }
    this.write("logits", logits);
  }

  write(name: string, data: GPUAllowSharedBufferSource): void {
    this.#device.queue.writeBuffer(this.#buffers[name]!, 0, data);
  }

  /** Runs the launches in order. */
  async run(launches: readonly Launch[]): Promise<void> {
    const isAdjusted = launches.some(({ kernel }) => kernel === logit_adjust);
    for (const { kernel: source, constants, params, grid } of launches) {
      const kernel = this.#kernels.get(source) ?? (await Kernel.create(this.#device, source, constants));
      this.#kernels.set(source, kernel);
      const { UNIFORM, COPY_DST } = GPUBufferUsage;
      const arena = this.#device.createBuffer({ size: 256, usage: UNIFORM | COPY_DST });
      const view = new DataView(new ArrayBuffer(256));
      packParams(source, params, view, 0);
      this.#device.queue.writeBuffer(arena, 0, view.buffer);
      const isReader = source === sample_slices || source === sample_filter;
      const scores = this.#buffers[isReader && !isAdjusted ? "logits" : "scores"]!;
      const encoder = this.#device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(kernel.pipeline);
      pass.setBindGroup(0, kernel.bind({ ...this.#buffers, scores }, arena), [0]);
      pass.dispatchWorkgroups(...grid);
      pass.end();
      this.#device.queue.submit([encoder.finish()]);
      arena.destroy();
    }
  }

  /** One step; per row the token and its log-probability. */
  async step(rows: readonly RowSettings[]): Promise<{ tokens: number[]; logprobs: number[] }> {
    this.write("settings", packSettings(rows));
    await this.run(stepOf(this.#V, rows));
    const { MAP_READ, COPY_DST } = GPUBufferUsage;
    const result = this.#buffers["result"]!;
    const staging = this.#device.createBuffer({ size: result.size, usage: MAP_READ | COPY_DST });
    const encoder = this.#device.createCommandEncoder();
    encoder.copyBufferToBuffer(result, 0, staging, 0, result.size);
    this.#device.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    const words = new Uint32Array(staging.getMappedRange().slice(0));
    staging.destroy();
    const numbers = new Float32Array(words.buffer);
    const every = rows.map((_, m) => m * 2);
    return { tokens: every.map((at) => words[at]!), logprobs: every.map((at) => numbers[at + 1]!) };
  }

  destroy(): void {
    for (const buffer of Object.values(this.#buffers)) buffer.destroy();
  }
}

/** The same row of logits M times over. */
const repeated = (row: Float32Array, M: number): Float32Array<ArrayBuffer> =>
  Float32Array.from({ length: row.length * M }, (_, i) => row[i % row.length]!);

/** 99.99th percentile of the χ² distribution (Wilson and Hilferty's cube). */
const chiSquareLimit = (freedom: number): number =>
  freedom * (1 - 2 / (9 * freedom) + 3.719 * Math.sqrt(2 / (9 * freedom))) ** 3;

/** Null if `tokens` could have come from the filtered distribution of `logits`. */
function judgeFrequencies(tokens: readonly number[], logits: Float32Array, row: RowSettings): string | null {
  const { ids, probabilities } = filtered(logits, row);
  const stranger = tokens.find((token) => !ids.includes(token));
  if (stranger !== undefined) return `drew ${stranger}, which the filters drop`;
  let statistic = 0;
  let freedom = -1;
  let rest = { expected: 0, seen: 0 };
  const add = (expected: number, seen: number): void => {
    statistic += (seen - expected) ** 2 / expected;
    freedom++;
  };
  ids.forEach((id, i) => {
    const expected = probabilities[i]! * tokens.length;
    const seen = tokens.reduce((sum, token) => sum + (token === id ? 1 : 0), 0);
    // The approximation wants five or more expected per cell; rarer tokens share one.
    if (expected >= 5) add(expected, seen);
    else rest = { expected: rest.expected + expected, seen: rest.seen + seen };
  });
  if (rest.expected > 1) add(rest.expected, rest.seen);
  if (freedom < 1 || statistic <= chiSquareLimit(freedom)) return null;
  return `χ² ${statistic.toFixed(1)} with ${freedom} degrees of freedom, want at most ${chiSquareLimit(freedom).toFixed(1)}`;
}

async function checkFrequencies(device: GPUDevice): Promise<string[]> {
  const [V, M] = [40, 3000];
  const logits = floats(random(1), V, 3);
  const bench = new Bench(device, repeated(logits, M), V, M);
  const failures: string[] = [];
  const settings = [
    { temperature: 1 },
    { temperature: 0.5 },
    { temperature: 1, topK: 5 },
    { temperature: 1.5, topP: 0.8 },
    { temperature: 1.5, minP: 0.1 },
    { temperature: 1.2, topK: 20, topP: 0.9, minP: 0.02 },
    { temperature: 1, topK: 100, topP: 1e-6 },
  ];
  for (const [i, change] of settings.entries()) {
    // Half of the rows differ by seed, half by step.
    const rows = Array.from({ length: M }, (_, m) => {
      const [seed, counter] = m < M / 2 ? [m, i] : [12345 + i, m];
      return { ...plain, ...change, sequence: m, seed, counter };
    });
    const wrong = judgeFrequencies((await bench.step(rows)).tokens, logits, rows[0]!);
    if (wrong) failures.push(`sampling ${JSON.stringify(change)}: ${wrong}`);
  }
  bench.destroy();
  return failures;
}

/** Under a mask, draws follow the model's distribution over what is allowed, with a filter and without. */
async function checkMasks(device: GPUDevice): Promise<string[]> {
  const [V, M] = [40, 2000];
  const logits = floats(random(3), V, 3);
  const allows = (token: number) => token % 3 === 1;
  const bench = new Bench(device, repeated(logits, M), V, M);
  bench.write(
    "mask",
    packMask(V, M, (_, token) => allows(token)),
  );
  const reachable = logits.map((logit, token) => (allows(token) ? logit : -1e4)); // exp(-1e4) = 0
  const failures: string[] = [];
  for (const change of [{ temperature: 1 }, { temperature: 1, topK: 6 }]) {
    const rows = Array.from({ length: M }, (_, m) => ({ ...plain, ...change, masked: 1, sequence: m, seed: m }));
    const { tokens } = await bench.step(rows);
    const wrong = judgeFrequencies(tokens, reachable, rows[0]!);
    const stranger = tokens.find((token) => !allows(token));
    if (wrong) failures.push(`mask ${JSON.stringify(change)}: ${wrong}`);
    if (stranger !== undefined) failures.push(`mask ${JSON.stringify(change)}: drew ${stranger}, which it forbids`);
  }
  bench.destroy();
  return failures;
}

/** At how many places two lists agree. */
const same = (a: number[], b: number[]): number => a.filter((token, m) => token === b[m]).length;

/** Same seed and step, same tokens; another step or seed, others. Log-probabilities are the raw model's throughout. */
async function checkSeeds(device: GPUDevice): Promise<string[]> {
  const [V, M] = [2000, 8];
  const logits = floats(random(2), V, 2);
  const bench = new Bench(device, repeated(logits, M), V, M);
  const rowsOf = (seed: number, counter: number): RowSettings[] =>
    Array.from({ length: M }, (_, m) => ({
      ...plain,
      temperature: 1,
      sequence: m,
      seed,
      counter: counter + m,
      topP: m % 2 ? 0.95 : 1,
    }));
  const first = await bench.step(rowsOf(7, 0));
  const again = await bench.step(rowsOf(7, 0));
  const later = await bench.step(rowsOf(7, M));
  const other = await bench.step(rowsOf(8, 0));
  bench.destroy();
  const failures: string[] = [];
  const whole = logits.reduce((sum, logit) => sum + Math.exp(logit), 0);
  const tolerance = 8 * Math.sqrt(V) * 2 ** -24 * Math.log(V);
  for (let m = 0; m < M; m++) {
    const want = finite(logits[first.tokens[m]!]!) - Math.log(whole);
    if (!(Math.abs(first.logprobs[m]! - want) <= tolerance))
      failures.push(`row ${m}: log-probability is not the model's`);
  }
  if (same(first.tokens, again.tokens) !== M) failures.push("same seed and step, other tokens");
  if (same(first.tokens, later.tokens) > 1) failures.push("another step, same tokens");
  if (same(first.tokens, other.tokens) > 1) failures.push("another seed, same tokens");
  return failures;
}

/** Greedy with a presence penalty never repeats until every token was used; the prompt's tokens are held back by theirs. */
async function checkPenalties(device: GPUDevice): Promise<string[]> {
  const V = 12;
  const logits = Float32Array.from({ length: V }, (_, i) => 5 + i / 8);
  const bench = new Bench(device, logits, V, 1);
  const counts = new Uint32Array(V);
  for (const token of [3, 11]) counts[token] = PROMPT_BIT;
  bench.write("counts", counts);
  const row = { ...plain, presencePenalty: 10, repetitionPenalty: 2 };
  const got: number[] = [];
  for (let counter = 0; counter < V; counter++) got.push(...(await bench.step([{ ...row, counter }])).tokens);
  bench.destroy();
  const want = [10, 9, 8, 7, 6, 5, 4, 2, 1, 0, 11, 3];
  return String(got) === String(want) ? [] : [`penalties: tokens ${got}, want ${want}`];
}

/** All checks; returns the failures (want: none). */
export async function checkSampling(device: GPUDevice): Promise<string[]> {
  const checks = [checkFrequencies, checkMasks, checkSeeds, checkPenalties];
  return (await Promise.all(checks.map((check) => check(device)))).flat();
}
