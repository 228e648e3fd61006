// In the page: this engine and transformers.js read and write the same tokens with the same weights on the same adapter, in turn.
import { runOnce, spread, syntheticTokens } from "../../demo/bench/measure.ts";
import { convert, type Engine, load } from "../../src/index.ts";
import { randomModel } from "../shapes/file.ts";
import { shapeNamed } from "../shapes/shapes.ts";

export interface PeerOptions {
  shape: string;
  lengths: readonly number[];
  runs: number;
  /** Tokens that each writes; the peer's take seconds on a software adapter. */
  ownTokens: number;
  peerTokens: number;
}

/** Medians: milliseconds to the first token and for each further one. */
interface Times {
  prefillMs: number;
  tokenMs: number;
}

export interface PeerResult {
  adapter: string;
  library: string;
  rows: { tokens: number; dense: Times; student: Times; peer: Times }[];
  /** Greedy tokens of both after a short prompt. */
  tokens: { own: number[]; peer: number[] };
}

// What is used of transformers.js; its own types come with the package, which is not part of this repository.
interface Generating {
  generate(options: Record<string, unknown>): Promise<{ data: BigInt64Array; dims: number[] }>;
}
interface Library {
  env: {
    version: string;
    allowRemoteModels: boolean;
    allowLocalModels: boolean;
    localModelPath: string;
    useBrowserCache: boolean;
    backends: { onnx: { wasm: { wasmPaths: string } } };
  };
  AutoModelForCausalLM: { from_pretrained(name: string, options: Record<string, unknown>): Promise<Generating> };
  Tensor: new (type: string, data: BigInt64Array, dims: readonly number[]) => unknown;
}

class Peer {
  readonly version: string;
  readonly #library: Library;
  readonly #model: Generating;

  private constructor(library: Library, model: Generating) {
    this.version = `transformers.js ${library.env.version}`;
    this.#library = library;
    this.#model = model;
  }

  static async open(): Promise<Peer> {
    const address = "/lib/transformers.min.js"; // of the packages that the command installed
    const library = (await import(/* @vite-ignore */ address)) as Library;
    const { env, AutoModelForCausalLM } = library;
    Object.assign(env, { allowRemoteModels: false, allowLocalModels: true, localModelPath: "/models/" });
    env.useBrowserCache = false;
    env.backends.onnx.wasm.wasmPaths = "/ort/";
    return new Peer(library, await AutoModelForCausalLM.from_pretrained("random", { device: "webgpu", dtype: "q4" }));
  }

  /** When each token came, counted from the call, and which they were. */
  async write(prompt: readonly number[], count: number): Promise<{ times: number[]; tokens: number[] }> {
    const dims = [1, prompt.length];
    const { Tensor } = this.#library;
    const times: number[] = [];
    const began = performance.now();
    const streamer = { put: () => times.push(performance.now() - began), end: () => {} };
    const output = await this.#model.generate({
      input_ids: new Tensor("int64", BigInt64Array.from(prompt, BigInt), dims),
      attention_mask: new Tensor("int64", new BigInt64Array(prompt.length).fill(1n), dims),
      max_new_tokens: count,
      do_sample: false,
      streamer,
    });
    // The streamer is given the prompt first.
    return { times: times.slice(1), tokens: [...output.data].slice(prompt.length).map(Number) };
  }
}

const median = (values: readonly number[]): number => spread(values).median;

/** Times of one run; the second number is 0 for a single token. */
const timesOf = (times: readonly number[]): Times => ({
  prefillMs: times[0]!,
  tokenMs: (times.at(-1)! - times[0]!) / Math.max(1, times.length - 1),
});

async function own(engine: Engine, tokens: number[], newTokens: number): Promise<Times> {
  const { prefillMs, decodeMs } = await runOnce(engine, tokens, { newTokens });
  return { prefillMs, tokenMs: decodeMs / (newTokens - 1) };
}

const medians = (all: readonly Times[]): Times => ({
  prefillMs: median(all.map(({ prefillMs }) => prefillMs)),
  tokenMs: median(all.map(({ tokenMs }) => tokenMs)),
});

async function greedy(engine: Engine, prompt: number[], count: number): Promise<number[]> {
  const options = { maxTokens: count, ignoreEnd: true, temperature: 0 };
  return (await engine.session().generate({ tokens: prompt }, options).result).tokens;
}

export async function comparePeers(
  { shape, lengths, runs, ownTokens, peerTokens }: PeerOptions,
  report: (text: string) => void,
): Promise<PeerResult> {
  const model = shapeNamed(shape)!;
  const context = Math.max(...lengths) + ownTokens;
  report("loading here");
  const dense = await load([randomModel(model)], { kv: "f32", context }); // as the peer keeps them
  const student = await convert(dense, { layers: Math.ceil(model.layers / 2), group: 1 });
  report("loading there");
  const peer = await Peer.open();
  const prompt = (length: number, seed: number) => syntheticTokens(length, model.vocabulary, seed);
  report("a short prompt, for both to compile");
  const short = prompt(16, 1);
  const tokens = { own: await greedy(dense, short, 2), peer: (await peer.write(short, 2)).tokens };
  await greedy(student, short, 2);
  const rows: PeerResult["rows"] = [];
  for (const length of lengths) {
    const all: Record<"dense" | "student" | "peer", Times[]> = { dense: [], student: [], peer: [] };
    for (let run = 1; run <= runs; run++) {
      report(`${length} tokens, run ${run} of ${runs}`);
      const given = prompt(length, 100 * run + length);
      all.dense.push(await own(dense, given, ownTokens));
      all.peer.push(timesOf((await peer.write(given, peerTokens)).times));
      all.student.push(await own(student, given, ownTokens));
    }
    rows.push({ tokens: length, dense: medians(all.dense), student: medians(all.student), peer: medians(all.peer) });
  }
  return { adapter: dense.stats().adapter.name, library: peer.version, rows, tokens };
}

Object.assign(globalThis, { comparePeers });
