// Whether the prompts of a SwiftKV student are streamed past the boundary: blocks hold what enters its layer in place of the
// keys and values of all later stores, which are made store after store at a prompt's end. docs/architecture.md, "Streaming".
import type { KvModel } from "../api.ts";
import { BLOCK_TOKENS } from "./blocks.ts";
import type { WrittenFormat } from "./format.ts";
import type { Streaming } from "./later.ts";
import type { StreamedParts } from "./system.ts";

/** A page of it is all that a block keeps of what enters the boundary's layer; as a head's width it takes the model's. */
function inputFormat(bits: 16 | 32): WrittenFormat {
  const words = (width: number) => (bits === 32 ? width : width / 2 + 1); // f16: and the row's length
  return { name: bits === 32 ? "f32" : "f16", bits, words: (width) => BLOCK_TOKENS * words(width) };
}

function bytesOf(
  { hiddenSize, kvHeads, headWidth }: KvModel,
  { layout: { stores }, written }: StreamedParts,
  { inputs, firstStore }: Omit<Streaming, "bytes">,
): Streaming["bytes"] {
  const one = (kvHeads * written.words(headWidth) * 4) / BLOCK_TOKENS;
  return { input: (inputs.words(hiddenSize) * 4) / BLOCK_TOKENS, later: (stores - firstStore) * one, one };
}

/** `refusal`: what is against it in the system itself. Null with a reason: prompts could be streamed and are not; without one: there is nothing to stream. */
export function streamingOf(
  model: KvModel,
  parts: StreamedParts,
  refusal: string | null,
): { streaming: Streaming | null; why: string | null } {
  const { written, layout, sealed } = parts;
  const { boundary, fills } = layout;
  if (boundary === 0 || boundary >= model.layers) return { streaming: null, why: null };
  if (refusal !== null) return { streaming: null, why: `not streamed: ${refusal}` };
  if (sealed) return { streaming: null, why: "not streamed: older pages change their format" };
  const how = { firstStore: fills[boundary]!.first, inputs: inputFormat(written.bits === 32 ? 32 : 16) };
  const bytes = bytesOf(model, parts, how);
  const text = `what enters layer ${boundary} takes ${bytes.input} bytes a token and a store that passes ${bytes.one}, all later stores ${bytes.later}`;
  if (bytes.input + bytes.one >= bytes.later) return { streaming: null, why: `not streamed: ${text}` };
  return { streaming: { ...how, bytes }, why: `streamed: ${text}` };
}
