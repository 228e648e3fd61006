// Long replies and many short ones with ShadowKV on a toy model, and what is in the buffers afterwards. Runs in a page.
import type { LoadOptions } from "../../../src/api.ts";
import { TokenEngine } from "../../../src/engine/engine.ts";
import type { Request } from "../../../src/engine/sequence.ts";
import { Gpu } from "../../../src/gpu/device.ts";
import { knownState } from "../../../src/kv/systems/shadow/state.ts";
import { GREEDY } from "../../../src/model/model.ts";
import type { Transformer } from "../../../src/model/transformer.ts";
import { random } from "../../kernels/spec.ts";
import { loadWeights, readBuffer, running } from "./open.ts";

type Options = Pick<LoadOptions, "kv" | "context" | "chunk" | "reserve" | "sequences">;

async function open(address: string, options: Options) {
  const gpu = await Gpu.open();
  const loaded = await loadWeights(gpu, new URL(address, location.href).href);
  const transformer = await running(gpu, loaded, options);
  return { gpu, loaded, transformer, engine: new TokenEngine(transformer) };
}

const request = (prompt: readonly number[], maxTokens: number, more: Partial<Request> = {}): Request => ({
  prompt,
  maxTokens,
  endTokens: new Set(),
  sampling: GREEDY,
  ...more,
});

export interface Endless {
  tokens: number[];
  logprobs: number[];
  /** Most blocks that the reply held once it was long. */
  blocks: number;
  kvBytes: number;
  /** Of store 0, words: factors [tokens, rank/2], map [rank + 1, G·E] f32, values [G, tokens, E/2], landmarks [G, E/2, chunks]. */
  state: {
    factors: number[];
    map: number[];
    values: number[];
    landmarks: number[];
    tokens: number;
    chunks: number;
  } | null;
}

export async function endless(
  { address, options, prompt, count, forced }: { address: string; options: Options; prompt: number[]; count: number; forced: number[] | null }, // prettier-ignore
  say: (text: string) => void,
): Promise<Endless> {
  const { gpu, transformer, engine } = await open(address, options);
  const all = engine.freeBlocks;
  const [tokens, logprobs]: [number[], number[]] = [[], []];
  let blocks = 0;
  for await (const { token, logprob } of engine.generate(request(prompt, count, forced ? { forced } : {}))) {
    tokens.push(token);
    logprobs.push(logprob);
    if (tokens.length % 500 === 0) say(`${tokens.length} tokens`);
    if (tokens.length > count / 2) blocks = Math.max(blocks, all - engine.freeBlocks);
  }
  if (engine.freeBlocks !== all || engine.takenRegions > 0) throw new Error("something is still held");
  const state = await stateOf(gpu, transformer);
  const { kv: kvBytes } = gpu.bytes;
  gpu.dispose();
  return { tokens, logprobs, blocks, kvBytes, state };
}

async function stateOf(gpu: Gpu, { context: { cache } }: Transformer): Promise<Endless["state"]> {
  const known = knownState(cache);
  if (!known) return null;
  const { factors, up, values, landmarks } = known.stores[0]!;
  const map = [...new Float32Array(await readBuffer(gpu, up))];
  const words = async ({ buffer }: { buffer: GPUBuffer }) => [...new Uint32Array(await readBuffer(gpu, buffer))];
  return {
    factors: await words(factors),
    map,
    values: await words(values!),
    landmarks: await words(landmarks),
    tokens: values!.room,
    chunks: landmarks.room,
  };
}

export interface Wandering {
  /** Replies that ended, and those that were aborted, continued a conversation, or branched off in the middle of one. */
  counts: Record<"ended" | "aborted" | "followed" | "branched" | "reused", number>;
  /** Replies that an engine which never branched gives otherwise. */
  differing: { prompt: number; got: number[]; want: number[] }[];
}

/** Random requests, up to three at once, for follow-ups, branches and aborts; after each round nothing may be held. */
export async function wander(
  { address, options, vocabulary, requests }: { address: string; options: Options; vocabulary: number; requests: number }, // prettier-ignore
  say: (text: string) => void,
): Promise<Wandering> {
  const one = await open(address, options);
  const other = new TokenEngine(await running(one.gpu, one.loaded, options)); // when old pages go depends on `sequences`
  const { engine } = one;
  const idle = () => [engine.freeBlocks, engine.freePages, engine.takenRegions, engine.takenLater];
  const atFirst = String(idle());
  const uniform = random(7);
  const below = (most: number) => Math.floor(uniform() * most);
  const words = (count: number) => Array.from({ length: count }, () => below(vocabulary));
  const texts: number[][] = [words(150)];
  const counts: Wandering["counts"] = { ended: 0, aborted: 0, followed: 0, branched: 0, reused: 0 };
  const differing: Wandering["differing"] = [];
  const next = (): number[] => {
    const text = texts[below(texts.length)]!;
    const kind = below(5);
    if (kind === 0) return words(100 + below(150));
    counts[kind < 3 ? "followed" : "branched"]++;
    const begun = kind < 3 ? text : text.slice(0, 40 + below(text.length - 40));
    return [...begun, ...words(5 + below(40))].slice(0, 420);
  };
  const reply = async (prompt: number[]) => {
    const abortAfter = below(3) === 0 ? below(8) : Infinity;
    const run = engine.generate(request(prompt, 4 + below(10)));
    const got: number[] = [];
    for await (const { token } of run) {
      got.push(token);
      if (got.length > abortAfter) run.abort();
    }
    counts.reused += run.reusedTokens > 0 ? 1 : 0;
    counts[run.finish === "abort" ? "aborted" : "ended"]++;
    return { prompt, got };
  };
  for (let done = 0; done < requests;) {
    const round = Array.from({ length: 1 + below(3) }, next);
    const replies = await Promise.all(round.map(reply));
    if (String(idle()) !== atFirst)
      throw new Error(`after ${done} requests ${String(idle())} are free, not ${atFirst}`);
    for (const { prompt, got } of replies) {
      const want: number[] = [];
      for await (const { token } of other.generate(request(prompt, got.length, { reuse: false }))) want.push(token);
      if (String(want) !== String(got)) differing.push({ prompt: prompt.length, got, want });
      texts.push([...prompt, ...got]);
    }
    texts.splice(0, Math.max(0, texts.length - 12));
    done += round.length;
    say(`${done} requests, ${differing.length} differ`);
  }
  one.gpu.dispose();
  return { counts, differing };
}
