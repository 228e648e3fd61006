// From logits to a token, on the GPU: 8 bytes per row leave it. Only what a step's settings ask for is dispatched.
import { ceilDiv } from "../../errors.ts";
import type { Gpu } from "../../gpu/device.ts";
import { packFields } from "../../gpu/kernel.ts";
import {
  logit_adjust,
  logit_count,
  sample_filter,
  sample_merge,
  sample_slices,
  structs,
} from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch, Program } from "../../gpu/program.ts";
import { adjusted, type Arrival, type LogitRow, penalised, type RowSampling } from "../model.ts";
import type { Sizes } from "../ops/sizes.ts";

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

/** What penalties and biases need. */
interface Extra {
  /** [sequences, V] u32: occurrences in the reply; bit 31: occurs in the prompt */
  counts: GPUBuffer;
  /** [sequences, 64] (token, f32 bits) */
  bias: GPUBuffer;
  /** [rows, V]: logits after penalties and bias */
  scores: GPUBuffer;
}

/** Bit of a count that says: occurs in the prompt. Below it, 16 bits of occurrences in the reply. */
const PROMPT_BIT = 0x80000000;
const MOST_COUNTED = 0xffff;

export class Sampler {
  /** [rows] (token, f32 bits of its log-probability) */
  readonly result: GPUBuffer;
  /** [sequences] u32: the token each sequence sampled last, which the next step embeds. */
  readonly tokens: GPUBuffer;
  readonly #gpu: Gpu;
  readonly #shape: Shape;
  readonly #threads: Gpu["profile"]["sampling"];
  /** Workgroups that share a row of logits. */
  readonly #sliceCount: number;
  readonly #logits: GPUBuffer;
  readonly #settings: GPUBuffer;
  readonly #slices: GPUBuffer;
  readonly #peaks: GPUBuffer;
  readonly #picks: GPUBuffer;
  readonly #staged: DataView<ArrayBuffer>;
  readonly #programs = new Map<string, Promise<Program<Sizes>>>();
  /** Made when the first request with a penalty or bias comes: 4·V bytes per sequence and per row. */
  #extra: Extra | null = null;

  constructor(gpu: Gpu, logits: GPUBuffer, shape: Shape) {
    const { rows, sequences, vocabulary } = shape;
    this.#gpu = gpu;
    this.#shape = shape;
    this.#logits = logits;
    this.#threads = gpu.profile.sampling;
    this.#sliceCount = ceilDiv(vocabulary, this.#threads.lanes * this.#threads.steps);
    const make = (label: string, words: number) => gpu.buffer(label, words * 4, "scratch");
    this.result = make("sampled", (rows * RESULT_BYTES) / 4);
    this.tokens = make("last tokens", sequences);
    this.#settings = make("sampling settings", (rows * SETTINGS_BYTES) / 4);
    this.#slices = make("logit slices", rows * this.#sliceCount * 4);
    this.#peaks = make("logit peaks", rows * this.#sliceCount * this.#threads.lanes);
    this.#picks = make("picks", rows);
    this.#staged = new DataView(new ArrayBuffer(rows * SETTINGS_BYTES));
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
    if (needs.adjust) this.#makeExtra();
    for (const [i, row] of rows.entries()) this.#stage(i, row);
    this.#gpu.write(this.#settings, 0, new Uint8Array(this.#staged.buffer, 0, rows.length * SETTINGS_BYTES));
    return await this.#program(needs);
  }

  /** Compiles greedy sampling, which every model starts with. */
  async compile(): Promise<void> {
    await this.#program({ adjust: false, filter: false });
  }

