// What a kernel's test is made of, and how one case is run and judged on any GPUDevice
// (Chromium page, Dawn in Node, a real GPU). No imports from the test runner: this file runs in the page.
import { type Constants, Kernel, type KernelSource, packParams, type Params } from "../../src/gpu/kernel.ts";
import { textOf } from "../../src/gpu/text.ts";

export type Data = Float32Array | Uint32Array;

/** Judges a buffer of which several contents are right, by its words after the run: null, or what is wrong first. */
export type Verdict = (words: Uint32Array) => string | null;

export interface KernelCase<K extends KernelSource = KernelSource> {
  /** Shapes in words; printed on failure together with the seed. */
  label: string;
  constants: Constants<K>;
  params: Params<K>;
  grid: readonly [number, number, number];
  /** Contents of every buffer before the run. Padding inside should be NaN. */
  buffers: Record<string, Data>;
  /** For each written buffer its contents after the run; NaN = "must not have been touched". u32 buffers compare exactly. */
  want: Record<string, Float64Array | Uint32Array | Verdict>;
  /** Length n of the longest f32 sum: tolerance is (8·√n + ulps)·2⁻²⁴·magnitude. */
  terms: number;
  /** Extra error in units in the last place, from exp/rsqrt/… as the WGSL specification bounds them. Default 0. */
  ulps?: number;
  /** Largest Σ|aᵢ·bᵢ| behind one output, where sums cancel. Default: max |want|. */
  magnitude?: number;
}

export interface KernelSpec<K extends KernelSource = KernelSource> {
  kernel: K;
  /** ≥ 40: the seeds from 0 on that every test run takes, few shapes among them where each compiles for long. */
  cases: number;
  /** So many with those that `npm run test:full` adds: more shapes. Default: no more. */
  allCases?: number;
  /** `subgroup`: lanes that every subgroup of the adapter has, 4 at least. */
  make(seed: number, subgroup: number, device: GPUDevice): KernelCase<K>;
  /** Three edits of the shader text that the cases must catch: [name, from, to, case to begin with]. */
  mutants: readonly (readonly [string, string | RegExp, string, number?])[];
  /** A tiny case for the CPU race detector, or the reason why it cannot run this kernel. */
  race: (() => KernelCase<K>) | string;
}

/** Keeps the literal type of the kernel. */
export const spec = <K extends KernelSource>(definition: KernelSpec<K>): KernelSpec =>
  definition as unknown as KernelSpec;

/** Deterministic uniform numbers in [0, 1) (mulberry32). */
export function random(seed: number): () => number {
  let state = (seed + 1) * 0x9e3779b9;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

/** One element of `list`. */
export const pick = <T>(uniform: () => number, list: readonly T[]): T => list[Math.floor(uniform() * list.length)]!;

/** `count` f32 numbers in ±scale. */
export const floats = (uniform: () => number, count: number, scale = 1): Float32Array =>
  Float32Array.from({ length: count }, () => (2 * uniform() - 1) * scale);

const POISON = 0x7fc0dead; // a NaN: whatever reads it shows it; whatever overwrites it is seen
const GUARD_WORDS = 64;

function guarded(data: Data): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(data.length + GUARD_WORDS).fill(POISON);
  words.set(new Uint32Array(data.buffer, data.byteOffset, data.length));
  return words;
}

/** Pipelines by device, text and constants: compiling is most of a kernel test's time. */
const compiled = new WeakMap<GPUDevice, Map<string, Promise<Kernel>>>();

function kernelOf(device: GPUDevice, source: KernelSource, constants: KernelCase["constants"]): Promise<Kernel> {
  const known = compiled.get(device) ?? new Map<string, Promise<Kernel>>();
  compiled.set(device, known);
  const key = `${JSON.stringify(source.code)} ${JSON.stringify(constants)}`;
  const made = known.get(key) ?? Kernel.create(device, source, constants);
  known.set(key, made);
  return made;
}

