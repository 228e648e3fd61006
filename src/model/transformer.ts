// A loaded model behind the Model interface: one submit per step, one small readback.
import type { KernelTime } from "../api.ts";
import { alignUp, assert, ceilDiv, InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Program } from "../gpu/program.ts";
import { Readback } from "../gpu/readback.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import { type Codec, kvBytesPerToken, KvStore, storeMap } from "../kv/store.ts";
import { mostSplits, splitsFor } from "./attention.ts";
import type { ModelConfig } from "./config.ts";
import { logits, lower, ropeTable, upper } from "./llama.ts";
import { type Batch, FROM_SLOT, GREEDY, type Model, type Row, type Sampled } from "./model.ts";
import type { Sizes } from "./ops.ts";
import { type Activations, LOGIT_ROWS, type Parts, spansOf, type Weights } from "./parts.ts";
import { Sampler } from "./sampler.ts";
import { type Memory, tune } from "./tune.ts";
import type { Variants } from "./variants.ts";

export interface TransformerOptions {
  codec: Codec;
  /** Tokens of cache over all sequences. */
  context: number;
  /** Most rows in a step. */
  rows: number;
  /** Most sequences in a step. */
  slots: number;
  /** Most bytes of one buffer of the cache. */
  arenaBytes: number;
}

/** Up to this many rows go through the weights row by row; more are multiplied as a matrix. */
const NARROW_ROWS = [1, 2, 4, 8] as const;
const MOST_NARROW = 8;
/** Weights laid open as f32 for a wide product, at most. */
const UNPACKED_BYTES = 32 * 2 ** 20;
const TOKEN_FROM_SLOT = 0x80000000;
/** Steps under way at once: one being read, one running, one being prepared. */
const READBACK_DEPTH = 4;

/** The smallest program for `rows`, 0 for the wide one. */
const tileFor = (rows: number): number => NARROW_ROWS.find((most) => rows <= most) ?? 0;

const BUILDERS = { lower, upper, logits } as const;

/** A program and the sizes of its step. */
interface Stage {
  program: Program<Sizes>;
  sizes: Sizes;
}

export class Transformer implements Model {
  readonly limits: Model["limits"];
  readonly store: KvStore;
  readonly #gpu: Gpu;
  readonly #parts: Parts;
  readonly #sampler: Sampler;
  readonly #readback: Readback;
  readonly #programs = new Map<string, Promise<Program<Sizes>>>();
  readonly #rows: Uint32Array<ArrayBuffer>;

