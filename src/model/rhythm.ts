// How steps follow one another, by what they are expected to take: rows of a prompt's chunk, and how many are under way.
import type { Pace } from "../gpu/pace.ts";
import type { Program } from "../gpu/program.ts";
import { type CachePlan, chunkRowsOf } from "../kv/plan.ts";
import type { Model } from "./model.ts";
import type { Sizes } from "./ops/sizes.ts";

/** A program and the sizes of its step. */
export interface Stage {
  program: Pick<Program<Sizes>, "costsOf">;
  sizes: Sizes;
}

/** Fewer rows would gain little and cost much: each chunk reads all weights. */
const LEAST_ROWS = 32;

/** A step that is over sooner has ended before JavaScript has launched the next but one: three are under way then. */
const SHORT_MS = 8;

/** Where parts of a cache change with time, chunks and the number of steps under way would change what is computed. */
const isPlain = ({ tiers, privatePages }: CachePlan): boolean => tiers.length === 1 && !privatePages;

export class Rhythm {
  readonly #pace: Pace;
  readonly #plan: CachePlan;
  readonly #most: number;
  /** The last chunk's, and the last narrow step's. */
  #wide: Stage | null = null;
  #narrowMs = Infinity;

  constructor(pace: Pace, plan: CachePlan, limits: Model["limits"]) {
    this.#pace = pace;
    this.#plan = plan;
    this.#most = chunkRowsOf(limits);
  }

  noteWide(stage: Stage): void {
    this.#wide = stage;
  }

  noteNarrow(stages: readonly { program: Pick<Program<Sizes>, "costs"> }[]): void {
    const costs = stages.flatMap(({ program }) => program.costs);
    this.#narrowMs = costs.reduce((ms, cost) => ms + this.#pace.expected(cost), 0);
  }

  /** As many as there is room for, halved until no dispatch takes longer than a submit may. */
  get chunkRows(): number {
    let rows = this.#most;
    if (isPlain(this.#plan))
      while (rows > LEAST_ROWS && this.#longest(rows) > this.#pace.plannedMs) rows = Math.ceil(rows / 2);
    return rows;
  }

  /** Milliseconds of the longest dispatch of a chunk like the last one, but of so many rows. */
  #longest(rows: number): number {
    if (!this.#wide) return 0;
    const { program, sizes } = this.#wide;
    const costs = program.costsOf({ ...sizes, rows: sizes.decodeRows + rows });
    return Math.max(...costs.map((cost) => this.#pace.expected(cost)));
  }

  get depth(): 2 | 3 {
    return isPlain(this.#plan) && this.#narrowMs < SHORT_MS ? 3 : 2;
  }
}
