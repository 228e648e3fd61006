// The buffers of ShadowKV: what stands for the prompts of all sequences, store by store, and what dispatches hand on. Each prompt
// has a region of tokens (kv/regions.ts), and buffers grow as regions reach further.
import { alignUp } from "../../../errors.ts";
import type { Gpu } from "../../../gpu/device.ts";
import { BLOCK_TOKENS } from "../../blocks.ts";
import type { KvCache } from "../../cache.ts";
import { Strided } from "../../strided.ts";
import type { SystemContext } from "../../system.ts";
import { factorWords, landmarkWords, type ShadowShape, valueWords } from "./shape.ts";

/** What one store keeps of the prompts of all sequences. */
export interface StoreState {
  /** [G, E/2, chunks] pairs of f16; or [G, E/4 + 1, chunks] codes, then their pair */
  landmarks: Strided;
  /** [tokens, rank·keyBits/32] */
  factors: Strided;
  /** [sequences, rank + 1, G·E] f32: keys before rotation = factors · the first rows + the last */
  up: GPUBuffer;
  /** [G, tokens, words]; null where JavaScript keeps them */
  values: Strided | null;
  /** [sequences, G, outliers] u32: chunks */
  outliers: GPUBuffer;
  /** [sequences, G, selected] u32: the chunk in each place */
  resident: GPUBuffer;
  /** [sequences, G, 1 + 2·selected] u32; one for all stores where values are on the GPU */
  moves: GPUBuffer;
}

/** What the dispatches of all layers write in turn. */
export interface Scratch {
  /** Chunks that there is room for. */
  chunks: number;
  /** Tokens whose keys are in `keys` at once. */
  tile: number;
  /** [G·E] the key that is taken off all */
  pivot: GPUBuffer;
  /** [tile, G·E], and turned [G·E + 1, tile] with ones below */
  keys: GPUBuffer;
  turned: GPUBuffer;
  /** [G·E + 1, G·E] */
  gram: GPUBuffer;
  /** Columns of the subspace iteration: a few more than the rank, which do not converge. */
  columns: number;
  /** [G·E, columns] what it starts from, what it has, [G·E + 1, columns] that times the gram, and [columns] weights */
  start: GPUBuffer;
  basis: GPUBuffer;
  product: GPUBuffer;
  sigma: GPUBuffer;
  /** [G·E, rank], [rank] */
  down: GPUBuffer;
  shift: GPUBuffer;
  /** [G, chunks] */
  unlike: GPUBuffer;
  /** [sequences, H, chunks], [sequences, G, chunks], [sequences, G, selected] */
  products: GPUBuffer;
  ranks: GPUBuffer;
  wanted: GPUBuffer;
}

export interface ShadowState {
  /** Chunks that all regions can ever have, and tokens whose keys are looked at at once. */
  mostChunks: number;
  mostTile: number;
  stores: readonly StoreState[];
  scratch: Scratch;
  /** [layers, sequences, G] vec2u: chunks wanted and missing so far, by row */
  tally: GPUBuffer;
  /** Values that JavaScript sends: for some stores words at which those of each list begin, and these. Null where it keeps none. */
  uploads: GPUBuffer | null;
}

/** Chunks of so many tokens: kernels look at four at a time. */
const chunksIn = (tokens: number, { chunk }: ShadowShape): number => alignUp(tokens / chunk, 4);

/** Numbers of keys that are looked at together, at most: 16 MiB, and as much again turned. */
const TILE_NUMBERS = 2 ** 22;

const tileOf = (tokens: number, { width }: ShadowShape): number =>
  Math.min(tokens, BLOCK_TOKENS * Math.floor(TILE_NUMBERS / width / BLOCK_TOKENS));

const made = new WeakMap<KvCache, ShadowState>();

/** Of a cache whose first program has been made. */
export const knownState = (cache: KvCache): ShadowState | undefined => made.get(cache);

