// What a window leaves behind on its way forwards, for the way back, and what both use in passing. T rows, all f32.
import { alignUp } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import type { Layout } from "../kv/layout.ts";
import type { ModelConfig } from "../model/config.ts";
import type { AttentionScratch } from "./attention.ts";

/** Of a later layer. */
export interface KeptLayer {
  /** [T, D] the residual stream as it enters, and after attention */
  enters: GPUBuffer;
  middle: GPUBuffer;
  /** [T, H·E] queries as multiplied (the same buffer where heads have no norm), and rotated */
  rawQuery: GPUBuffer;
  query: GPUBuffer;
  /** [T, H·E] */
  attended: GPUBuffer;
  /** [T, H] */
  sums: GPUBuffer;
  /** [T, 2F] gates and ups in turns of four */
  gateUp: GPUBuffer;
}

/** Of a store. */
export interface KeptStore {
  /** [T, G·E] keys as multiplied (the same buffer where heads have no norm), and rotated */
  rawKeys: GPUBuffer;
  keys: GPUBuffer;
  values: GPUBuffer;
}

export interface Kept {
  /** From layer K on. */
  layers: readonly KeptLayer[];
  stores: readonly KeptStore[];
  /** [T, D] layer K's input over its norm, and that times norm_swiftkv */
  shared: GPUBuffer;
  sharedNormed: GPUBuffer;
  /** [T, D] the residual stream behind the last layer; after the final norm */
  leaves: GPUBuffer;
  normed: GPUBuffer;
  /** [T, D] the teacher's residual stream as it enters the last layer; behind it, after the final norm */
  wantHidden: GPUBuffer;
  wantNormed: GPUBuffer;
  /** [T] what each row counts; the parts of the loss, [2, T] */
  shares: GPUBuffer;
  losses: GPUBuffer;
}

export interface TrainScratch extends AttentionScratch {
  /** [T, D] gradients: of the residual stream, of what a norm gave, of the shared input */
  dHidden: GPUBuffer;
  dNormed: GPUBuffer;
  dShared: GPUBuffer;
  /** [T, D] */
  normed: GPUBuffer;
  /** [T, F] and its gradient */
  activated: GPUBuffer;
  /** [T, 2F] */
  dGateUp: GPUBuffer;
  /** [T, H·E] gradients of attention's output and of queries; those again before the norm of heads */
  dAttended: GPUBuffer;
  dQuery: GPUBuffer;
  dRawQuery: GPUBuffer;
  /** [T, G·E] */
  dKeys: GPUBuffer;
  dValues: GPUBuffer;
  dRawKeys: GPUBuffer;
  /** [D + 1, T] */
  turnedInput: GPUBuffer;
  turnedShared: GPUBuffer;
  /** [largest N + 1, D] */
  turnedWeights: GPUBuffer;
  /** [R, V'] logits of some rows; the student's become their gradient */
  teacherLogits: GPUBuffer;
  studentLogits: GPUBuffer;
}

/** Logits of a row, padded to whole vec4. */
export const logitStride = ({ vocabulary }: ModelConfig): number => alignUp(vocabulary, 4);

/** Bytes of a tile of logits, at most; there are two of them. */
const LOGIT_BYTES = 32 * 2 ** 20;
const TILE_ALIGN = 16;

/** Rows of a tile of logits. */
export function tileRows(config: ModelConfig, rows: number): number {
  const most = Math.floor(LOGIT_BYTES / (4 * logitStride(config)) / TILE_ALIGN) * TILE_ALIGN;
  return Math.min(rows, Math.max(TILE_ALIGN, most));
}

type Make = (label: string, floats: number) => GPUBuffer;
const maker =
  (gpu: Gpu): Make =>
  (label, floats) =>
    gpu.buffer(label, floats * 4, "scratch");

export function keep(gpu: Gpu, config: ModelConfig, layout: Layout, T: number): Kept {
  const make = maker(gpu);
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headWidth: E, headNorm } = config;
  const layer = (_: unknown, i: number): KeptLayer => {
    const name = (what: string) => `layer ${layout.boundary + i} ${what}`;
    const query = make(name("queries"), T * H * E);
    return {
      enters: make(name("input"), T * D),
      middle: make(name("middle"), T * D),
      rawQuery: headNorm ? make(name("raw queries"), T * H * E) : query,
      query,
      attended: make(name("attended"), T * H * E),
      sums: make(name("sums"), T * H),
      gateUp: make(name("gate·up"), T * 2 * F),
    };
  };
  const store = (_: unknown, i: number): KeptStore => {
    const keys = make(`store ${i} keys`, T * G * E);
    const rawKeys = headNorm ? make(`store ${i} raw keys`, T * G * E) : keys;
    return { keys, rawKeys, values: make(`store ${i} values`, T * G * E) };
  };
  return {
    layers: Array.from({ length: config.layers - layout.boundary }, layer),
    stores: Array.from({ length: layout.fills[layout.boundary]!.count }, store),
    shared: make("shared input", T * D),
    sharedNormed: make("shared input normed", T * D),
    leaves: make("output", T * D),
    normed: make("output normed", T * D),
    wantHidden: make("teacher's last input", T * D),
    wantNormed: make("teacher's output normed", T * D),
    shares: make("shares", T),
    losses: make("losses", 2 * T),
  };
}

export function scratchOf(gpu: Gpu, config: ModelConfig, T: number): TrainScratch {
  const make = maker(gpu);
  const { hiddenSize: D, intermediateSize: F, heads: H, kvHeads: G, headWidth: E } = config;
  const tile = tileRows(config, T) * logitStride(config);
  return {
    weights: make("attention weights", T * T),
    scores: make("attention scores", T * T),
    turnedScores: make("attention scores turned", (T + 1) * T),
    turnedKeys: make("keys turned", (G * E + 1) * T),
    turnedQueries: make("queries turned", (H * E + 1) * T),
    turnedGradient: make("attended gradient turned", (H * E + 1) * T),
    deltas: make("deltas", T * H),
    dHidden: make("hidden gradient", T * D),
    dNormed: make("normed gradient", T * D),
    dShared: make("shared gradient", T * D),
    normed: make("normed", T * D),
    activated: make("activated", T * F),
    dGateUp: make("gate·up gradient", T * 2 * F),
    dAttended: make("attended gradient", T * H * E),
    dQuery: make("query gradient", T * H * E),
    dRawQuery: make("raw query gradient", T * H * E),
    dKeys: make("keys gradient", T * G * E),
    dValues: make("values gradient", T * G * E),
    dRawKeys: make("raw keys gradient", T * G * E),
    turnedInput: make("input turned", (D + 1) * T),
    turnedShared: make("shared input turned", (D + 1) * T),
    turnedWeights: make("weights turned", (H * E + 1) * D),
    teacherLogits: make("teacher's logits", tile),
    studentLogits: make("student's logits", tile),
  };
}
