// The least-squares fit behind a calibration: (A + λI)·W = B by Cholesky in float64, off the main thread.
//
// `fitSteps` and what it calls are the text of the worker: function declarations that use nothing else of this module. Where a page may not start workers
// from text (a strict content security policy), the main thread runs the same steps, a few milliseconds at a time.
import { ModelError } from "../errors.ts";

export interface FitJob {
  /** S inputs, the constant 1 last where it is one of them; N outputs of each layer. */
  size: number;
  columns: number;
  /** [S, S] */
  gram: Float64Array<ArrayBuffer>;
  /** λ as a share of the mean of the gram's diagonal. */
  ridge: number;
  /** Layers that share a store: their [S, N] sums, and their Σ y². The store gets the map to the mean of their outputs. */
  stores: readonly { cross: readonly Float64Array<ArrayBuffer>[]; squares: readonly number[] }[];
}

export interface FitResult {
  /** λ itself. */
  lambda: number;
  /** Per store [S, N] */
  maps: Float64Array<ArrayBuffer>[];
  /** Per layer: 1 − Σ|y − Wᵀx|² / Σ|y|². */
  r2: number[];
}

// ---- the worker's text ----

/** Yields the multiply-adds done since the last time. Overwrites the gram. Throws where A + λI is not positive. */
export function* fitSteps({ size, columns, gram, ridge, stores }: FitJob): Generator<number, FitResult> {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i]!;
  const lambda = (ridge * trace) / size;
  for (let i = 0; i < size; i++) gram[i * size + i]! += lambda;
  yield* factorise(gram, size);
  const result: FitResult = { lambda, maps: [], r2: [] };
  for (const store of stores) {
    const mean = new Float64Array(size * columns);
    for (const member of store.cross)
      for (let at = 0; at < mean.length; at++) mean[at]! += member[at]! / store.cross.length;
    const map = mean.slice();
    // As many columns at a time as stay in a cache.
    for (let first = 0; first < columns; first += 64)
      yield* substitute(gram, size, map, { columns, first, end: Math.min(columns, first + 64) });
    result.maps.push(map);
    result.r2.push(...explained(map, mean, lambda, store));
  }
  return result;
}

/** A → L in its lower triangle, row by row: L[i, j] = (A[i, j] − Σ L[i, k]·L[j, k]) / L[j, j]. */
function* factorise(gram: Float64Array, size: number): Generator<number, void> {
  for (let i = 0; i < size; i++) {
    for (let j = 0; j <= i; j++) {
      let sum = gram[i * size + j]!;
      for (let k = 0; k < j; k++) sum -= gram[i * size + k]! * gram[j * size + k]!;
      if (i === j && !(sum > 0)) throw new Error(`pivot ${i} is ${sum}`);
      gram[i * size + j] = i === j ? Math.sqrt(sum) : sum / gram[j * size + j]!;
    }
    yield i ** 2 / 2;
  }
}

/** Columns first … end−1 of a [size, columns] map. */
interface Panel {
  columns: number;
  first: number;
  end: number;
}

/** B → W in a panel: L·Z = B from the top, then Lᵀ·W = Z from the bottom. */
function* substitute(gram: Float64Array, size: number, map: Float64Array, panel: Panel): Generator<number, void> {
  const width = panel.end - panel.first;
  for (let i = 0; i < size; i++) {
    eliminate(map, panel, i, { begin: 0, end: i }, gram.subarray(i * size), 1);
    for (let n = panel.first; n < panel.end; n++) map[i * panel.columns + n]! /= gram[i * size + i]!;
    yield i * width;
  }
  for (let i = size - 1; i >= 0; i--) {
    eliminate(map, panel, i, { begin: i + 1, end: size }, gram.subarray(i), size);
    for (let n = panel.first; n < panel.end; n++) map[i * panel.columns + n]! /= gram[i * size + i]!;
    yield (size - i) * width;
  }
}

/** W[i] −= Σ L[k]·W[k] over some rows k, with L[k] at `k·step` of `factor`; four rows at a time for speed. */
function eliminate(
  map: Float64Array,
  { columns, first, end: last }: Panel,
  i: number,
  { begin, end }: { begin: number; end: number },
  factor: Float64Array,
  step: number,
): void {
  const to = i * columns;
  let k = begin;
  for (; k + 4 <= end; k += 4) {
    const at = k * step;
    const [a, b, c, d] = [factor[at]!, factor[at + step]!, factor[at + 2 * step]!, factor[at + 3 * step]!];
    const [k0, k1, k2, k3] = [k * columns, (k + 1) * columns, (k + 2) * columns, (k + 3) * columns];
    for (let n = first; n < last; n++)
      map[to + n]! -= a * map[k0 + n]! + b * map[k1 + n]! + c * map[k2 + n]! + d * map[k3 + n]!;
  }
  for (; k < end; k++) for (let n = first; n < last; n++) map[to + n]! -= factor[k * step]! * map[k * columns + n]!;
}