/** Made once per cache, with the first program. */
export function stateOf(context: SystemContext, shape: ShadowShape): ShadowState {
  const { cache } = context;
  const known = knownState(cache);
  if (known) return known;
  const tokens = cache.room.regions * BLOCK_TOKENS;
  const most = cache.shape.regions * BLOCK_TOKENS;
  const moves = shape.host ? null : movesOf(context, shape, "moves");
  const stores = Array.from({ length: cache.shape.layout.stores }, (_, store) => ({
    ...makeStore(context, shape, tokens, store),
    moves: moves ?? movesOf(context, shape, `moves of store ${store}`),
  }));
  const state = {
    mostChunks: chunksIn(most, shape),
    mostTile: tileOf(most, shape),
    stores,
    scratch: makeScratch(context, shape, tokens),
    tally: tallyOf(context),
    uploads: uploadsOf(context, shape),
  };
  made.set(cache, state);
  cache.growsWith({ grow: ({ regions }) => grow(context, shape, state, regions * BLOCK_TOKENS) });
  return state;
}

/** Store after store, so that besides what is kept only one buffer is there twice. What has grown serves as well where another has not. */
async function grow(context: SystemContext, shape: ShadowShape, state: ShadowState, tokens: number): Promise<void> {
  for (const { landmarks, factors, values } of state.stores) {
    await landmarks.grow(chunksIn(tokens, shape));
    await factors.grow(tokens);
    await values?.grow(tokens);
  }
  await growScratch(context, shape, state.scratch, tokens);
}

/** Buffers that programs bind and that may be other ones after the cache has grown. */
export const growingBuffers = ({ stores, scratch }: ShadowState): GPUBuffer[] => [
  ...stores.flatMap(({ landmarks, factors, values }) => [landmarks, factors, ...(values ? [values] : [])]).map(({ buffer }) => buffer), // prettier-ignore
  scratch.keys,
];

function makeStore({ gpu, cache, model }: SystemContext, shape: ShadowShape, tokens: number, store: number) {
  const { kvHeads: G, headWidth: E } = model;
  const { sequences } = cache.shape;
  const named = (label: string) => `shadow ${label} of store ${store}`;
  const make = (label: string, words: number) => gpu.buffer(named(label), 4 * words, "kv");
  const strided = (label: string, lines: number, words: number, room: number) =>
    new Strided(gpu, { label: named(label), lines, words }, room);
  return {
    landmarks: strided("landmarks", landmarkWords(shape, G), 1, chunksIn(tokens, shape)),
    factors: strided("factors", 1, factorWords(shape), tokens),
    up: make("map", sequences * (shape.rank + 1) * shape.width),
    values: shape.host ? null : strided("values", G, valueWords(shape, E), tokens),
    outliers: make("outliers", sequences * G * shape.outliers),
    resident: make("resident chunks", sequences * G * shape.selected),
  };
}

const movesOf = ({ gpu, cache, model }: SystemContext, { selected }: ShadowShape, label: string): GPUBuffer =>
  gpu.buffer(`shadow ${label}`, 4 * cache.shape.sequences * model.kvHeads * (1 + 2 * selected), "scratch");

const tallyOf = ({ gpu, cache, model }: SystemContext): GPUBuffer =>
  gpu.buffer("shadow tally", 8 * model.layers * cache.shape.sequences * model.kvHeads, "scratch");

/** Words of uploads, at least: what most tokens miss goes up at once. */
const UPLOAD_WORDS = 2 ** 18;

/** Room for all that the lists of one store can miss. */
function uploadsOf({ gpu, cache, model }: SystemContext, shape: ShadowShape): GPUBuffer | null {
  if (!shape.host) return null;
  const list = 1 + shape.selected * shape.chunk * valueWords(shape, model.headWidth);
  const words = Math.max(UPLOAD_WORDS, cache.shape.sequences * model.kvHeads * list);
  return gpu.buffer("shadow uploads", 4 * words, "scratch");
}

