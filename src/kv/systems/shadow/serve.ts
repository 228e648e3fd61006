// Values that JavaScript keeps: how they come to it at a prompt's end, and back to the GPU chunk by chunk.
import { Program } from "../../../gpu/program.ts";
import { type Part, Readback } from "../../../gpu/readback.ts";
import type { KvCache } from "../../cache.ts";
import type { PromptEndSizes, RetiringSizes, SystemContext } from "../../system.ts";
import { HostValues, type Round } from "./host.ts";
import { recall } from "./recall.ts";
import { chunksOf, type ShadowShape, valueWords } from "./shape.ts";
import { growingBuffers, knownState, stateOf } from "./state.ts";
import { pageRange } from "./retire.ts";
import { copyValues, type Range } from "./tokens.ts";

/** Values of one store, in `keys` of the scratch. */
interface ExportSizes {
  store: number;
  sequence: number;
  begin: number;
  tokens: number;
}

/** Tokens first … end − 1 of a sequence. */
interface Stretch {
  sequence: number;
  first: number;
  end: number;
}

/** [stores] where in uploads the lists of a store are told; −1: not in this round. */
interface BringSizes {
  rows: number;
  lists: readonly number[];
}

/** A program that is built anew where what it binds has come to lie in other buffers. */
class Built<D extends object> {
  readonly #build: () => Promise<Program<D>>;
  #program: Promise<Program<D>> | null = null;
  #buffers: readonly GPUBuffer[] = [];

  constructor(build: () => Promise<Program<D>>) {
    this.#build = build;
  }

