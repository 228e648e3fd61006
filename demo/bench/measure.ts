// The measurements behind the benchmark page. No DOM.

import { EngineError, InputError, VERSION, load, measureAdapter, modelFlops } from "../../src/index.ts";
import { randomWords } from "../shared/random.ts";
import type {
  AdapterPeaks,
  Engine,
  EngineStats,
  GenerationStats,
  KernelTime,
  KvFormat,
  LoadProgress,
  ModelInfo,
  ModelSource,
} from "../../src/index.ts";

export interface BenchOptions {
  source: ModelSource;
  /** Prompt lengths to measure at. Those the context cannot hold are skipped. Default 128 … 8192. */
  frontiers?: readonly number[];
  /** Measured runs for each length. Default 5. */
  runs?: number;
  /** Measured runs of decoding, whose prompts come from the cache, so that more of them cost little. Default: runs. */
  decodeRuns?: number;
  /** Warm-up runs that are not counted. Default 1. */
  warmups?: number;
  /** Tokens decoded in each run. Default 32. */
  newTokens?: number;
  kv?: KvFormat;
  context?: number;
  /** As for `load`. Default false. */
  int8Products?: boolean;
  matrixProducts?: boolean;
  /** Whether to time kernels one by one at the end. Default true. */
  profile?: boolean;
  signal?: AbortSignal;
}

export interface BenchProgress {
  text: string;
  /** 0 to 1; null while unknown. */
  share: number | null;
}

/** Tokens per second over the runs. */
export interface Spread {
  median: number;
  min: number;
  max: number;
  samples: number[];
}

export interface BenchRow {
  frontier: number;
  /** The frontier, or slightly less where the new tokens would not fit after it. */
  promptTokens: number;
  /** percentOfFma, percentOfCopy: medians of the runs, each relative to the peak measured before it; fma, copy: of the peaks. */
  prefill: Spread & { gflops: number; percentOfFma: number; fmaGflops: number };
  decode: Spread & { gbs: number; percentOfCopy: number; copyGBs: number };
  /** Time of a new token relative to the same run at the first frontier, median: the cost of context. */
  decodeToFirst: number;
  /** Median milliseconds to the first token. */
  firstTokenMs: number;
}

/** The dispatches of one kernel for one purpose, added up over the layers. */
export interface KernelRow extends KernelTime {
  calls: number;
}

export interface BenchResult {
  format: 1;
  date: string;
  engine: string;
  browser: string;
  adapter: EngineStats["adapter"];
  /** Medians over all runs. */
  measured: AdapterPeaks;
  model: ModelInfo;
  memory: Pick<EngineStats, "weightBytes" | "kvBytes" | "scratchBytes" | "kvBytesPerToken">;
  loadMs: number;
  variants: EngineStats["variants"];
  options: { runs: number; decodeRuns: number; warmups: number; newTokens: number; kv: KvFormat };
  rows: BenchRow[];
  /** Frontiers beyond the context. */
  skipped: number[];
  kernels: { phase: "prefill" | "decode"; tokens: number; rows: KernelRow[] }[];
}

export const FRONTIERS = [128, 256, 512, 1024, 2048, 4096, 8192] as const;

