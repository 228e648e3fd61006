// How steps follow one another, by what is compiled and what they are expected to take: rows of a prompt's chunk, and how many
// steps are under way.
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { type CachePlan, chunkRowsOf } from "../kv/plan.ts";
import type { Model } from "./model.ts";
import { MOST_NARROW } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";

/** A program and the sizes of its step. */
interface Stage {
  program: Pick<Program<Sizes>, "costsOf">;
  sizes: Sizes;
}

/** Fewer rows would gain little and cost much: each chunk reads all weights. */
const LEAST_ROWS = 32;

/** Longer inputs are worth compiling kernels of many rows at once. */
const SHORT_INPUT = 64;

/** A step that is over sooner has ended before JavaScript has launched the next but one: three are under way then. */
const SHORT_MS = 8;

export class Rhythm {
  readonly #gpu: Pick<Gpu, "pace" | "profile">;
  readonly #most: number;
  /** Where parts of a cache change with time, chunks and the number of steps under way would change what is computed. */
  readonly isFree: boolean;
  /** Kernels of many rows are yet to be compiled: inputs are read by those of few. */
  isStarting = false;
  /** Called as such an input begins while they are. */
  onLongInput: () => void = () => {};
  /** The last chunk's, and the last narrow step's. */
  #wide: Stage | null = null;
  #narrowMs = Infinity;

  constructor(gpu: Pick<Gpu, "pace" | "profile">, { tiers, privatePages }: CachePlan, limits: Model["limits"]) {
    this.#gpu = gpu;
    this.#most = chunkRowsOf(limits);
    this.isFree = tiers.length === 1 && !privatePages;
  }

  /** A wide step. */
  noteWide(stage: Stage): void {
    this.#wide = stage;
  }

  noteNarrow(stages: readonly { program: Pick<Program<Sizes>, "costs"> }[]): void {
    const costs = stages.flatMap(({ program }) => program.costs);
    this.#narrowMs = costs.reduce((ms, cost) => ms + this.#gpu.pace.expected(cost), 0);
  }

  /**
   * Of an input of which `left` tokens are left. As many as there is room for, halved until no dispatch takes longer than a
   * submit may.
   */
  chunkRows(left: number): number {
    let rows = this.#most;
    if (this.isStarting) {
      if (left > SHORT_INPUT) this.onLongInput();
      return Math.min(rows, MOST_NARROW);
    }
    if (!this.isFree || !this.#gpu.profile.adaptsSteps) return rows;
    while (rows > LEAST_ROWS && this.#longest(rows) > this.#gpu.pace.plannedMs) rows = Math.ceil(rows / 2);
    return rows;
  }

  /** Milliseconds of the longest dispatch of a chunk like the last one, but of so many rows. */
  #longest(rows: number): number {
    const { program, sizes } = this.#wide!; // compiled before it is no longer starting
    const costs = program.costsOf({ ...sizes, rows: sizes.decodeRows + rows });
    return Math.max(...costs.map((cost) => this.#gpu.pace.expected(cost)));
  }

  get depth(): 2 | 3 {
    return this.#gpu.profile.adaptsSteps && this.isFree && this.#narrowMs < SHORT_MS ? 3 : 2;
  }
}
