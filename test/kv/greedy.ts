// The greedy reply of the float64 reference where a cache system decides what queries see.
import { createCache, forward, type ForwardOptions, type HeadView, logSoftmax, type Model } from "../reference.ts";

export interface GreedyReply {
  tokens: number[];
  logprobs: number[];
}

/**
 * `attendHead` stands in for attention. `onStep` is called before each step with the tokens that the engine knows when it
 * plans it: what came before a chunk of the prompt; in decoding one token less than the cache holds, because a step is
 * planned while the one before it runs. `observe` sees what `forward` shows.
 */
export function greedyReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  {
    attendHead,
    onStep = () => {},
    chunk = prompt.length,
    observe = () => {},
  }: {
    attendHead: (head: HeadView) => Float64Array;
    onStep?: (known: number) => void;
    chunk?: number;
    observe?: NonNullable<ForwardOptions["observe"]>;
  },
): GreedyReply {
  const cache = createCache(model);
  let logits: Float64Array = new Float64Array();
  for (let start = 0; start < prompt.length; start += chunk) {
    onStep(start);
    logits = forward(model, prompt.slice(start, start + chunk), cache, { rows: "last", attendHead, observe });
  }
  const [tokens, logprobs]: [number[], number[]] = [[], []];
  for (let i = 0; i < count; i++) {
    const token = logits.indexOf(Math.max(...logits));
    tokens.push(token);
    logprobs.push(logSoftmax(logits)[token]!);
    onStep(Math.max(prompt.length, prompt.length + i - 1));
    logits = forward(model, [token], cache, { rows: "last", attendHead, observe });
  }
  return { tokens, logprobs };
}
