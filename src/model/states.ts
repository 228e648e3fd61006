// What a text leaves in a model whose pages are f32: keys and values of each store, and the residual stream behind the last layer.
import { assert } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import type { Stretch } from "../kv/arena.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { readWindow } from "./calibrate.ts";
import { tapped } from "./forward.ts";
import type { Sizes } from "./ops/sizes.ts";
import type { Transformer } from "./transformer.ts";

export interface TextStates {
  /** [stores] of [tokens, G, E], keys as they are stored: rotated */
  keys: Float32Array[];
  values: Float32Array[];
  /** [tokens, D] */
  hidden: Float32Array;
}

/** Reads texts of at most a chunk's length through an ordinary model that runs nothing else. */
export class StateReader {
  readonly #gpu: Gpu;
  readonly #transformer: Transformer;
  #program: Promise<Program<Sizes>> | null = null;

  constructor(gpu: Gpu, transformer: Transformer) {
    assert(transformer.context.cache.written.bits === 32, "states are read from pages of f32");
    this.#gpu = gpu;
    this.#transformer = transformer;
  }

  async read(tokens: readonly number[]): Promise<TextStates> {
    const { context } = this.#transformer;
    const { config, activations, cache } = context;
    await this.#transformer.reserve({ blocks: blocksFor(tokens.length) });
    this.#program ??= tapped(context, () => [], config.layers);
    await readWindow(this.#transformer, await this.#program, tokens, () => {});
    const bytes = tokens.length * config.hiddenSize * 4;
    const hidden = { buffer: activations.hidden, offset: 0, bytes };
    const blocks = Array.from({ length: blocksFor(tokens.length) }, (_, block) => cache.stretchesOfBlock(block));
    const [stream, ...pages] = await this.#readAll([hidden, ...blocks.flat()]);
    const { stores } = cache.shape.layout;
    const heads = (kind: Kind) => (_: unknown, store: number) =>
      headsOf(kind, pages.filter((_, i) => i % stores === store), tokens.length, config); // prettier-ignore
    return {
      hidden: stream!,
      keys: Array.from({ length: stores }, heads("keys")),
      values: Array.from({ length: stores }, heads("values")),
    };
  }

  async #readAll(stretches: readonly Stretch[]): Promise<Float32Array[]> {
    const { COPY_DST, MAP_READ } = GPUBufferUsage;
    const total = stretches.reduce((sum, { bytes }) => sum + bytes, 0);
    const staging = this.#gpu.buffer("states", total, "scratch", COPY_DST | MAP_READ);
    const encoder = this.#gpu.device.createCommandEncoder();
    let at = 0;
    const places = stretches.map(({ buffer, offset, bytes }) => {
      encoder.copyBufferToBuffer(buffer, offset, staging, at, bytes);
      return [at, (at += bytes)] as const;
    });
    this.#gpu.submit(encoder);
    await this.#gpu.map(staging);
    const all = staging.getMappedRange(0, total);
    const parts = places.map(([from, to]) => new Float32Array(all.slice(from, to)));
    this.#gpu.release(staging);
    return parts;
  }
}

type Kind = "keys" | "values";

/** [tokens, G, E] out of a store's pages of f32, [G] to a block. docs/kernels.md, "Inside a page", says where they lie. */
function headsOf(
  kind: Kind,
  blocks: readonly Float32Array[],
  tokens: number,
  { kvHeads: G, headWidth: E }: { kvHeads: number; headWidth: number },
): Float32Array {
  const out = new Float32Array(tokens * G * E);
  for (let token = 0; token < tokens; token++) {
    const slot = token % BLOCK_TOKENS;
    const block = blocks[Math.floor(token / BLOCK_TOKENS)]!;
    for (let g = 0; g < G; g++) {
      const page = g * 2 * BLOCK_TOKENS * E;
      for (let e = 0; e < E; e++) {
        const at = kind === "keys" ? (Math.floor(slot / 8) * E + e) * 8 + (slot % 8) : (BLOCK_TOKENS + slot) * E + e;
        out[(token * G + g) * E + e] = block[page + at]!;
      }
    }
  }
  return out;
}