/** Measures one model on this machine. Rejects with what `load` and `generate` reject with. */
export async function measure(options: BenchOptions, report: (progress: BenchProgress) => void): Promise<BenchResult> {
  const { source, signal, runs = 5, decodeRuns = runs, warmups = 1, newTokens = 32, kv = "f16" } = options;
  const frontiers = options.frontiers ?? FRONTIERS;
  if (frontiers.length === 0)
    throw new InputError("benchmark: nothing to measure; got no lengths, want at least one. Choose one.");
  const context = options.context ?? contextFor(frontiers, newTokens);
  const { int8Products = false, matrixProducts = false } = options;
  const engine = await load(source, {
    kv,
    int8Products,
    matrixProducts,
    tune: "wait",
    ...(context === undefined ? {} : { context }),
    ...(signal ? { signal } : {}),
    onProgress: (progress) => report(loading(progress)),
  });
  try {
    const lengths = lengthsOf(frontiers, engine.model.context, newTokens);
    if (lengths.fitting.length === 0) throw nothingFits(frontiers, engine.model.context - newTokens);
    const sampling = { warmups, newTokens, ...(signal ? { signal } : {}), report };
    const prefills = await samplePrefill(engine, lengths.fitting, { ...sampling, runs });
    const decodes = await sampleDecode(engine, lengths.fitting, { ...sampling, runs: decodeRuns });
    const rows = lengths.fitting.map((length, i) =>
      rowOf(engine, length, { prefill: prefills[i]!, decode: decodes[i]!, first: decodes[0]! }, newTokens),
    );
    const longest = lengths.fitting.at(-1)?.promptTokens ?? 0;
    const kernels = options.profile === false || longest === 0 ? [] : await profileBoth(engine, longest, report);
    return describe(engine, {
      measured: middle([...prefills, ...decodes].flat().map(({ peaks }) => peaks)),
      rows,
      kernels,
      skipped: lengths.skipped,
      options: { runs, decodeRuns, warmups, newTokens, kv },
    });
  } finally {
    engine.dispose();
  }
}

/** More than the engine's default only where a frontier needs it. */
export function contextFor(frontiers: readonly number[], newTokens: number): number | undefined {
  const longest = Math.max(...frontiers);
  return longest > 8192 ? longest + newTokens : undefined;
}

export const nothingFits = (frontiers: readonly number[], most: number): InputError =>
  new InputError(
    `benchmark: every length is beyond this model; got ${frontiers.join(", ")}, want at most ${most}. Choose a shorter one.`,
  );

/** A prompt to measure with. */
export interface Length {
  frontier: number;
  promptTokens: number;
}

/** Lengths that a model has room for. */
export interface Lengths {
  fitting: Length[];
  /** Frontiers that do not fit. */
  skipped: number[];
}

/** The last frontier may give up a tenth of itself to make room for the new tokens. */
export function lengthsOf(frontiers: readonly number[], context: number, newTokens: number): Lengths {
  const lengths = frontiers.map((frontier) => ({ frontier, promptTokens: Math.min(frontier, context - newTokens) }));
  const fits = ({ frontier, promptTokens }: Length): boolean => promptTokens >= 0.9 * frontier;
  return {
    fitting: lengths.filter(fits),
    skipped: lengths.filter((length) => !fits(length)).map((length) => length.frontier),
  };
}

interface Sampling {
  runs: number;
  warmups: number;
  newTokens: number;
  signal?: AbortSignal;
  report: (progress: BenchProgress) => void;
}

/** One run: its time or speed, and the adapter's peaks just before it. */
interface Sample {
  value: number;
  peaks: AdapterPeaks;
}

/** Does one run and adds it to `taken` if it counts; only then are the adapter's peaks measured. */
async function take(taken: Sample[] | null, work: () => Promise<number>): Promise<void> {
  const peaks = taken && (await measureAdapter());
  const value = await work();
  if (taken && peaks) taken.push({ value, peaks });
}

/** Milliseconds to the first token by frontier: a new prompt each time, of which nothing is in the cache. */
async function samplePrefill(engine: Engine, lengths: readonly Length[], options: Sampling): Promise<Sample[][]> {
  const samples: Sample[][] = [];
  for (const { frontier, promptTokens } of lengths) {
    const taken: Sample[] = [];
    for (let run = 1; run <= options.warmups + options.runs; run++) {
      tell(options, "reading", frontier, run, samples.length / lengths.length);
      const tokens = syntheticTokens(promptTokens, engine.model.vocabulary, run);
      const work = async () => (await runOnce(engine, tokens, { ...options, newTokens: 1 })).prefillMs;
      await take(run > options.warmups ? taken : null, work);
    }
    samples.push(taken);
  }
  return samples;
}

/**
 * Tokens decoded per second by frontier. The frontiers alternate, run by run, because machines drift; their prompts
 * begin alike and come from the cache.
 */