/** R² of each layer of a store: Σ|y − Wᵀx|² = Σ|y|² − 2·tr(Wᵀ·B_j) + tr(Wᵀ·A·W), where A·W = B − λ·W by the fit. */
function explained(
  map: Float64Array,
  mean: Float64Array,
  lambda: number,
  { cross, squares }: FitJob["stores"][number],
): number[] {
  let fitted = 0;
  for (let at = 0; at < map.length; at++) fitted += map[at]! * (mean[at]! - lambda * map[at]!);
  return cross.map((member, m) => {
    let shared = 0;
    for (let at = 0; at < map.length; at++) shared += map[at]! * member[at]!;
    return squares[m]! > 0 ? (2 * shared - fitted) / squares[m]! : 1;
  });
}

/** Multiply-adds of a job. */
const workOf = ({ size, columns, stores }: FitJob): number => size ** 3 / 6 + stores.length * size ** 2 * columns;

// ---- where it runs ----

export interface FitOptions {
  onDone: (share: number) => void;
  signal?: AbortSignal | undefined;
}

/** Solves in a worker, else on this thread. Takes the job's arrays over. Throws the signal's reason on abort. */
export async function fit(job: FitJob, options: FitOptions): Promise<FitResult> {
  options.signal?.throwIfAborted();
  const worker = startWorker();
  try {
    return worker ? await inWorker(worker, job, options) : await inSlices(job, options);
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw new ModelError(
      `calibration: the fit failed; got ${String(cause)}, want sums of finite numbers. Calibrate on another text.`,
      { cause },
    );
  }
}

type Message = { done: number } | { result: FitResult } | { error: string };

/** How often a worker tells how far it is, in milliseconds. */
const REPORT_EVERY = 100;

function startWorker(): Worker | null {
  const functions = [fitSteps, factorise, substitute, eliminate, explained].map(String);
  const text = `${functions.join("\n")}
onmessage = ({ data }) => {
  try {
    const running = ${fitSteps.name}(data);
    let done = 0;
    for (let told = Date.now(), step = running.next(); ; step = running.next()) {
      if (step.done) return postMessage({ result: step.value }, step.value.maps.map(({ buffer }) => buffer));
      done += step.value;
      if (Date.now() - told < ${REPORT_EVERY}) continue;
      told = Date.now();
      postMessage({ done });
    }
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
postMessage({ done: 0 });`;
  try {
    const url = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
    const worker = new Worker(url);
    worker.addEventListener("message", () => URL.revokeObjectURL(url), { once: true });
    return worker;
  } catch {
    return null; // no workers here, or none from text
  }
}

/** The job goes to the worker once it has said that it runs: one that was refused says nothing but an error. */
async function inWorker(worker: Worker, job: FitJob, options: FitOptions): Promise<FitResult> {
  const { signal, onDone } = options;
  const work = workOf(job);
  const leave = new AbortController();
  try {
    const result = await new Promise<FitResult | null>((resolve, reject) => {
      let started = false;
      const listening = { signal: leave.signal };
      signal?.addEventListener("abort", () => reject(signal.reason as Error), listening);
      worker.addEventListener(
        "error",
        ({ message }) => (started ? reject(new Error(message)) : resolve(null)),
        listening,
      );
      worker.addEventListener(
        "message",
        ({ data }: MessageEvent<Message>) => {
          if ("result" in data) return resolve(data.result);
          if ("error" in data) return reject(new Error(data.error));
          if (started) return onDone(data.done / work);
          started = true;
          worker.postMessage(job, [job.gram.buffer, ...job.stores.flatMap(({ cross }) => cross.map((c) => c.buffer))]);
        },
        listening,
      );
    });
    return result ?? (await inSlices(job, options));
  } finally {
    leave.abort();
    worker.terminate();
  }
}

/** Milliseconds of work between two pauses of the main thread. */
const SLICE = 8;

export async function inSlices(job: FitJob, { onDone, signal }: FitOptions): Promise<FitResult> {
  const running = fitSteps(job);
  const work = workOf(job);
  let done = 0;
  for (let begun = performance.now(), step = running.next(); ; step = running.next()) {
    if (step.done) return step.value;
    done += step.value;
    if (performance.now() - begun < SLICE) continue;
    onDone(done / work);
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    begun = performance.now();
  }
}
