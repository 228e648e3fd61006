// From logits to a token, on the GPU: 8 bytes per row leave it, and 8 for each of the likeliest tokens that a row asks for.
// Only what a step's settings ask for is dispatched.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { packFields } from "../../gpu/kernel.ts";
import { structs } from "../../gpu/kernels.gen.ts";
import { Program } from "../../gpu/program.ts";
import type { Part } from "../../gpu/readback.ts";
import { adjusted, type Allowed, type Arrival, type LogitRow, penalised, type RowSampling } from "../model.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type Adjustments, mergeSlices, MOST_TOPS, type SampleContext, sampleSlices } from "./dispatches.ts";

/** One row's settings, as shaders/lib/settings.wgsl declares them. */
const { size: SETTINGS_BYTES, fields: SETTINGS } = structs.Settings;
const MOST_BIASES = 64;
const NO_TOKEN = 0xffffffff;
const RESULT_BYTES = 8;

/** What a step's rows need beyond greedy: decides which program runs. */
interface Needs {
  adjust: boolean;
  filter: boolean;
  tops: boolean;
}

const filtered = ({ temperature, topK, topP, minP }: RowSampling): boolean =>
  temperature > 0 && (topK > 0 || topP < 1 || minP > 0);

interface Shape {
  /** Most logit rows in a step. */
  rows: number;
  sequences: number;
  /** V */
  vocabulary: number;
}

/** Bit of a count that says: occurs in the prompt. Below it, 16 bits of occurrences in the reply. */
const PROMPT_BIT = 0x80000000;
const MOST_COUNTED = 0xffff;

export class Sampler {
  readonly #gpu: Gpu;
  readonly #shape: Shape;
  readonly #context: SampleContext;
  readonly #staged: DataView<ArrayBuffer>;
  readonly #programs = new Map<string, Promise<Program<Sizes>>>();
  /** Made when the first request with a penalty, bias or mask comes: 4·V bytes per sequence and per row. */
  #adjustments: Adjustments | null = null;
  /** Made when the first request asks for the likeliest tokens. */
  #tops: GPUBuffer | null = null;

  constructor(gpu: Gpu, logits: GPUBuffer, shape: Shape) {
    this.#gpu = gpu;
    this.#shape = shape;
    this.#context = contextOf(gpu, logits, shape);
    this.#staged = new DataView(new ArrayBuffer(shape.rows * SETTINGS_BYTES));
  }

  /** [rows] (token, f32 bits of its log-probability) */
  get result(): GPUBuffer {
    return this.#context.buffers.result;
  }

  /** [sequences] u32: the token each sequence sampled last, which the next step embeds. */
  get tokens(): GPUBuffer {
    return this.#context.buffers.tokens;
  }

  /** Bytes that a step with this many rows has read back, at most. */
  mostBytes(rows: number): number {
    return rows * RESULT_BYTES * (1 + MOST_TOPS);
  }

  /** What is to be read back of a step: results, then the likeliest tokens of the rows that ask for them. */
  parts(rows: readonly LogitRow[]): Part[] {
    const results = { source: this.result, offset: 0, bytes: rows.length * RESULT_BYTES };
    const tops = rows.map(({ top = 0 }, i) => ({
      source: this.#tops!,
      offset: i * MOST_TOPS * RESULT_BYTES,
      bytes: top * RESULT_BYTES,
    }));
    return [results, ...tops.filter(({ bytes }) => bytes > 0)];
  }

  /** Settings of the coming step, what each of its rows may sample, and the program that samples under them. */
  async prepare(rows: readonly LogitRow[], allowed: readonly Allowed[] = []): Promise<Program<Sizes>> {
    const needs = {
      adjust: rows.some(({ sampling, forced }, i) => forced === null && (adjusted(sampling) || allowed[i])),
      filter: rows.some(({ sampling, forced }) => forced === null && filtered(sampling)),
      tops: rows.some(({ top = 0 }) => top > 0),
    };
    if (needs.adjust) this.#makeAdjustments();
    if (needs.tops) this.#makeTops();
    for (const [i, row] of rows.entries()) this.#stage(i, row, allowed[i] ?? null);
    const staged = new Uint8Array(this.#staged.buffer, 0, rows.length * SETTINGS_BYTES);
    this.#gpu.write(this.#context.buffers.settings, 0, staged);
    return await this.#program(needs);
  }

  /** Compiles greedy sampling, which every model starts with. */
  async compile(): Promise<void> {
    await this.#program({ adjust: false, filter: false, tops: false });
  }

  /** Sampling of every kind. */
  async compileAll(): Promise<void> {
    this.#makeAdjustments();
    this.#makeTops();
    const either = [false, true];
    for (const adjust of either)
      for (const filter of either) for (const tops of either) await this.#program({ adjust, filter, tops });
  }

  #program(needs: Needs): Promise<Program<Sizes>> {
    const key = JSON.stringify(needs);
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = this.#build(needs)));
    return program;
  }

