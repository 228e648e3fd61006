// Whether the prompts of a SwiftKV student are streamed past the boundary: blocks hold what enters its layer in place of the
// keys and values of all later stores, which are made store after store at a prompt's end. docs/architecture.md, "Streaming".
import type { KvModel } from "../api.ts";
import { BLOCK_TOKENS } from "./blocks.ts";
import type { WrittenFormat } from "./format.ts";
import type { Layout } from "./layout.ts";
import type { Streaming } from "./streamed.ts";
import type { KvSystem, Retaining } from "./system.ts";

/** A page of it is all that a block keeps of what enters the boundary's layer; as a head's width it takes the model's. */
function inputFormat(bits: 16 | 32): WrittenFormat {
  const words = (width: number) => (bits === 32 ? width : width / 2 + 1); // f16: and the row's length
  return { name: bits === 32 ? "f32" : "f16", bits, words: (width) => BLOCK_TOKENS * words(width) };
}

/** Bytes of a token: of its input, of all later stores, and of one store. */
export function streamedBytes(
  { hiddenSize, kvHeads, headWidth }: KvModel,
  { stores }: Layout,
  written: WrittenFormat,
  { inputs, firstStore }: Streaming,
): Record<"input" | "later" | "one", number> {
  const one = (kvHeads * written.words(headWidth) * 4) / BLOCK_TOKENS;
  return { input: (inputs.words(hiddenSize) * 4) / BLOCK_TOKENS, later: (stores - firstStore) * one, one };
}

/** What a recipe has to do with it. */
interface Parts {
  written: WrittenFormat;
  layout: Layout;
  sealed: KvSystem["sealed"] | null;
  retaining: Retaining | null;
}

/** Null with a reason: prompts could be streamed and are not. Null without one: there is nothing to stream, or no system that could. */
export function streamingOf(
  model: KvModel,
  { written, layout, sealed, retaining }: Parts,
): { streaming: Streaming | null; why: string | null } {
  const { boundary, fills } = layout;
  if (!retaining?.streams || boundary === 0 || boundary >= model.layers) return { streaming: null, why: null };
  const { refusal } = retaining.streams;
  if (refusal !== null) return { streaming: null, why: `not streamed: ${refusal}` };
  if (sealed) return { streaming: null, why: "not streamed: older pages change their format" };
  const streaming = { firstStore: fills[boundary]!.first, inputs: inputFormat(written.bits === 32 ? 32 : 16) };
  const { input, later, one } = streamedBytes(model, layout, written, streaming);
  const parts = `what enters layer ${boundary} takes ${input} bytes a token and a store that passes ${one}, all later stores ${later}`;
  if (input + one >= later) return { streaming: null, why: `not streamed: ${parts}` };
  return { streaming, why: `streamed: ${parts}` };
}
