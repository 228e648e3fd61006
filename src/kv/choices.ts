// What is chosen for each list at the end of a prompt, and stays with the sequence: sealed pages are made from it.
import type { Gpu } from "../gpu/device.ts";
import type { Stretch } from "./arena.ts";

export interface ChoicesShape {
  sequences: number;
  /** Lists of a sequence. */
  columns: number;
  /** Words of what is chosen for a list. */
  words: number;
}

export class Choices {
  /** [sequences, columns, words] u32 */
  readonly buffer: GPUBuffer;
  readonly #bytes: number;

  constructor(gpu: Gpu, { sequences, columns, words }: ChoicesShape) {
    this.#bytes = columns * words * 4;
    this.buffer = gpu.buffer("choices", sequences * this.#bytes, "scratch");
  }

  /** Those of a sequence. */
  stretch(sequence: number): Stretch {
    return { buffer: this.buffer, offset: sequence * this.#bytes, bytes: this.#bytes };
  }
}
