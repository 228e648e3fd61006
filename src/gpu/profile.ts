// What depends on the kind of adapter, in one place. An adapter that runs shaders on a CPU has few workgroups under way,
// slow barriers and expensive loads; a GPU wants many threads that read neighbouring addresses.
import type { Offer } from "./offer.ts";

export interface AdapterProfile {
  /** Which kernels it chooses among: sums in registers on a quad of lanes, or tiles in workgroup memory. */
  kernels: "registers" | "tiles";
  /** Give the arrays of shaders their length, so that bounds are checked against constants. */
  fixedLengths: boolean;
  /**
   * How page lists are split: over about so many workgroups for all of them, one list over so many at most. A list of no more
   * than `pagesAlone` is not split: reading it takes no longer than merging.
   */
  splitting: { workgroups: number; most: number; pagesAlone: number };
  /** Threads of a workgroup that normalises a row. */
  normThreads: number;
  /** Threads of a workgroup that merges partials, those of them along a head's numbers, and partials under way per thread. */
  combine: { threads: number; columns: number; batch: number };
  /** Threads of a workgroup that reads sealed pages, at least: as many as a head has channels is enough. */
  sealedThreads: number;
  /** Threads of a workgroup of the sampling kernels, and tokens per thread. */
  sampling: { lanes: number; steps: number; filterThreads: number; mergeThreads: number };
  /** Milliseconds of a submit, at most. */
  submitMs: number;
  /** Whether long dispatches make a prompt's chunks shorter, and short steps put another one under way. */
  adaptsSteps: boolean;
  /** Row classes of few rows and of prompts, ascending: each has programs of its own. They end with 8 and Infinity. */
  narrowRows: readonly number[];
  wideRows: readonly number[];
  /** Milliseconds of a load that measuring may take: what is left over is for the next one. */
  tuningMs: number;
  /** Rows of a prompt chunk in a measurement, at most: enough to fill the adapter, few enough to be over soon. */
  tuningRows: number;
  /** Tokens of the cache that are allocated at load, where the caller names none; more as they are used. */
  reservedTokens: number;
  /** Bytes to copy, and threads that multiply, where its peaks are measured. */
  peaks: { copyBytes: number; fmaThreads: number };
}

/**
 * Up to so many rows a CPU adapter goes through the weights row by row: unpacking them all takes as long as ten rows, and a
 * tile of 16 rows that is half empty as long as a full one.
 */
export const SHORT_ROWS = 40;

const SOFTWARE: AdapterProfile = {
  kernels: "registers",
  fixedLengths: true,
  splitting: { workgroups: Infinity, most: 4, pagesAlone: 0 }, // as many workgroups under way as cores
  normThreads: 4, // barriers are slow: 4 threads 5 ms, 32 threads 11 ms for 256 rows of 576
  combine: { threads: 4, columns: 4, batch: 4 },
  sealedThreads: 8,
  sampling: { lanes: 16, steps: 64, filterThreads: 16, mergeThreads: 16 },
  submitMs: 400, // nothing else waits for a CPU adapter, and no driver watches it
  adaptsSteps: false,
  narrowRows: [1, 2, 4, 8],
  wideRows: [SHORT_ROWS, Infinity],
  tuningMs: 1000,
  tuningRows: 48,
  reservedTokens: 8192, // growing means compiling: lengths are fixed
  peaks: { copyBytes: 32 * 2 ** 20, fmaThreads: 1 << 12 },
};

const HARDWARE: AdapterProfile = {
  kernels: "tiles",
  fixedLengths: false,
  splitting: { workgroups: 160, most: 256, pagesAlone: 8 },
  normThreads: 128,
  combine: { threads: 64, columns: 16, batch: 8 },
  sealedThreads: 64,
  sampling: { lanes: 64, steps: 16, filterThreads: 256, mergeThreads: 64 },
  submitMs: 100,
  adaptsSteps: true,
  narrowRows: [1, 2, 4, 8],
  wideRows: [32, 64, Infinity],
  tuningMs: 3000,
  tuningRows: 128,
  reservedTokens: 4096,
  peaks: { copyBytes: 128 * 2 ** 20, fmaThreads: 1 << 18 },
};

/** Kernels on quads of a CPU adapter take rows one by one: those for 8 are as fast for one, and are compiled once. */
const ONE_BY_ONE = [8];

export function profileOf(
  { software }: { software: boolean },
  { threads, lanes }: Pick<Offer, "threads" | "lanes">,
): AdapterProfile {
  const profile = software ? SOFTWARE : HARDWARE;
  const { sampling, narrowRows: listed } = profile;
  const narrowRows = software && lanes >= 4 ? ONE_BY_ONE : listed;
  return {
    ...profile,
    narrowRows,
    sampling: { ...sampling, filterThreads: Math.min(threads, sampling.filterThreads) },
  };
}