async function sampleDecode(engine: Engine, lengths: readonly Length[], options: Sampling): Promise<Sample[][]> {
  const longest = Math.max(...lengths.map(({ promptTokens }) => promptTokens));
  const tokens = syntheticTokens(longest, engine.model.vocabulary, 0);
  options.report({ text: `${longest} tokens into the cache`, share: null });
  await generated(engine, tokens, { ...options, newTokens: 1 });
  const samples: Sample[][] = lengths.map(() => []);
  for (let run = 1; run <= options.warmups + options.runs; run++)
    for (const [i, { frontier, promptTokens }] of lengths.entries()) {
      tell(options, "writing", frontier, run, (run - 1) / (options.warmups + options.runs));
      const work = async () => (await generated(engine, tokens.slice(0, promptTokens), options)).decodeTokensPerSecond;
      await take(run > options.warmups ? samples[i]! : null, work);
    }
  return samples;
}

function tell({ runs, warmups, report }: Sampling, what: string, frontier: number, run: number, share: number): void {
  report({ text: `${frontier} tokens, ${what}, run ${run} of ${warmups + runs}`, share });
}

/** A new session and a new prompt every time, so that nothing is reused. */
export async function runOnce(
  engine: Engine,
  tokens: number[],
  options: Pick<Sampling, "newTokens" | "signal">,
): Promise<GenerationStats> {
  const stats = await generated(engine, tokens, options);
  if (stats.reusedTokens > 0)
    throw new Error(`benchmark: ${stats.reusedTokens} prompt tokens were reused, want 0. The figures would be wrong.`);
  return stats;
}

async function generated(
  engine: Engine,
  tokens: number[],
  { newTokens, signal }: Pick<Sampling, "newTokens" | "signal">,
): Promise<GenerationStats> {
  const session = engine.session();
  try {
    const { stats, finish } = await session.generate(
      { tokens },
      { maxTokens: newTokens, ignoreEnd: true, temperature: 0, ...(signal ? { signal } : {}) },
    ).result;
    if (finish === "abort") throw new DOMException("benchmark: stopped", "AbortError");
    return stats;
  } finally {
    session.dispose();
  }
}

/** Uniform token ids from a seed. */
export function syntheticTokens(length: number, vocabulary: number, seed: number): number[] {
  const next = randomWords(Math.imul(seed, 0x9e3779b9) ^ length);
  return Array.from({ length }, () => next() % vocabulary);
}

/** Of one frontier: milliseconds to the first token, tokens decoded per second there and at the first frontier. */
interface Samples {
  prefill: readonly Sample[];
  decode: readonly Sample[];
  first: readonly Sample[];
}

const valuesOf = (samples: readonly Sample[]): number[] => samples.map(({ value }) => value);

function rowOf(engine: Engine, length: Length, samples: Samples, newTokens: number): BenchRow {
  const { weightBytes, kvBytesPerToken } = engine.stats();
  const prefill = spread(valuesOf(samples.prefill).map((ms) => (1000 * length.promptTokens) / ms));
  const decode = spread(valuesOf(samples.decode));
  const gflop = modelFlops(engine, length.promptTokens) * 1e-9;
  // A new token reads all weights once and the keys and values of everything before it: on average half the new ones too.
  const bytesPerToken = weightBytes + kvBytesPerToken * (length.promptTokens + newTokens / 2);
  const gb = bytesPerToken * 1e-9;
  const ofFma = samples.prefill.map(({ value, peaks }) => (1e5 * gflop) / value / peaks.fmaGflops);
  const ofCopy = samples.decode.map(({ value, peaks }) => (100 * gb * value) / peaks.copyGBs);
  const toFirst = samples.decode.map(({ value }, i) => samples.first[i]!.value / value);
  return {
    ...length,
    prefill: {
      ...prefill,
      gflops: (gflop / length.promptTokens) * prefill.median,
      percentOfFma: spread(ofFma).median,
      fmaGflops: middle(samples.prefill.map(({ peaks }) => peaks)).fmaGflops,
    },
    decode: {
      ...decode,
      gbs: gb * decode.median,
      percentOfCopy: spread(ofCopy).median,
      copyGBs: middle(samples.decode.map(({ peaks }) => peaks)).copyGBs,
    },
    decodeToFirst: spread(toFirst).median,
    firstTokenMs: spread(valuesOf(samples.prefill)).median,
  };
}

