// A buffer of lines side by side, each with room for as many items, which grows with what is used: lines then move apart.
import type { Gpu } from "../gpu/device.ts";
import type { Stretch } from "./arena.ts";

export interface Lines {
  label: string;
  lines: number;
  /** 32-bit words of an item. */
  words: number;
}

export class Strided {
  readonly #gpu: Gpu;
  readonly #lines: Lines;
  #buffer: GPUBuffer;
  #room: number;

  /** With room for `room` items in each line. */
  constructor(gpu: Gpu, lines: Lines, room: number) {
    this.#gpu = gpu;
    this.#lines = lines;
    this.#room = room;
    this.#buffer = this.#make(room);
  }

  /** [lines, room, words] u32; another one once it has grown. */
  get buffer(): GPUBuffer {
    return this.#buffer;
  }

  /** Items of a line. */
  get room(): number {
    return this.#room;
  }

  #make(room: number): GPUBuffer {
    const { label, lines, words } = this.#lines;
    return this.#gpu.buffer(label, 4 * lines * room * words, "kv");
  }

  /** Where items first … first + count − 1 lie, line after line. */
  stretches(first: number, count: number): Stretch[] {
    const { lines, words } = this.#lines;
    return Array.from({ length: lines }, (_, line) => ({
      buffer: this.#buffer,
      offset: 4 * words * (line * this.#room + first),
      bytes: 4 * words * count,
    }));
  }

  /** Makes room for `room` items, those it has included. Throws UnsupportedError where there is no memory; nothing has changed then. */
  async grow(room: number): Promise<void> {
    if (room <= this.#room) return;
    const made = await this.#gpu.allocate(() => this.#make(room));
    const [old, from] = [this.#buffer, this.stretches(0, this.#room)];
    [this.#buffer, this.#room] = [made, room];
    if (!this.#gpu.isPaper) this.#copy(from);
    this.#gpu.release(old);
  }

  /** To the beginnings of its lines. */
  #copy(from: readonly Stretch[]): void {
    const encoder = this.#gpu.device.createCommandEncoder();
    const to = this.stretches(0, this.#room);
    for (const [line, { buffer, offset, bytes }] of from.entries())
      encoder.copyBufferToBuffer(buffer, offset, this.#buffer, to[line]!.offset, bytes);
    this.#gpu.submit(encoder);
  }
}
