// What a run on a GPU machine does, in slices, what is worth most first. Each slice is a process of its own, so that one that loses
// the device, lacks memory or hangs takes nothing with it.

export type Slice =
  | { kind: "peaks" }
  /** Greedy tokens of the model that comes with the repository, against float64. */
  | { kind: "golden"; kv: string }
  /** Tests of kernels, as in CI. */
  | { kind: "kernels"; names: readonly string[] }
  /** Reading and writing at these lengths with random weights; then dispatch by dispatch where that is asked for. */
  | {
      kind: "speed";
      shape: string;
      recipe: string;
      lengths: readonly number[];
      runs: number;
      newTokens: number;
      times: boolean;
    };

export interface Planned {
  name: string;
  slice: Slice;
  /** It is not begun with less time than this: what it takes at least to give a first result. */
  seconds: number;
  /** It is stopped after this. */
  most: number;
}

const speed = (
  shape: string,
  recipe: string,
  lengths: readonly number[],
  { seconds, most = 60, times = false }: { seconds: number; most?: number; times?: boolean },
): Planned => ({
  name: `${shape} ${recipe}`,
  slice: { kind: "speed", shape, recipe, lengths, runs: 2, newTokens: 32, times },
  seconds,
  most,
});

const USUAL = [128, 512, 1024, 2048, 4096, 8192];
const LONG = [16384, 32768];

const PEAKS: Planned = { name: "peaks", slice: { kind: "peaks" }, seconds: 1, most: 200 };

/** In order of worth. */
const FAST: readonly Planned[] = [
  { name: "golden f32", slice: { kind: "golden", kv: "f32" }, seconds: 10, most: 60 },
  speed("llama-3.2-1b", "f16", USUAL, { seconds: 15, times: true }),
  { name: "kernels", slice: { kind: "kernels", names: [] }, seconds: 30, most: 120 },
  speed("smollm2-135m", "f16", USUAL, { seconds: 10, most: 40, times: true }),
  speed("llama-3.2-3b", "f16", USUAL, { seconds: 20, times: true }),
  speed("llama-3.2-1b", "swiftkv=half", USUAL, { seconds: 15, most: 40 }),
  speed("llama-3.2-1b", "shadow", [1024, 4096, 8192], { seconds: 20, most: 50, times: true }),
  speed("llama-3.2-1b", "kivi:bits=4", [1024, 4096], { seconds: 15, most: 40 }),
  speed("qwen2.5-0.5b", "f16", USUAL, { seconds: 10, most: 40, times: true }),
  speed("llama-3.2-1b", "f16", LONG, { seconds: 30 }),
  speed("llama-3.2-1b", "shadow", LONG, { seconds: 30 }),
  { name: "golden f16", slice: { kind: "golden", kv: "f16" }, seconds: 10, most: 60 },
  speed("llama-3.2-3b", "swiftkv=half", [512, 4096], { seconds: 20 }),
  speed("llama-3.2-3b", "shadow", [4096, 8192], { seconds: 20 }),
  speed("smollm2-135m", "shadow", [1024, 4096, 8192], { seconds: 15 }),
  speed("smollm2-135m", "f16", LONG, { seconds: 20 }),
  speed("llama-3.2-3b", "f16", LONG, { seconds: 40 }),
  speed("llama-3.2-1b", "swiftkv=half+shadow", LONG, { seconds: 30 }),
  speed("llama-3.2-1b", "int8", [512, 4096], { seconds: 15 }),
];

const TOYS = ["f16", "swiftkv=half", "kivi:bits=4", "shadow"].map((recipe): Planned => ({
  name: `toy ${recipe}`,
  slice: { kind: "speed", shape: "toy", recipe, lengths: [32, 96], runs: 1, newTokens: 4, times: recipe === "f16" },
  seconds: 1,
  most: 200,
}));

/** Of an adapter that runs shaders on a CPU, or hardly faster: the smallest model at short lengths. */
const SLOW: readonly Planned[] = [
  speed("smollm2-135m", "f16", [32, 128, 512], { seconds: 10, most: 220, times: true }),
  { name: "golden f32", slice: { kind: "golden", kv: "f32" }, seconds: 10, most: 120 },
  { name: "kernels", slice: { kind: "kernels", names: [] }, seconds: 30, most: 160 },
  ...TOYS,
];

/** The same kinds at a size that a CPU can do in two minutes: whether the run works. */
export const TINY: readonly Planned[] = [
  PEAKS,
  { name: "kernels", slice: { kind: "kernels", names: ["rmsnorm", "gather"] }, seconds: 1, most: 200 },
  ...TOYS,
  { name: "golden f32", slice: { kind: "golden", kv: "f32" }, seconds: 1, most: 200 },
];

/** Below so many GFLOP/s of multiply-adds an adapter is slow: a tenth of a small GPU. */
const SLOW_GFLOPS = 100;

/** The peaks, then what an adapter with them can do in time. `gflops` says what was measured; null: nothing was. */
export function* wholePlan(gflops: () => number | null): Iterable<Planned> {
  yield PEAKS;
  const measured = gflops();
  yield* measured !== null && measured < SLOW_GFLOPS ? SLOW : FAST;
}

/** What a run needs of the machine. */
export interface Host {
  /** Seconds. */
  now(): number;
  /** Runs a slice for at most so many seconds. Resolves with null, or with what went wrong. */
  run(planned: Planned, seconds: number): Promise<string | null>;
  /** A slice was left out or failed. */
  skipped(name: string, why: string): Promise<void>;
  /** After each slice that was begun. */
  done(): Promise<void>;
}

/** Runs what fits into `budget` seconds, in order; what does not fit is left out, and what comes after it may still fit. */
export async function runAll(plan: Iterable<Planned>, budget: number, host: Host): Promise<void> {
  const end = host.now() + budget;
  for (const planned of plan) {
    const left = end - host.now();
    if (left < planned.seconds) {
      await host.skipped(planned.name, `${Math.max(0, Math.floor(left))} s were left, it wants ${planned.seconds}`);
      continue;
    }
    const problem = await host.run(planned, Math.min(left, planned.most));
    if (problem !== null) await host.skipped(planned.name, problem);
    await host.done();
  }
}
