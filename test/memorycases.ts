// Tests of memory that the quick run takes in part and the full run whole.
import { expect } from "playwright/test";
import type { LoadOptions, WeightFormat } from "../src/index.ts";
import { makeCheckpoint, makeTensors, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { source } from "./golden/serve.ts";
import type { Call } from "./page.ts";

export const small = { context: 256, reserve: 64, chunk: 16, sequences: 2 } as const;

/** Matrices of 8 MiB in f32: embedding, head, gate and up. */
const WIDE = {
  architectures: ["LlamaForCausalLM"],
  model_type: "llama",
  hidden_size: 512,
  intermediate_size: 2048,
  num_hidden_layers: 1,
  num_attention_heads: 4,
  num_key_value_heads: 1,
  head_dim: 64,
  vocab_size: 4096,
  max_position_embeddings: 256,
  rms_norm_eps: 1e-5,
  rope_theta: 10000,
  tie_word_embeddings: false,
  hidden_act: "silu",
};

/** The files of a golden checkpoint, or of "wide". */
export function memoryFiles(name: string): Map<string, Uint8Array<ArrayBuffer>> {
  if (name === "wide") return toFiles({ config: WIDE, tensors: makeTensors(WIDE, 5) }, "F32");
  return toFiles(makeCheckpoint(name), readGolden(name).dtype);
}

/** Loads allocate what was planned for them. */
export async function expectPlanned(
  call: Call,
  cases: readonly [what: string, model: string, options: LoadOptions][],
): Promise<void> {
  for (const [what, model, options] of cases) {
    const { plan, made, loaded, peakBytes, engine } = await call("planned", source(model), { ...small, ...options });
    expect(made, `${what}: planning allocates nothing`).toBe(0);
    expect(loaded, what).toEqual(plan.loaded);
    expect(engine, what).toEqual({ kv: plan.kv, context: plan.context });
    expect(peakBytes, what).toBeLessThanOrEqual(plan.peakBytes);
  }
}

/** On a device that binds 1.25 MiB at once, tokens, log-probabilities and scores are the same to the bit. */
export async function expectSameSplit(call: Call, weights: WeightFormat): Promise<void> {
  const tokens = Array.from({ length: 12 }, (_, i) => (i * 341) % 4096);
  const options = { weights, context: 64, chunk: 16, sequences: 1 };
  const whole = await call("bounded", source("wide"), options, 2 ** 27, tokens);
  const split = await call("bounded", source("wide"), options, 1.25 * 2 ** 20, tokens);
  expect(split.pieces).toBeGreaterThan(whole.pieces + 2);
  expect({ ...split, pieces: 0 }).toEqual({ ...whole, pieces: 0 });
}

const ENDS = {
  throws: /^RangeError: the allocation was told to fail/,
  refuses: /^Error: GPU: validation failed/,
  lacks: /^UnsupportedError: GPU memory: .*the memory was told to be full/,
};

/** Every `step`-th allocation of a load fails in one of three ways. */
export async function expectNothingLeft(call: Call, step: number): Promise<void> {
  const { allocations, outcomes, stray } = await call("failingAllocations", source("llama3"), small, step);
  expect(allocations).toBeGreaterThan(40);
  expect(outcomes.length).toBe(Math.ceil(allocations / step));
  for (const { kind, outcome, left } of outcomes) {
    expect(outcome).toMatch(ENDS[kind]);
    expect(left, `${kind}: ${outcome}`).toBe(0);
  }
  expect(stray).toEqual([]);
}