/** Columns that the iteration carries besides those that are wanted. */
const SPARE_COLUMNS = 8;

function makeScratch(context: SystemContext, shape: ShadowShape, tokens: number): Scratch {
  const { gpu, cache, model } = context;
  const { width, rank, selected } = shape;
  const make = (label: string, words: number) => gpu.buffer(`shadow ${label}`, 4 * words, "scratch");
  const columns = rank >= width ? width : Math.min(width, alignUp(rank + SPARE_COLUMNS, 4));
  const words = growingWords(context, shape, tokens);
  return {
    chunks: chunksIn(tokens, shape),
    tile: tileOf(tokens, shape),
    columns,
    pivot: make("pivot", width),
    keys: make("keys", words.keys),
    turned: make("turned", words.turned),
    gram: make("gram", (width + 1) * width),
    start: filled(gpu, "start", startColumns(width, columns)),
    basis: rank < width ? make("basis", width * columns) : filled(gpu, "basis", identity(width)),
    product: make("product", (width + 1) * columns),
    sigma: rank < width ? make("weights", columns) : filled(gpu, "weights", new Float32Array(width).fill(1)),
    down: make("down", width * rank),
    shift: make("shift", rank),
    unlike: make("unlike", words.unlike),
    products: make("products", words.products),
    ranks: make("ranks", words.ranks),
    wanted: make("wanted chunks", cache.shape.sequences * model.kvHeads * selected),
  };
}

/** Of what depends on how many tokens there is room for. */
function growingWords({ cache, model }: SystemContext, shape: ShadowShape, tokens: number) {
  const { heads: H, kvHeads: G } = model;
  const { sequences } = cache.shape;
  const [tile, chunks] = [tileOf(tokens, shape), chunksIn(tokens, shape)];
  return {
    keys: tile * shape.width,
    turned: (shape.width + 1) * tile,
    unlike: G * chunks,
    products: sequences * H * chunks,
    ranks: sequences * G * chunks,
  };
}

/** Nothing in it outlasts a step. */
async function growScratch(
  context: SystemContext,
  shape: ShadowShape,
  scratch: Scratch,
  tokens: number,
): Promise<void> {
  const { gpu } = context;
  const words = Object.entries(growingWords(context, shape, tokens)) as [
    keyof ReturnType<typeof growingWords>,
    number,
  ][];
  const small = words.filter(([name, count]) => scratch[name].size < 4 * count);
  const larger = await gpu.allocateAll(small.map(([name, count]) => () => gpu.buffer(`shadow ${name}`, 4 * count, "scratch"))); // prettier-ignore
  for (const [i, [name]] of small.entries()) {
    gpu.release(scratch[name]);
    scratch[name] = larger[i]!;
  }
  [scratch.chunks, scratch.tile] = [chunksIn(tokens, shape), tileOf(tokens, shape)];
}

function filled(gpu: Gpu, label: string, numbers: Float32Array<ArrayBuffer>): GPUBuffer {
  const buffer = gpu.buffer(`shadow ${label}`, numbers.byteLength, "scratch");
  gpu.write(buffer, 0, numbers);
  return buffer;
}

function identity(width: number): Float32Array<ArrayBuffer> {
  const numbers = new Float32Array(width * width);
  for (let i = 0; i < width; i++) numbers[i * width + i] = 1;
  return numbers;
}

/** Columns without a pattern: the same in every run. A hash of the index, as a number in ±1. */
export function startColumns(width: number, columns: number): Float32Array<ArrayBuffer> {
  return Float32Array.from({ length: width * columns }, (_, i) => {
    const mixed = Math.imul((i + 1) ^ ((i + 1) >>> 7), 0x9e3779b1);
    return (((mixed ^ (mixed >>> 15)) >>> 8) & 0xffff) / 32768 - 1;
  });
}