export function spread(samples: readonly number[]): Spread {
  const sorted = samples.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  const median = ((sorted[Math.floor(middle)] ?? Number.NaN) + (sorted[Math.ceil(middle)] ?? Number.NaN)) / 2;
  return { median, min: sorted[0] ?? Number.NaN, max: sorted.at(-1) ?? Number.NaN, samples: [...samples] };
}

/** The median of each figure. */
function middle(peaks: readonly AdapterPeaks[]): AdapterPeaks {
  const of = (name: keyof AdapterPeaks): number => spread(peaks.map((each) => each[name])).median;
  return { copyGBs: of("copyGBs"), fmaGflops: of("fmaGflops"), dispatchMicros: of("dispatchMicros") };
}

/** Prompt tokens that the engine takes in one step by default. */
const CHUNK = 512;

/** Dispatch by dispatch, of a chunk and of a token after `longest` tokens; none where the adapter has no clock. */
export async function profileBoth(
  engine: Engine,
  longest: number,
  report: (progress: BenchProgress) => void,
): Promise<BenchResult["kernels"]> {
  const kernels: BenchResult["kernels"] = [];
  for (const [phase, tokens] of [
    ["prefill", Math.min(longest, CHUNK)],
    ["decode", longest],
  ] as const) {
    report({ text: `Timing the kernels of ${phase}`, share: null });
    try {
      kernels.push({ phase, tokens, rows: byPurpose(await engine.profile(phase, tokens)) });
    } catch (error) {
      if (!(error instanceof EngineError && error.code === "no-timestamps")) throw error; // the rest of the result is still valid
    }
  }
  return kernels;
}

/** "layer 3 qkv" and "layer 4 qkv" by the same kernel are one row. */
function byPurpose(times: readonly KernelTime[]): KernelRow[] {
  const rows = new Map<string, KernelRow>();
  for (const { kernel, label, microseconds, bytes, flops } of times) {
    const purpose = label.replace(/^layer \d+ /, "");
    const row = rows.get(`${kernel} ${purpose}`) ?? {
      kernel,
      label: purpose,
      calls: 0,
      microseconds: 0,
      bytes: 0,
      flops: 0,
    };
    row.calls++;
    row.microseconds += microseconds;
    row.bytes += bytes;
    row.flops += flops;
    rows.set(`${kernel} ${purpose}`, row);
  }
  return [...rows.values()].toSorted((a, b) => b.microseconds - a.microseconds);
}

function describe(
  engine: Engine,
  parts: Pick<BenchResult, "measured" | "rows" | "kernels" | "skipped" | "options">,
): BenchResult {
  const { weightBytes, kvBytes, scratchBytes, kvBytesPerToken, loadMs, variants } = engine.stats();
  return {
    format: 1,
    ...environment(engine),
    measured: parts.measured,
    model: engine.model,
    memory: { weightBytes, kvBytes, scratchBytes, kvBytesPerToken },
    loadMs,
    variants,
    options: parts.options,
    rows: parts.rows,
    skipped: parts.skipped,
    kernels: parts.kernels,
  };
}

/** When and on what a result was measured. */
export function environment(engine: Engine): Pick<BenchResult, "date" | "engine" | "browser" | "adapter"> {
  return {
    date: new Date().toISOString(),
    engine: VERSION,
    browser: /(?:Chrome|Firefox|Version)\/[\d.]+/.exec(navigator.userAgent)?.[0] ?? navigator.userAgent,
    adapter: engine.stats().adapter,
  };
}

export function loading({ phase, loadedBytes, totalBytes }: LoadProgress): BenchProgress {
  return { text: `Loading the model (${phase})`, share: totalBytes > 0 ? loadedBytes / totalBytes : null };
}
