// The least-squares fit behind a calibration: (A + λI)·W = B by Cholesky in float64, off the main thread.
//
// `fitSteps` is the whole text of the worker, so it uses nothing but its argument. Where a page may not start workers
// from text (a strict content security policy), the main thread runs the same steps, a few milliseconds at a time.
import { ModelError } from "../errors.ts";

export interface FitJob {
  /** S inputs, the constant 1 last; N outputs of each layer. */
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

/** Yields the share of the work done, returns the result. Overwrites the gram. Throws where A + λI is not positive. */
export function* fitSteps({ size, columns, gram, ridge, stores }: FitJob): Generator<number, FitResult> {
  let trace = 0;
  for (let i = 0; i < size; i++) trace += gram[i * size + i]!;
  const lambda = (ridge * trace) / size;
  const work = size ** 3 / 6 + stores.length * size ** 2 * columns;
  let done = 0;
  // Row by row: L[i, j] = (A[i, j] − Σ L[i, k]·L[j, k]) / L[j, j].
  for (let i = 0; i < size; i++) {
    gram[i * size + i]! += lambda;
    for (let j = 0; j <= i; j++) {
      let sum = gram[i * size + j]!;
      for (let k = 0; k < j; k++) sum -= gram[i * size + k]! * gram[j * size + k]!;
      if (i === j && !(sum > 0)) throw new Error(`pivot ${i} is ${sum}`);
      gram[i * size + j] = i === j ? Math.sqrt(sum) : sum / gram[j * size + j]!;
    }
    done += i ** 2 / 2;
    yield done / work;
  }
  // W[i] −= l·W[k], over all outputs.
  const subtract = (map: Float64Array, i: number, k: number, l: number): void => {
    const to = i * columns;
    const from = k * columns;
    for (let n = 0; n < columns; n++) map[to + n]! -= l * map[from + n]!;
  };
  const divide = (map: Float64Array, i: number): void => {
    const pivot = gram[i * size + i]!;
    for (let n = i * columns; n < (i + 1) * columns; n++) map[n]! /= pivot;
  };
  const maps: Float64Array<ArrayBuffer>[] = [];
  const r2: number[] = [];
  for (const { cross, squares } of stores) {
    const map = new Float64Array(size * columns);
    for (const member of cross) for (let at = 0; at < map.length; at++) map[at]! += member[at]! / cross.length;
    const mean = map.slice();
    for (let i = 0; i < size; i++) {
      for (let k = 0; k < i; k++) subtract(map, i, k, gram[i * size + k]!);
      divide(map, i);
      done += i * columns;
      yield done / work;
    }
    for (let i = size - 1; i >= 0; i--) {
      for (let k = i + 1; k < size; k++) subtract(map, i, k, gram[k * size + i]!);
      divide(map, i);
      done += (size - i) * columns;
      yield done / work;
    }
    // Σ|Wᵀx|² = tr(WᵀAW) = tr(Wᵀ(B − λW)): the fit solves (A + λI)·W = B.
    let fitted = 0;
    for (let at = 0; at < map.length; at++) fitted += map[at]! * (mean[at]! - lambda * map[at]!);
    for (const [m, member] of cross.entries()) {
      let shared = 0;
      for (let at = 0; at < map.length; at++) shared += map[at]! * member[at]!;
      r2.push(squares[m]! > 0 ? (2 * shared - fitted) / squares[m]! : 1);
    }
    maps.push(map);
  }
  return { lambda, maps, r2 };
}

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

type Message = { share: number } | { result: FitResult } | { error: string };

/** How often a worker tells how far it is, in milliseconds. */
const REPORT_EVERY = 100;

function startWorker(): Worker | null {
  const text = `const steps = ${fitSteps.toString()};
onmessage = ({ data }) => {
  try {
    const running = steps(data);
    for (let told = Date.now(), step = running.next(); ; step = running.next()) {
      if (step.done) return postMessage({ result: step.value }, step.value.maps.map(({ buffer }) => buffer));
      if (Date.now() - told < ${REPORT_EVERY}) continue;
      told = Date.now();
      postMessage({ share: step.value });
    }
  } catch (error) {
    postMessage({ error: String(error) });
  }
};
postMessage({ share: 0 });`;
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
          if (started) return onDone(data.share);
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
  for (let begun = performance.now(), step = running.next(); ; step = running.next()) {
    if (step.done) return step.value;
    if (performance.now() - begun < SLICE) continue;
    onDone(step.value);
    await new Promise((resolve) => setTimeout(resolve, 0));
    signal?.throwIfAborted();
    begun = performance.now();
  }
}
