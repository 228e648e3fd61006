// What the CPU does between steps for a recipe's system that asks for it.
import type { RecallStats } from "../api.ts";
import type { Part } from "../gpu/readback.ts";
import type { Between, StepFacts } from "../kv/system.ts";
import type { Batch } from "./model.ts";

/** What is read with a step. */
export interface Reading {
  parts: readonly Part[];
  /** Takes what they held, once, when the step has been read: the end of its bytes. */
  take(bytes: Promise<ArrayBuffer>): void;
}

export class BetweenSteps {
  readonly #between: Between | null;
  /** All steps launched have been taken. */
  #taken: Promise<void> = Promise.resolve();

  constructor(between: Between | null) {
    this.#between = between;
  }

  get mostBytes(): number {
    return this.#between?.mostBytes ?? 0;
  }

  stats(): RecallStats | null {
    return this.#between?.stats() ?? null;
  }

  /** Before anything of the batch is written. */
  async before({ lists, standing }: Batch): Promise<void> {
    if (!this.#between?.before) return;
    await this.#taken;
    const running = lists.filter(({ enters }) => !enters).map(({ sequence }) => sequence);
    await this.#between.before(new Set([...running, ...standing]));
  }

  /** What the last step left to be done has been done. */
  async settle(): Promise<void> {
    await this.#taken;
    await this.#between?.settle?.();
  }

  /** Before the step is encoded. */
  reading(step: StepFacts): Reading {
    const parts = this.#between?.reads(step) ?? [];
    return { parts, take: (bytes) => this.#take(step, parts, bytes) };
  }

  /** A step that fails says so to whoever reads its results. */
  #take(step: StepFacts, parts: readonly Part[], read: Promise<ArrayBuffer>): void {
    const between = this.#between;
    if (!between) return;
    const taken = async (before: Promise<void>) => {
      const bytes = await read;
      await before;
      between.take(step, split(bytes, parts));
    };
    this.#taken = taken(this.#taken).catch(() => {});
  }
}

/** The last bytes, part by part. */
function split(bytes: ArrayBuffer, parts: readonly Part[]): ArrayBuffer[] {
  let at = bytes.byteLength - parts.reduce((sum, part) => sum + part.bytes, 0);
  return parts.map((part) => bytes.slice(at, (at += part.bytes)));
}