  constructor(gpu: Gpu, config: ModelConfig, weights: Weights, variants: Variants, options: TransformerOptions) {
    this.#gpu = gpu;
    const { rows, slots, codec, arenaBytes } = options;
    const blocks = alignUp(options.context, BLOCK_TOKENS) / BLOCK_TOKENS;
    const logitRows = config.vocabulary % 4 === 0 ? LOGIT_ROWS : MOST_NARROW;
    this.limits = { rows, slots, blocks, logitRows, vocabulary: config.vocabulary };
    const { layers, swiftkv, kvHeads: heads, headWidth: width } = config;
    const spans = spansOf(rows);
    this.store = new KvStore(gpu, {
      map: storeMap(layers, swiftkv),
      codec,
      heads,
      width,
      blocks,
      tableRows: slots,
      maxPages: blocks,
      arenaBytes,
      records: spans.lower.first + rows,
    });
    const activations = allocate(gpu, config, this.limits, this.store.parts);
    const { vocabulary } = config;
    this.#sampler = new Sampler(gpu, activations.logits, { rows: logitRows, slots, vocabulary });
    const table = ropeTable(config, blocks * BLOCK_TOKENS);
    const rope = gpu.buffer("rope table", table.byteLength, "scratch");
    gpu.write(rope, 0, table);
    this.#parts = {
      gpu,
      config,
      weights,
      store: this.store,
      activations,
      spans,
      rope,
      tokens: this.#sampler.tokens,
      variants,
    };
    this.#readback = new Readback(gpu, this.#sampler.resultBytes(logitRows), READBACK_DEPTH);
    this.#rows = new Uint32Array((spans.lower.first + rows) * 4);
  }

  /** Adapter and driver: what a measurement holds for. */
  get fingerprint(): string {
    return this.#gpu.fingerprint;
  }

  get kvBytesPerToken(): number {
    return kvBytesPerToken(this.store.shape);
  }

  /** Compiles what a single conversation needs, so that the first prompt does not wait for it. */
  async compile(): Promise<void> {
    const programs = [this.#program("lower", 1), this.#program("lower", 0), this.#program("logits", 1)];
    if (this.#parts.config.swiftkv) programs.push(this.#program("upper", 1));
    await Promise.all([...programs, this.#sampler.compile()]);
  }

  /** Measures the kernel variants on this adapter, or recalls what was measured before. Before the first request. */
  tune(memory: Memory): Promise<void> {
    return tune(this.#parts, memory);
  }

  #program(kind: keyof typeof BUILDERS, tileRows: number): Promise<Program<Sizes>> {
    const key = `${kind} ${tileRows}`;
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = BUILDERS[kind](this.#parts, tileRows)));
    return program;
  }

  async submit(batch: Batch): Promise<{ read: () => Promise<readonly Sampled[]> }> {
    this.#gpu.check();
    const stages = await this.#prepare(batch);
    const encoder = this.#gpu.device.createCommandEncoder();
    for (const copy of batch.copies) this.store.copyBlock(encoder, copy);
    const pass = encoder.beginComputePass();
    for (const { program } of stages) program.encode(pass);
    pass.end();
    const count = batch.logitRows.length;
    if (count === 0) return this.#submitSilent(encoder);
    const read = this.#readback.submit(encoder, this.#sampler.result, this.#sampler.resultBytes(count));
    return { read: async () => decodeResults(await read()) };
  }

  /** A chunk without logits is still waited for: progress and abort happen between chunks, not before them. */
  #submitSilent(encoder: GPUCommandEncoder): { read: () => Promise<readonly Sampled[]> } {
    this.#gpu.submit(encoder);
    const { queue } = this.#gpu.device;
    return { read: () => queue.onSubmittedWorkDone().then(() => []) };
  }

  /** The step's programs, with everything they read written: parameters, settings, page table, rows. */
  async #prepare(batch: Batch): Promise<Stage[]> {
    const { rows, logitRows, pages, arrivals } = batch;
    assert(rows.length > 0 && rows.length <= this.limits.rows, `${rows.length} rows of ${this.limits.rows}`);
    assert(logitRows.length <= this.limits.logitRows, `${logitRows.length} logit rows`);
    const sizes = sizesOf(this.#gpu, batch);
    const stages: Stage[] = [{ program: await this.#program("lower", tileFor(rows.length)), sizes }];
    if (logitRows.length > 0) {
      const tile = tileFor(logitRows.length);
      if (this.#parts.config.swiftkv)
        stages.push({ program: await this.#program("upper", tile), sizes: upperSizesOf(this.#gpu, batch) });
      stages.push({ program: await this.#program("logits", tile), sizes });
      stages.push({ program: await this.#sampler.prepare(logitRows), sizes });
    }
    for (const stage of stages) stage.program.prepare(stage.sizes);
    for (const arrival of arrivals) this.#sampler.enter(arrival);
    for (const { slot, index, block } of pages) this.store.writeTable(slot, index, block);
    this.#writeRows(batch);
    return stages;
  }

  /** One write: the rows that go on past SwiftKV's layer K, then all rows. */
  #writeRows({ rows, logitRows }: Batch): void {
    const { activations, spans, config } = this.#parts;
    const put = ({ position, cacheIndex, slot, token }: Row, record: number) =>
      this.#rows.set([position, cacheIndex, slot, token === FROM_SLOT ? TOKEN_FROM_SLOT + slot : token], record * 4);
    for (const [i, row] of rows.entries()) put(row, spans.lower.first + i);
    if (config.swiftkv) for (const [i, { row }] of logitRows.entries()) put(rows[row]!, i);
    const from = config.swiftkv ? 0 : spans.lower.first;
    this.#gpu.write(this.store.inputs, from * 16, this.#rows.subarray(from * 4, (spans.lower.first + rows.length) * 4));
    if (logitRows.length === 0) return;
    const indices = Uint32Array.from(logitRows, ({ row }) => row);
    this.#gpu.write(activations.logitRows, 0, indices);
  }

  /**
   * Times every dispatch of a prompt chunk of `tokens` tokens, or of one decoded token after `tokens` tokens of
   * context. Overwrites cache blocks, so only while no request runs. Throws InputError without timestamp-query.
   */
  async profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    if (!this.#gpu.has("timestamp-query")) {
      throw new InputError(
        "profile: got an adapter without timestamp-query, want one with it. Use Chrome with WebGPU developer features.",
        { code: "no-timestamps" },
      );
    }
    const count = phase === "prefill" ? Math.min(tokens, this.limits.rows) : 1;
    const first = phase === "prefill" ? 0 : Math.min(tokens, this.limits.blocks * BLOCK_TOKENS - 1);
    const rows = Array.from({ length: count }, (_, i) => ({
      token: i % this.limits.vocabulary,
      position: first + i,
      cacheIndex: first + i,
      slot: 0,
    }));
    const last = { row: count - 1, slot: 0, sampling: GREEDY, step: 0, forced: null };
    const batch: Batch = {
      rows,
      decodeRows: phase === "decode" ? 1 : 0,
      logitRows: [last],
      pages: Array.from({ length: ceilDiv(first + count, BLOCK_TOKENS) }, (_, index) => ({
        slot: 0,
        index,
        block: index,
      })),
      copies: [],
      arrivals: [],
    };
    const times: KernelTime[] = [];
    for (const { program, sizes } of await this.#prepare(batch)) times.push(...(await program.profile(sizes)));
    return times;
  }
}

function sizesOf(gpu: Gpu, { rows, decodeRows, logitRows }: Batch): Sizes {
  const alone = tileFor(rows.length) === 0 ? rows.slice(0, decodeRows) : rows;
  return {
    rows: rows.length,
    logitRows: logitRows.length,
    decodeRows,
    ...splitsFor(gpu, longest(alone)),
    kept: rows.length,
    queried: false,
  };
}

const longest = (rows: readonly Row[]): number =>
  rows.reduce((most, { cacheIndex }) => Math.max(most, cacheIndex + 1), 1);

/**
 * The rows that go on past layer K. Where all of them lie in front already, they are what the step is (a decoding batch,
 * or a text being scored); else the last row of a prompt joins decoding rows, and each looks at its own pages alone.
 */
function upperSizesOf(gpu: Gpu, { rows, decodeRows, logitRows }: Batch): Sizes {
  const moved = logitRows.findIndex(({ row }, i) => row !== i);
  const count = logitRows.length;
  const kept = moved < 0 ? count : moved;
  assert(
    logitRows.slice(kept).every(({ row }) => row >= count),
    "a row that moves to the front lies where another one goes to",
  );
  const alone = moved < 0 ? Math.min(decodeRows, count) : count;
  const ownPages = tileFor(count) === 0 ? logitRows.slice(0, alone) : logitRows;
  return {
    rows: count,
    logitRows: count,
    decodeRows: alone,
    ...splitsFor(gpu, longest(ownPages.map(({ row }) => rows[row]!))),
    kept,
    queried: moved < 0 && tileFor(rows.length) > 0,
  };
}

function decodeResults(bytes: ArrayBuffer): Sampled[] {
  const view = new DataView(bytes);
  return Array.from({ length: bytes.byteLength / 8 }, (_, i) => ({
    token: view.getUint32(i * 8, true),
    logprob: view.getFloat32(i * 8 + 4, true),
  }));
}

/** Scratch of a step. */
function allocate(
  gpu: Gpu,
  config: ModelConfig,
  { rows, slots, logitRows }: Model["limits"],
  kvParts: number,
): Activations {
  const { hiddenSize: D, intermediateSize: F, heads: H, headWidth: E, vocabulary: V } = config;
  const make = (label: string, words: number) => gpu.buffer(label, words * 4, "scratch");
  const widest = Math.max(D, F, H * E);
  const decodePartials = Math.max(MOST_NARROW, slots) * H * mostSplits(gpu) * kvParts * (E + 2);
  const prefillPartials = kvParts > 1 ? rows * H * kvParts * (E + 2) : 0;
  return {
    hidden: make("hidden", rows * D),
    query: make("query", rows * H * E),
    attended: make("attended", rows * H * E),
    partials: make("attention partials", Math.max(decodePartials, prefillPartials)),
    activated: make("activated", rows * F),
    logitRows: make("logit rows", logitRows),
    normed: make("normed", Math.max(rows, logitRows) * D),
    logits: make("logits", logitRows * V),
    unpacked: gpu.buffer("unpacked weights", Math.min(UNPACKED_BYTES, widest * Math.max(2 * F, V) * 4), "scratch"),
  };
}