/** Runs the case and returns each written buffer, guard words included. */
export async function execute(
  device: GPUDevice,
  source: KernelSource,
  test: KernelCase,
): Promise<Record<string, Uint32Array>> {
  const kernel = await kernelOf(device, source, test.constants);
  const { STORAGE, COPY_DST, COPY_SRC, UNIFORM, MAP_READ } = GPUBufferUsage;
  const owned: GPUBuffer[] = [];
  const make = (size: number, usage: number): GPUBuffer => {
    const buffer = device.createBuffer({ size, usage });
    owned.push(buffer);
    return buffer;
  };
  const buffers: Record<string, GPUBuffer> = {};
  for (const [name, data] of Object.entries(test.buffers)) {
    const words = guarded(data);
    buffers[name] = make(words.byteLength, STORAGE | COPY_DST | COPY_SRC);
    device.queue.writeBuffer(buffers[name], 0, words);
  }
  const arena = make(256, UNIFORM | COPY_DST);
  const view = new DataView(new ArrayBuffer(256));
  packParams(source, test.params as Record<string, number>, view, 0);
  device.queue.writeBuffer(arena, 0, view.buffer);
  const encoder = device.createCommandEncoder();
  const pass = encoder.beginComputePass();
  pass.setPipeline(kernel.pipeline);
  pass.setBindGroup(0, kernel.bind(buffers, arena), source.params ? [0] : []);
  pass.dispatchWorkgroups(...test.grid);
  pass.end();
  const reads = Object.keys(test.want).map((name) => {
    const from = buffers[name]!;
    const to = make(from.size, MAP_READ | COPY_DST);
    encoder.copyBufferToBuffer(from, 0, to, 0, from.size);
    return [name, to] as const;
  });
  device.queue.submit([encoder.finish()]);
  const results: Record<string, Uint32Array> = {};
  for (const [name, buffer] of reads) {
    await buffer.mapAsync(GPUMapMode.READ);
    results[name] = new Uint32Array(buffer.getMappedRange().slice(0));
  }
  for (const buffer of owned) buffer.destroy();
  return results;
}

/** Null if `got` is right, else a sentence on the first thing that is wrong. */
export function judge(test: KernelCase, got: Record<string, Uint32Array>): string | null {
  for (const [name, want] of Object.entries(test.want)) {
    const words = got[name]!;
    const before = test.buffers[name]!;
    const initial = new Uint32Array(before.buffer, before.byteOffset, before.length);
    const length = typeof want === "function" ? initial.length : want.length;
    for (let i = length; i < words.length; i++) {
      const expected = i < initial.length ? initial[i] : POISON;
      if (words[i] !== expected) return `${name}: wrote beyond the end at ${i} (length ${length})`;
    }
    const wrong = judgeBuffer(test, want, words, initial);
    if (wrong) return `${name}${wrong}`;
  }
  return null;
}

function judgeBuffer(
  test: KernelCase,
  want: KernelCase["want"][string],
  words: Uint32Array,
  initial: Uint32Array,
): string | null {
  if (typeof want === "function") return want(words);
  return want instanceof Uint32Array ? judgeExact(want, words) : judgeFloats(test, want, words, initial);
}

function judgeExact(want: Uint32Array, got: Uint32Array): string | null {
  const at = want.findIndex((value, i) => got[i] !== value);
  return at < 0 ? null : `[${at}] = ${got[at]}, want ${want[at]}`;
}

function judgeFloats(test: KernelCase, want: Float64Array, words: Uint32Array, initial: Uint32Array): string | null {
  const got = new Float32Array(words.buffer, words.byteOffset, want.length);
  let largest = 0;
  for (const value of want) if (Math.abs(value) > largest) largest = Math.abs(value);
  const tolerance = (8 * Math.sqrt(test.terms) + (test.ulps ?? 0)) * 2 ** -24 * (test.magnitude ?? largest);
  for (let i = 0; i < want.length; i++) {
    const value = want[i]!;
    if (Number.isNaN(value)) {
      if (words[i] !== initial[i]) return `[${i}] = ${got[i]} was written, want untouched`;
    } else if (!(Math.abs(got[i]! - value) <= tolerance)) {
      return `[${i}] = ${got[i]}, want ${value} ± ${tolerance.toExponential(1)}`;
    }
  }
  return null;
}