  for(cache: KvCache): Promise<Program<D>> {
    const { lists, arenas } = cache;
    const buffers = [lists.inputs, ...arenas.flatMap((arena) => arena.buffers), ...growingBuffers(knownState(cache)!)];
    if (this.#program && buffers.every((buffer, i) => buffer === this.#buffers[i])) return this.#program;
    void this.#program?.then((old) => old.dispose());
    this.#buffers = buffers;
    return (this.#program = this.#build());
  }
}

export class ValueServer {
  readonly #made: SystemContext;
  readonly #shape: ShadowShape;
  readonly #host: HostValues;
  readonly #upload: Uint32Array<ArrayBuffer>;
  readonly #exports: Readback;
  readonly #moves: Readback;
  readonly #exporting = new Built(() => this.#exportProgram());
  readonly #bringing = new Built(() => this.#bringProgram());
  /** Of the step under way: the sequence of each decoding row. */
  decoding: readonly number[] = [];
  uploadedBytes = 0;

  constructor(context: SystemContext, shape: ShadowShape) {
    const { gpu, cache, model } = context;
    const { kvHeads, headWidth } = model;
    const { chunk, selected, width } = shape;
    const { mostTile, uploads, stores: states } = stateOf(context, shape);
    this.#made = context;
    this.#shape = shape;
    const { stores } = cache.shape.layout;
    this.#host = new HostValues({ stores, kvHeads, words: valueWords(shape, headWidth), chunk, selected });
    this.#upload = new Uint32Array(uploads!.size / 4);
    this.#exports = new Readback(gpu, mostTile * width * 2, 1);
    this.#moves = new Readback(gpu, states[0]!.moves.size, 1);
  }

  /** With the records where they are now. */
  get #context(): SystemContext {
    const { records, cache } = this.#made;
    return { ...this.#made, records: { ...records, buffer: cache.lists.inputs } };
  }

  get hostBytes(): number {
    return this.#host.bytes;
  }

  memory(sequence: number, tokens: number): Uint8Array[] {
    return this.#host.memory(sequence, tokens);
  }

  keepOnly(running: ReadonlySet<number>): void {
    this.#host.keepOnly(running);
  }

  /** Reads the values of what is given up of a prompt that has just ended, of stores that blocks hold: its lists still lead to them. */
  async keepPrompt(end: PromptEndSizes): Promise<void> {
    const { cache } = this.#context;
    const isWhole = (store: number) => !cache.isLater(store);
    if (!cache.streamed) this.#openPrompt(end);
    for (const store of this.#stores.filter(isWhole)) await this.#exportFrom(store, this.#givenUp(end));
  }

  /** Likewise where prompts are streamed, of a later store, in the middle of the step: before the next one takes its place. */
  async keepPassing(end: PromptEndSizes, store: number): Promise<void> {
    if (store === this.#context.cache.streamed!.shape.firstStore) this.#openPrompt(end);
    await this.#exportFrom(store, this.#givenUp(end));
  }

  #givenUp({ sequence, tokens, standing }: PromptEndSizes): Stretch {
    const end = chunksOf(tokens, this.#shape) * this.#shape.chunk;
    return { sequence, first: Math.min(standing, end), end };
  }

  #openPrompt(prompt: PromptEndSizes): void {
    this.#host.open(prompt.sequence, this.#givenUp(prompt).end, prompt.standing);
  }

  /** Reads the values of a page of a reply that has just been given up, likewise. */
  async keepPage(page: RetiringSizes): Promise<void> {
    const { sequence, begin, tokens } = pageRange(page);
    const end = begin + tokens;
    this.#host.open(sequence, end, begin);
    for (const store of this.#stores) await this.#exportFrom(store, { sequence, first: begin, end });
  }

  get #stores(): number[] {
    return [...Array(this.#context.cache.shape.layout.stores).keys()];
  }

  async #exportFrom(store: number, { sequence, first, end }: Stretch): Promise<void> {
    const { tile } = stateOf(this.#context, this.#shape).scratch;
    for (let begin = first; begin < end; begin += tile)
      await this.#export({ store, sequence, begin, tokens: Math.min(tile, end - begin) });
  }

  async #export(sizes: ExportSizes): Promise<void> {
    const { gpu } = this.#context;
    const program = await this.#exporting.for(this.#context.cache);
    program.prepare(sizes);
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.encode(pass);
    pass.end();
    const { keys } = stateOf(this.#context, this.#shape).scratch;
    const bytes = sizes.tokens * this.#shape.width * 2;
    const values = await this.#exports.submit(encoder, [{ source: keys, offset: 0, bytes }])();
    this.#host.fill(sizes.sequence, sizes.store, sizes.begin, new Uint32Array(values));
  }

  #exportProgram(): Promise<Program<ExportSizes>> {
    const { gpu, cache } = this.#context;
    const { keys: buffer } = stateOf(this.#context, this.#shape).scratch;
    const dispatches = Array.from({ length: cache.shape.layout.stores }, (_, own) => {
      const range = ({ store, sequence, begin, tokens }: ExportSizes): Range => ({
        sequence,
        begin,
        tokens: store === own ? tokens : 0,
        first: 0,
      });
      const capacity = ({ tokens }: ExportSizes) => tokens;
      return copyValues({ context: this.#context, shape: this.#shape, store: own }, { buffer, capacity, range });
    });
    return Program.build(gpu, "values for JavaScript", dispatches.flat());
  }

  /** host-sync: what a store's lists miss in this step, for the dispatch that comes next. */
  async bringNow(store: number, rows: number): Promise<void> {
    const { gpu } = this.#context;
    const { moves } = stateOf(this.#context, this.#shape).stores[store]!;
    const part = { source: moves, offset: 0, bytes: moves.size };
    const read = await this.#moves.submit(gpu.device.createCommandEncoder(), [part])();
    const lists = this.#host.missing(new Uint32Array(read), this.decoding.slice(0, rows));
    this.#host.write(this.#upload, 0, store, lists);
    this.#send(this.#host.wordsFor(lists), lists.length);
  }

  /** Parts that `bring` wants. */
  get parts(): Part[] {
    const { stores } = stateOf(this.#context, this.#shape);
    return stores.map(({ moves }) => ({ source: moves, offset: 0, bytes: moves.size }));
  }

  /** What all lists of a step missed comes to its places: in one upload, or in several where it does not fit. */
  async bring(moves: readonly ArrayBuffer[], sequences: readonly number[]): Promise<void> {
    const stores = moves.map((each) => this.#host.missing(new Uint32Array(each), sequences));
    for (const round of this.#host.rounds(stores, this.#upload)) await this.#bringRound(round, sequences.length);
  }

  async #bringRound({ lists, words }: Round, rows: number): Promise<void> {
    const { gpu, cache, model } = this.#context;
    const program = await this.#bringing.for(cache);
    const stores = Array.from({ length: cache.shape.layout.stores }, (_, store) => lists.get(store) ?? -1);
    program.prepare({ rows, lists: stores });
    this.#send(words, lists.size * rows * model.kvHeads);
    const encoder = gpu.device.createCommandEncoder();
    const pass = encoder.beginComputePass();
    program.encode(pass);
    pass.end();
    gpu.submit(encoder);
  }

  #bringProgram(): Promise<Program<BringSizes>> {
    const { gpu, cache } = this.#context;
    const dispatches = Array.from({ length: cache.shape.layout.stores }, (_, store) => {
      const rows = { firstRow: () => 0, count: (s: BringSizes) => (s.lists[store]! < 0 ? 0 : s.rows) };
      return recall(this.#context, this.#shape, store, rows, (s: BringSizes) => Math.max(0, s.lists[store]!));
    });
    return Program.build(gpu, "values from JavaScript", dispatches);
  }

  /** `told`: words that are no values. */
  #send(words: number, told: number): void {
    const { uploads } = stateOf(this.#context, this.#shape);
    this.#context.gpu.write(uploads!, 0, this.#upload.subarray(0, words));
    this.uploadedBytes += 4 * (words - told);
  }
}

const made = new WeakMap<KvCache, ValueServer>();

/** One for a cache whose values are in JavaScript's memory. */
export function serverOf(context: SystemContext, shape: ShadowShape): ValueServer {
  const server = made.get(context.cache) ?? new ValueServer(context, shape);
  made.set(context.cache, server);
  return server;
}