  /** Fetches what is asked for beyond plain sampling, if anything is. */
  async #build({ adjust, filter, tops }: Needs): Promise<Program<Sizes>> {
    const context = this.#context;
    const extras = adjust || filter || tops ? await import("./extras.ts") : null;
    const [before = null, after = null] = adjust ? extras!.adjusting(context, this.#adjustments!) : [];
    const scores = adjust ? this.#adjustments!.scores : context.buffers.logits;
    const dispatches = [
      before,
      sampleSlices(context, scores),
      filter ? extras!.filterScores(context, scores) : null,
      mergeSlices(context),
      tops ? extras!.topLogits(context, this.#tops!) : null,
      after,
    ];
    const asked = dispatches.filter((each) => each !== null);
    return Program.build(this.#gpu, "sample", asked);
  }

  #stage(index: number, { sequence, sampling, counter, forced, top = 0 }: LogitRow, allowed: Allowed): void {
    if (allowed) this.#gpu.write(this.#adjustments!.mask, index * this.#maskWords * 4, allowed);
    const { logitBias, ...settings } = sampling;
    const values = {
      ...settings,
      sequence,
      counter,
      biasCount: logitBias.length,
      forced: forced ?? NO_TOKEN,
      masked: allowed ? 1 : 0,
      top,
    };
    packFields(SETTINGS, values, this.#staged, index * SETTINGS_BYTES, "sampling settings");
  }

  /** From the coming step on, counts and biases of this number are this sequence's. */
  enter({ sequence, sampling, prompt, generated }: Arrival): void {
    if (sampling.logitBias.length > 0) this.#writeBias(sequence, sampling);
    if (penalised(sampling)) this.#writeCounts(sequence, prompt, generated);
  }

  #writeCounts(sequence: number, prompt: readonly number[], generated: readonly number[]): void {
    const { vocabulary } = this.#shape;
    const counts = new Uint32Array(vocabulary);
    for (const token of generated) counts[token] = Math.min(counts[token]! + 1, MOST_COUNTED);
    for (const token of prompt) counts[token]! |= PROMPT_BIT;
    this.#gpu.write(this.#makeAdjustments().counts, sequence * vocabulary * 4, counts);
  }

  #writeBias(sequence: number, { logitBias }: RowSampling): void {
    const view = new DataView(new ArrayBuffer(logitBias.length * 8));
    for (const [i, [token, bias]] of logitBias.entries()) {
      view.setUint32(i * 8, token, true);
      view.setFloat32(i * 8 + 4, bias, true);
    }
    this.#gpu.write(this.#makeAdjustments().bias, sequence * MOST_BIASES * 8, new Uint8Array(view.buffer));
  }

  #makeAdjustments(): Adjustments {
    const { rows, sequences, vocabulary } = this.#shape;
    const make = (label: string, words: number) => this.#gpu.buffer(label, words * 4, "scratch");
    this.#adjustments ??= {
      counts: make("token counts", sequences * vocabulary),
      bias: make("logit bias", sequences * MOST_BIASES * 2),
      mask: make("token mask", rows * this.#maskWords),
      scores: make("adjusted logits", rows * vocabulary),
    };
    return this.#adjustments;
  }

  /** ⌈V / 32⌉ */
  get #maskWords(): number {
    return ceilDiv(this.#shape.vocabulary, 32);
  }

  #makeTops(): void {
    this.#tops ??= this.#gpu.buffer("top logits", this.#shape.rows * MOST_TOPS * RESULT_BYTES, "scratch");
  }
}

function contextOf(gpu: Gpu, logits: GPUBuffer, { rows, sequences, vocabulary }: Shape): SampleContext {
  const threads = gpu.profile.sampling;
  const sliceCount = ceilDiv(vocabulary, threads.lanes * threads.steps);
  const make = (label: string, words: number) => gpu.buffer(label, words * 4, "scratch");
  const buffers = {
    logits,
    result: make("sampled", (rows * RESULT_BYTES) / 4),
    tokens: make("last tokens", sequences),
    settings: make("sampling settings", (rows * SETTINGS_BYTES) / 4),
    slices: make("logit slices", rows * sliceCount * 4),
    peaks: make("logit peaks", rows * sliceCount * threads.lanes),
    picks: make("picks", rows),
  };
  return { buffers, vocabulary, sliceCount, threads };
}