  #program(needs: Needs): Promise<Program<Sizes>> {
    const key = JSON.stringify(needs);
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = this.#build(needs)));
    return program;
  }

  #stage(index: number, { sequence, sampling, counter, forced }: LogitRow): void {
    const { logitBias, ...settings } = sampling;
    const values = {
      ...settings,
      slot: sequence,
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
    this.#gpu.write(this.#makeExtra().counts, sequence * vocabulary * 4, counts);
  }

  #writeBias(sequence: number, { logitBias }: RowSampling): void {
    const view = new DataView(new ArrayBuffer(logitBias.length * 8));
    for (const [i, [token, bias]] of logitBias.entries()) {
      view.setUint32(i * 8, token, true);
      view.setFloat32(i * 8 + 4, bias, true);
    }
    this.#gpu.write(this.#makeExtra().bias, sequence * MOST_BIASES * 8, new Uint8Array(view.buffer));
  }

  #makeExtra(): Extra {
    const { rows, sequences, vocabulary } = this.#shape;
    const make = (label: string, words: number) => this.#gpu.buffer(label, words * 4, "scratch");
    this.#extra ??= {
      counts: make("token counts", sequences * vocabulary),
      bias: make("logit bias", sequences * MOST_BIASES * 2),
      scores: make("adjusted logits", rows * vocabulary),
    };
    return this.#extra;
  }

  #build({ adjust, filter }: Needs): Promise<Program<Sizes>> {
    const dispatches: AnyDispatch<Sizes>[] = [];
    const scores = adjust ? this.#extra!.scores : this.#logits;
    if (adjust) dispatches.push(this.#adjust());
    dispatches.push(this.#slice(scores));
    if (filter) dispatches.push(this.#filter(scores));
    dispatches.push(this.#merge());
    if (adjust) dispatches.push(this.#count());
    return Program.build(this.#gpu, "sample", dispatches);
  }

  #adjust(): AnyDispatch<Sizes> {
    const { vocabulary } = this.#shape;
    const { counts, bias, scores } = this.#extra!;
    return dispatch({
      kernel: logit_adjust,
      constants: { WG: 64, STEPS: 16 },
      label: "adjust logits",
      buffers: { logits: this.#logits, counts, bias, settings: this.#settings, scores },
      params: () => ({ vocabulary }),
      grid: (s: Sizes) => [ceilDiv(vocabulary, 64 * 16), s.logitCount, 1],
      bytes: (s) => 12 * s.logitCount * vocabulary,
      flops: (s) => 4 * s.logitCount * vocabulary,
    });
  }

  #slice(scores: GPUBuffer): AnyDispatch<Sizes> {
    const { vocabulary } = this.#shape;
    return dispatch({
      kernel: sample_slices,
      constants: { LANES: this.#threads.lanes, STEPS: this.#threads.steps },
      label: "sample slices",
      buffers: { logits: this.#logits, scores, settings: this.#settings, slices: this.#slices, peaks: this.#peaks },
      params: () => ({ vocabulary }),
      grid: (s: Sizes) => [this.#sliceCount, s.logitCount, 1],
      bytes: (s) => 4 * s.logitCount * vocabulary,
      flops: (s) => 8 * s.logitCount * vocabulary,
    });
  }

  #filter(scores: GPUBuffer): AnyDispatch<Sizes> {
    const { vocabulary } = this.#shape;
    return dispatch({
      kernel: sample_filter,
      constants: {
        WG: this.#threads.filterThreads,
        LANES: this.#threads.lanes,
        STEPS: this.#threads.steps,
      },
      label: "filter",
      buffers: { scores, settings: this.#settings, peaks: this.#peaks, picks: this.#picks },
      params: () => ({ vocabulary }),
      grid: (s: Sizes) => [s.logitCount, 1, 1],
      bytes: (s) => 4 * s.logitCount * vocabulary,
      flops: (s) => 12 * s.logitCount * vocabulary,
    });
  }

  #merge(): AnyDispatch<Sizes> {
    const { vocabulary } = this.#shape;
    const sliceCount = this.#sliceCount;
    const { result, tokens } = this;
    return dispatch({
      kernel: sample_merge,
      constants: { WG: this.#threads.mergeThreads },
      label: "sample",
      buffers: {
        logits: this.#logits,
        settings: this.#settings,
        slices: this.#slices,
        picks: this.#picks,
        result,
        tokens,
      },
      params: () => ({ vocabulary, sliceCount }),
      grid: (s: Sizes) => [s.logitCount, 1, 1],
      bytes: (s) => 16 * s.logitCount * sliceCount,
      flops: (s) => 8 * s.logitCount * sliceCount,
    });
  }

  #count(): AnyDispatch<Sizes> {
    const { vocabulary } = this.#shape;
    return dispatch({
      kernel: logit_count,
      constants: { WG: 64 },
      label: "count token",
      buffers: { settings: this.#settings, tokens: this.tokens, counts: this.#extra!.counts },
      params: (s: Sizes) => ({ rows: s.logitCount, vocabulary }),
      grid: (s) => [ceilDiv(s.logitCount, 64), 1, 1],
      bytes: (s) => 60 * s.logitCount,
      flops: () => 0,
    });
  }
}