/** `count` numbers from `first` on. */
export const seeds = (first: number, count: number): number[] => Array.from({ length: count }, (_, i) => first + i);

const subgroupOf = ({ adapterInfo }: GPUDevice): number => adapterInfo?.subgroupMinSize || 4;

/** A case and the seed that it was made of. */
export interface Made {
  seed: number;
  test: KernelCase;
}

/** The cases of these seeds. Making one takes as long as running it: the reference is part of it. */
export const makeCases = (device: GPUDevice, { make }: KernelSpec, wanted: readonly number[]): Made[] =>
  wanted.map((seed) => ({ seed, test: make(seed, subgroupOf(device), device) }));

/** Runs the cases. Returns the failures, each with its seed. */
export async function runCases(
  device: GPUDevice,
  { kernel }: KernelSpec,
  cases: readonly Made[],
  source = kernel,
): Promise<string[]> {
  const failures: string[] = [];
  for (const { seed, test } of cases) {
    const wrong = judge(test, await execute(device, source, test));
    if (wrong) failures.push(`${kernel.name} seed ${seed} (${test.label}): ${wrong}`);
    if (wrong && source !== kernel) break; // a mutant is caught
  }
  return failures;
}

/** The cases with a tile of f16 (HALF), for adapters that have it: each weight is off by 2⁻¹² of it, at most. */
export const halved = (definition: KernelSpec): KernelSpec => ({
  ...definition,
  make: (seed, subgroup, device) => {
    const test = definition.make(seed, subgroup, device);
    return { ...test, constants: { ...test.constants, HALF: 1 }, ulps: (test.ulps ?? 0) + 2 ** 12 };
  },
});

/** From case `begin` on, those with the same constants together: a mutant is compiled anew for each other constants. */
function byConstants(cases: readonly Made[], begin: number): Made[] {
  const constantsOf = ({ test }: Made) => JSON.stringify(test.constants);
  const round = [...cases.slice(begin), ...cases.slice(0, begin)];
  const order = [...new Set(round.map(constantsOf))];
  return round.toSorted((a, b) => order.indexOf(constantsOf(a)) - order.indexOf(constantsOf(b)));
}

/** The mutants that no case noticed (want: none). */
export async function survivors(device: GPUDevice, definition: KernelSpec, cases: readonly Made[]): Promise<string[]> {
  const { kernel, mutants } = definition;
  const alive: string[] = [];
  const text = await textOf(kernel);
  for (const [name, from, to, begin = 0] of mutants) {
    const code = text.replace(from, to);
    const caught = async () => runCases(device, definition, byConstants(cases, begin), { ...kernel, code });
    if (code === text) alive.push(`${name}: nothing to replace`);
    else if ((await caught()).length === 0) alive.push(name);
  }
  return alive;
}

/** Failures of the cases that every run takes, and the mutants that none of them noticed. */
export async function problemsOf(device: GPUDevice, definition: KernelSpec): Promise<string[]> {
  const cases = makeCases(device, definition, seeds(0, definition.cases));
  const failures = await runCases(device, definition, cases);
  const alive = await survivors(device, definition, cases);
  return [...failures, ...alive.map((mutant) => `mutant survived: ${mutant}`)];
}

/** Failures of the cases that only the full run takes. */
export const moreProblemsOf = (device: GPUDevice, definition: KernelSpec): Promise<string[]> => {
  const { cases, allCases = cases } = definition;
  return runCases(device, definition, makeCases(device, definition, seeds(cases, allCases - cases)));
};
