// What a decoded token costs after prompts of several lengths, dense and with other recipes, in turns: for speed only. Nothing is read
// as a prompt: the cache is filled with noise, and a prompt's end is run over it. Runs in a page, and in Node (speed.ts).
import { type DeviceSource, Gpu } from "../../../src/gpu/device.ts";
import { blocksFor } from "../../../src/kv/blocks.ts";
import { PagePool } from "../../../src/kv/pages.ts";
import { type Batch, GREEDY } from "../../../src/model/model.ts";
import type { Transformer } from "../../../src/model/transformer.ts";
import { random } from "../../kernels/spec.ts";
import { loadWeights, running } from "./open.ts";

export interface Measured {
  recipe: string;
  tokens: number;
  /** Milliseconds of each decoded token: of another query each time, and of the same (what it wants is there). */
  changing: number[];
  same: number[];
  /** Of the step that ends the prompt, with 32 rows. */
  end: number;
  /** Of reading the prompt: that many times the chunk in its middle. */
  prefill: number;
}

export interface Setting {
  recipes: readonly string[];
  lengths: readonly number[];
  rounds: number;
  /** Weights of systems that have some. */
  trained?: readonly File[];
  device?: DeviceSource;
}

/** Rows of the step that ends a prompt. */
const END_ROWS = 32;
const CHUNK_ROWS = 512;

/** `clock`: milliseconds that work took. */
export async function measure(
  model: File,
  { recipes, lengths, rounds, trained = [], device }: Setting,
  say: (text: string) => void,
  clock = timed,
) {
  const gpu = await Gpu.open(device);
  const loaded = await loadWeights(gpu, [model]);
  const context = Math.max(...lengths) + 64;
  const models: { recipe: string; transformer: Transformer }[] = [];
  for (const recipe of recipes) {
    const transformer = await running(gpu, loaded, {
      kv: recipe,
      context,
      chunk: CHUNK_ROWS,
      reserve: context,
      tune: "auto",
      trained: [...trained],
    });
    fillWithNoise(gpu, transformer);
    models.push({ recipe, transformer });
    say(`${recipe} is ready`);
  }
  const results: Measured[] = [];
  for (const tokens of lengths) {
    const rows = models.map(({ recipe, transformer }) => ({ recipe, transformer, changing: [] as number[], same: [] as number[], end: 0, prefill: 0 })); // prettier-ignore
    for (const row of rows) {
      row.prefill = await readPrompt(row.transformer, tokens, clock);
      row.end = await endPrompt(row.transformer, tokens, clock);
    }
    for (let round = 0; round < rounds; round++) {
      for (const { transformer, changing, same } of rows) {
        const token = 7919 * (round + 1);
        changing.push(await clock(() => decode(transformer, tokens, token)));
        same.push(await clock(() => decode(transformer, tokens, token)));
      }
    }
    for (const { recipe, changing, same, end, prefill } of rows) {
      results.push({ recipe, tokens, changing, same, end, prefill });
      say(JSON.stringify(results.at(-1)));
    }
  }
  return { adapter: gpu.adapter.name, results };
}

/** Numbers of f16 in ±1 in the pages of all blocks. */
function fillWithNoise(gpu: Gpu, { context: { cache } }: Transformer): void {
  const uniform = random(1);
  const words = Uint32Array.from({ length: 2 ** 18 }, () => Math.floor(uniform() * 2 ** 32) & 0xbbffbbff);
  for (const { buffers } of cache.writtenArenasOf(0)) {
    for (const buffer of buffers) {
      for (let at = 0; at < buffer.size; at += words.byteLength)
        gpu.write(buffer, at, words.subarray(0, Math.min(words.length, (buffer.size - at) / 4)));
    }
  }
}

const page = (_: unknown, index: number) => ({ index, block: index });
const rowAt = (index: number, token: number) => ({ token, position: index, cacheIndex: index, sequence: 0 });

const step = (parts: Partial<Batch> & Pick<Batch, "rows" | "decodeRows">): Batch => ({
  logitRows: [{ row: parts.rows.length - 1, sequence: 0, sampling: GREEDY, counter: 0, forced: null }],
  lists: [],
  moves: [],
  promptEnd: null,
  retiring: null,
  standing: [],
  arrivals: [],
  ...parts,
});

/** Reading a prompt of `tokens` tokens, from its middle chunk; the first time compiles. */
async function readPrompt(transformer: Transformer, tokens: number, clock: typeof timed): Promise<number> {
  const count = Math.min(CHUNK_ROWS, tokens);
  const begin = Math.floor((tokens - count) / 2);
  const pages = Array.from({ length: blocksFor(tokens) }, page);
  const rows = Array.from({ length: count }, (_, i) => rowAt(begin + i, i));
  const lists = [{ sequence: 0, enters: true, pages, kept: null }];
  const chunk = step({ rows, decodeRows: 0, lists });
  const run = async () => void (await (await transformer.submit(chunk)).read());
  await run();
  return (await clock(run)) * (tokens / count);
}

/** The last rows of a prompt of `tokens` tokens, twice: the first time compiles. */
async function endPrompt(transformer: Transformer, tokens: number, clock: typeof timed): Promise<number> {
  const { cache } = transformer;
  const retention = cache.retain(tokens);
  const pool = cache.privatePages && new PagePool(cache.privatePages);
  const kept = retention && {
    ...retention,
    region: 0,
    standing: 0,
    pages: pool!.take(retention.tokens.map(blocksFor)),
  };
  const rows = Array.from({ length: END_ROWS }, (_, i) => rowAt(tokens - END_ROWS + i, i));
  const pages = Array.from({ length: blocksFor(tokens + 32) }, page);
  const end = step({
    rows,
    decodeRows: 0,
    lists: [{ sequence: 0, enters: true, pages, kept: null }],
    promptEnd: kept && { sequence: 0, tokens, rows: END_ROWS, kept },
  });
  const run = async () => void (await (await transformer.submit(end)).read());
  await run();
  const took = await clock(run);
  const after = step({ rows: [rowAt(tokens, 1)], decodeRows: 1, lists: [{ sequence: 0, enters: false, pages: [], kept }] }); // prettier-ignore
  await (await transformer.submit(after)).read();
  return took;
}

const decode = async (transformer: Transformer, tokens: number, token: number) =>
  void (await (await transformer.submit(step({ rows: [rowAt(tokens, token % 49152)], decodeRows: 1 }))).read());

async function timed(work: () => Promise<void>): Promise<number> {
  const began = performance.now();
  await work();
  return performance.now() - began;
}
