// What a request must be, whatever the model says to it.
import { InputError } from "../errors.ts";
import type { Request } from "./sequence.ts";

export type Asked = Pick<Request, "prompt" | "pictures" | "maxTokens" | "forced" | "begun">;

/** Throws InputError where the request cannot succeed in `context` tokens of so many ids, with `repeatRows` for repeating its prompt. */
export function checkRequest(
  { prompt, pictures = [], maxTokens, forced = [], begun = [] }: Asked,
  { context, vocabulary, repeatRows = 0 }: Record<"context" | "vocabulary", number> & { repeatRows?: number },
): void {
  if (prompt.length === 0)
    throw new InputError("prompt: got no tokens, want at least 1. Give a text or a message.", { code: "bad-prompt" });
  if (prompt.length >= context) {
    throw new InputError(
      `prompt: got ${prompt.length} tokens, want at most ${context - 1} (context ${context}, one token to generate). Shorten it or load the model with a larger context.`,
      { code: "context-too-small" },
    );
  }
  if (maxTokens > 1 && prompt.length + repeatRows > context) {
    throw new InputError(
      `prompt: got ${prompt.length} tokens, want at most ${context - repeatRows} (context ${context}, ${repeatRows} tokens to repeat the prompt in). Shorten it or load the model with a larger context.`,
      { code: "context-too-small" },
    );
  }
  if (!Number.isInteger(maxTokens) || maxTokens < 1) {
    throw new InputError(`maxTokens: got ${maxTokens}, want a whole number of at least 1.`);
  }
  const after = begun.length > 0 ? begun.length + 1 : forced.length; // at least one more is to come
  if (prompt.length + after > context) {
    throw new InputError(
      `continuation: got ${after} tokens after ${prompt.length}, want at most ${context} together (the context). Shorten one or load the model with a larger context.`,
      { code: "context-too-small" },
    );
  }
  // rows of pictures were given their numbers by the chat room
  checkIds("prompt", pictures.length > 0 ? prompt.filter((token) => !(token >= vocabulary)) : prompt, vocabulary);
  checkIds("continuation", forced, vocabulary);
}

function checkIds(name: string, tokens: readonly number[], vocabulary: number): void {
  const bad = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
  if (bad !== undefined)
    throw new InputError(`${name}: got token id ${bad}, want a whole number from 0 to ${vocabulary - 1}.`, {
      code: "bad-prompt",
    });
}
