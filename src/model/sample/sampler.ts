// From logits to a token, on the GPU: 8 bytes per row leave it. Only what a step's settings ask for is dispatched.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { packFields } from "../../gpu/kernel.ts";
import { structs } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, Program } from "../../gpu/program.ts";
import { adjusted, type Arrival, type LogitRow, penalised, type RowSampling } from "../model.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type Adjustments, type SampleContext, samplingDispatches } from "./dispatches.ts";

/** One row's settings, as shaders/lib/settings.wgsl declares them. */
const { size: SETTINGS_BYTES, fields: SETTINGS } = structs.Settings;
const MOST_BIASES = 64;
const NO_TOKEN = 0xffffffff;
const RESULT_BYTES = 8;

/** What a step's rows need beyond greedy: decides which program runs. */
interface Needs {
  adjust: boolean;
  filter: boolean;
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
  /** Made when the first request with a penalty or bias comes: 4·V bytes per sequence and per row. */
  #adjustments: Adjustments | null = null;

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

  /** Bytes of `result` that a step with this many rows fills. */
  resultBytes(rows: number): number {
    return rows * RESULT_BYTES;
  }

  /** Settings of the coming step, and the program that samples under them. */
  async prepare(rows: readonly LogitRow[]): Promise<Program<Sizes>> {
    const needs = {
      adjust: rows.some(({ sampling, forced }) => forced === null && adjusted(sampling)),
      filter: rows.some(({ sampling, forced }) => forced === null && filtered(sampling)),
    };
    if (needs.adjust) this.#makeAdjustments();
    for (const [i, row] of rows.entries()) this.#stage(i, row);
    const staged = new Uint8Array(this.#staged.buffer, 0, rows.length * SETTINGS_BYTES);
    this.#gpu.write(this.#context.buffers.settings, 0, staged);
    return await this.#program(needs);
  }

  /** Compiles greedy sampling, which every model starts with. */
  async compile(): Promise<void> {
    await this.#program({ adjust: false, filter: false });
  }

  /** Sampling of every kind. */
  async compileAll(): Promise<void> {
    this.#makeAdjustments();
    for (const adjust of [false, true]) for (const filter of [false, true]) await this.#program({ adjust, filter });
  }

  #program(needs: Needs): Promise<Program<Sizes>> {
    const key = JSON.stringify(needs);
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = Program.build(this.#gpu, "sample", this.#dispatches(needs))));
    return program;
  }

  #dispatches({ adjust, filter }: Needs): AnyDispatch<Sizes>[] {
    return samplingDispatches(this.#context, adjust ? this.#adjustments : null, filter);
  }

  #stage(index: number, { sequence, sampling, counter, forced }: LogitRow): void {
    const { logitBias, ...settings } = sampling;
    const values = {
      ...settings,
      sequence,
      counter,
      biasCount: logitBias.length,
      forced: forced ?? NO_TOKEN,
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
      scores: make("adjusted logits", rows * vocabulary),
    };
    return this.#adjustments;
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
