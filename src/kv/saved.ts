// What a residence holds as bytes, to be stored and put back: block after block and store after store, then private pages list
// after list, then what stands for its prompt beside them. A cache of the same recipe for the same model has it in the same order.
import type { Gpu } from "../gpu/device.ts";
import type { Stretch } from "./arena.ts";
import type { KvCache } from "./cache.ts";
import { blocksStanding } from "./kept.ts";
import type { Holdings } from "./holdings.ts";
import { GONE } from "./residence.ts";
import type { Room } from "./room.ts";
import type { StateAccess } from "./system.ts";

/** Bytes that are read at once, at most: bounds the staging buffer. */
const PIECE_BYTES = 16 * 2 ** 20;

/** The next bytes of what was saved, at most `most`. */
type ByteSource = (most: number) => Promise<Uint8Array<ArrayBuffer>>;

/** What belongs to a residence beside its pages. */
export interface Beside {
  access: StateAccess | null;
  /** Under which the state is kept. */
  sequence: number;
}

const totalOf = (parts: readonly { bytes: number }[]): number => parts.reduce((sum, { bytes }) => sum + bytes, 0);

/** What the cache needs room for before they can be put back. */
export function roomOfHoldings(cache: KvCache, { blocks, kept, reply }: Holdings): Partial<Room> {
  const held = blocks.filter((block) => block !== GONE).map((block) => cache.roomFor(block));
  const regions = kept && cache.shape.regions > 0 ? kept.region + blocksStanding(kept, reply!) : 0;
  return { blocks: Math.max(0, ...held), regions };
}

/** The bytes of one residence. Only while no step is under way. */
export class HeldPages {
  readonly #gpu: Gpu;
  readonly #stretches: readonly Stretch[];
  readonly #memory: readonly Uint8Array[];

  constructor(gpu: Gpu, cache: KvCache, { blocks, kept, reply }: Holdings, beside: Beside | null = null) {
    this.#gpu = gpu;
    const held = blocks.filter((block) => block !== GONE).flatMap((block) => cache.stretchesOfBlock(block));
    const own = kept ? (cache.privatePages?.stretches(kept) ?? []) : [];
    const access = kept ? (beside?.access ?? null) : null;
    const standing = access ? blocksStanding(kept!, reply!) : 0;
    const state = access?.stretches(beside!.sequence, kept!.region, standing) ?? [];
    const chosen = kept && beside && cache.choices ? [cache.choices.stretch(beside.sequence)] : [];
    this.#stretches = [...held, ...own, ...state, ...chosen];
    this.#memory = access?.memory(beside!.sequence, standing) ?? [];
  }

  get bytes(): number {
    return totalOf(this.#stretches) + this.#memory.reduce((sum, { length }) => sum + length, 0);
  }

  /** Steps that were launched before have written to them. */
  async *read(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    for (const piece of pieces(this.#stretches)) yield await this.#readPiece(piece);
    for (const part of this.#memory) yield part.slice();
  }

  async #readPiece(stretches: readonly Stretch[]): Promise<Uint8Array<ArrayBuffer>> {
    const total = totalOf(stretches);
    const { COPY_DST, MAP_READ } = GPUBufferUsage;
    const staging = this.#gpu.buffer("pages on their way out", total, "scratch", COPY_DST | MAP_READ);
    try {
      const encoder = this.#gpu.device.createCommandEncoder();
      let at = 0;
      for (const { buffer, offset, bytes } of stretches) {
        encoder.copyBufferToBuffer(buffer, offset, staging, at, bytes);
        at += bytes;
      }
      this.#gpu.submit(encoder);
      await this.#gpu.map(staging);
      return new Uint8Array(staging.getMappedRange(0, total)).slice();
    } finally {
      this.#gpu.release(staging);
    }
  }

  /** Writes what `read` gave, for holdings of the same shape. */
  async write(next: ByteSource): Promise<void> {
    for (const { buffer, offset, bytes } of this.#stretches)
      await fill(bytes, next, (at, part) => this.#gpu.write(buffer, offset + at, part));
    for (const part of this.#memory) await fill(part.length, next, (at, bytes) => part.set(bytes, at));
  }
}

async function fill(bytes: number, next: ByteSource, put: (at: number, part: Uint8Array<ArrayBuffer>) => void) {
  for (let at = 0; at < bytes;) {
    const part = await next(bytes - at);
    put(at, part);
    at += part.length;
  }
}

/** Stretches that fit into a staging buffer together. */
function* pieces(stretches: readonly Stretch[]): Generator<Stretch[], void> {
  let [piece, total]: [Stretch[], number] = [[], 0];
  for (const stretch of stretches) {
    if (piece.length > 0 && total + stretch.bytes > PIECE_BYTES) {
      yield piece;
      [piece, total] = [[], 0];
    }
    piece.push(stretch);
    total += stretch.bytes;
  }
  if (piece.length > 0) yield piece;
}
