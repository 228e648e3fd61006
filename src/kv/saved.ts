// The pages of a residence as bytes, to be stored and put back: block after block and store after store, then private
// pages list after list. A cache of the same recipe for the same model has them in the same order.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Stretch } from "./arena.ts";
import type { KvCache } from "./cache.ts";
import { GONE, type Holdings } from "./residence.ts";

/** Bytes that are read at once, at most: bounds the staging buffer. */
const PIECE_BYTES = 16 * 2 ** 20;

function stretchesOf(cache: KvCache, { blocks, kept }: Holdings): Stretch[] {
  const held = blocks.filter((block) => block !== GONE);
  return [...held.flatMap((block) => cache.stretchesOfBlock(block)), ...(kept ? cache.stretchesOfKept(kept) : [])];
}

const totalOf = (stretches: readonly Stretch[]): number => stretches.reduce((sum, { bytes }) => sum + bytes, 0);

/** What the residence's pages hold. Steps that were launched before have written to them. */
export async function readPages(gpu: Gpu, cache: KvCache, holdings: Holdings): Promise<Uint8Array<ArrayBuffer>> {
  const stretches = stretchesOf(cache, holdings);
  const saved = new Uint8Array(totalOf(stretches));
  let at = 0;
  for (const piece of pieces(stretches)) at += await readPiece(gpu, piece, saved.subarray(at));
  return saved;
}

/** Stretches that fit into a staging buffer together. */
function pieces(stretches: readonly Stretch[]): Stretch[][] {
  const all: Stretch[][] = [[]];
  for (const stretch of stretches) {
    if (totalOf(all.at(-1)!) + stretch.bytes > PIECE_BYTES && all.at(-1)!.length > 0) all.push([]);
    all.at(-1)!.push(stretch);
  }
  return all;
}

async function readPiece(gpu: Gpu, stretches: readonly Stretch[], to: Uint8Array): Promise<number> {
  const total = totalOf(stretches);
  const { COPY_DST, MAP_READ } = GPUBufferUsage;
  const staging = gpu.buffer("pages on their way out", total, "scratch", COPY_DST | MAP_READ);
  try {
    const encoder = gpu.device.createCommandEncoder();
    let at = 0;
    for (const { buffer, offset, bytes } of stretches) {
      encoder.copyBufferToBuffer(buffer, offset, staging, at, bytes);
      at += bytes;
    }
    gpu.submit(encoder);
    await gpu.map(staging);
    to.set(new Uint8Array(staging.getMappedRange(0, total)));
    return total;
  } finally {
    gpu.release(staging);
  }
}

/** Writes what `readPages` gave, for holdings of the same shape. */
export function writePages(gpu: Gpu, cache: KvCache, holdings: Holdings, saved: Uint8Array<ArrayBuffer>): void {
  const stretches = stretchesOf(cache, holdings);
  assert(totalOf(stretches) === saved.length, `${saved.length} saved bytes for ${totalOf(stretches)} of pages`);
  let at = 0;
  for (const { buffer, offset, bytes } of stretches) {
    gpu.write(buffer, offset, saved.subarray(at, at + bytes));
    at += bytes;
  }
}
