// How often chunks that were wanted were there: counted on the GPU, read with the results of a step.
import type { KvModel } from "../../../api.ts";

/** Counts of one layer. */
interface Count {
  wanted: number;
  missing: number;
}

export class Tally {
  /** [layers] */
  readonly #counts: readonly Count[];
  /** [layers, rows, G, 2] as they were last read; 32 bits, which run over. */
  #last: Uint32Array = new Uint32Array();

  constructor({ layers }: KvModel) {
    this.#counts = Array.from({ length: layers }, () => ({ wanted: 0, missing: 0 }));
  }

  take(read: ArrayBuffer): void {
    const words = new Uint32Array(read);
    const perLayer = words.length / this.#counts.length;
    for (const [i, word] of words.entries()) {
      const count = this.#counts[Math.floor(i / perLayer)]!;
      count[i % 2 === 0 ? "wanted" : "missing"] += (word - (this.#last[i] ?? 0)) >>> 0;
    }
    this.#last = words;
  }

  /** Most chunks that a layer has wanted. */
  get wanted(): number {
    return Math.max(...this.#counts.map(({ wanted }) => wanted));
  }

  /** [layers] */
  get hitRates(): (number | null)[] {
    return this.#counts.map(({ wanted, missing }) => (wanted > 0 ? 1 - missing / wanted : null));
  }
}
