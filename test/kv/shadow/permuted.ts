// A token after a prompt, with two of the selected chunks of every list in each other's place. Runs in a page.
import { Gpu } from "../../../src/gpu/device.ts";
import { blocksFor } from "../../../src/kv/blocks.ts";
import { PagePool } from "../../../src/kv/pages.ts";
import type { KeptPages } from "../../../src/kv/kept.ts";
import { knownState } from "../../../src/kv/systems/shadow/state.ts";
import { type Batch, GREEDY } from "../../../src/model/model.ts";
import type { Transformer } from "../../../src/model/transformer.ts";
import { loadWeights, running } from "./open.ts";

/** Chunks of 8 slots, four a page: page 0 of each list holds outliers, page 1 selected chunks. */
const SELECTED = 4;
const KV = "f32+shadow:chunk=8,outliers=4,budget=32,local=16,values=f16,rank=8";

/** Logits of the token after `prompt`: as it is; with chunks exchanged; and with only the record of them exchanged. */
export async function permuted(address: string, prompt: readonly number[]): Promise<number[][]> {
  const gpu = await Gpu.open();
  const loaded = await loadWeights(gpu, new URL(address, location.href).href);
  const transformer = await running(gpu, loaded, { kv: KV, context: 256, chunk: 256 });
  const kept = keptOf(transformer, prompt.length);
  const results: number[][] = [];
  for (const exchange of [[], [pages, records], [records]]) {
    await run(transformer, promptStep(prompt, kept));
    for (const each of exchange) each(gpu, transformer, kept);
    const [sampled] = await run(transformer, nextStep(prompt, kept));
    results.push([...sampled!.logits!]);
  }
  gpu.dispose();
  return results;
}

function keptOf({ cache }: Transformer, tokens: number): KeptPages {
  const retention = cache.retain(tokens)!;
  return {
    ...retention,
    region: 0,
    standing: 0,
    pages: new PagePool(cache.privatePages!).take(retention.tokens.map(blocksFor)),
  };
}

const run = async (transformer: Transformer, batch: Batch) => (await transformer.submit(batch)).read();

const step = (parts: Pick<Batch, "rows" | "decodeRows" | "lists" | "promptEnd">): Batch => ({
  logitRows: [{ row: parts.rows.length - 1, sequence: 0, sampling: GREEDY, counter: 0, forced: null, logits: true }],
  moves: [],
  retiring: null,
  standing: [],
  arrivals: [],
  ...parts,
});

const rowAt = (token: number, index: number) => ({ token, position: index, cacheIndex: index, sequence: 0 });

const promptStep = (prompt: readonly number[], kept: KeptPages): Batch =>
  step({
    rows: prompt.map(rowAt),
    decodeRows: 0,
    lists: [{ sequence: 0, enters: true, pages: Array.from({ length: blocksFor(prompt.length + 1) }, (_, i) => ({ index: i, block: i })), kept: null }], // prettier-ignore
    promptEnd: { sequence: 0, tokens: prompt.length, rows: prompt.length, kept },
  });

const nextStep = (prompt: readonly number[], kept: KeptPages): Batch =>
  step({
    rows: [rowAt(prompt[0]!, prompt.length)],
    decodeRows: 1,
    lists: [{ sequence: 0, enters: false, pages: [], kept }],
    promptEnd: null,
  });

/** Keys and values of the first two chunks of page 1 of every list: eight slots each, which lie together. */
function pages(gpu: Gpu, { context: { cache } }: Transformer, kept: KeptPages): void {
  const half = cache.shape.headWidth * 32 * 4; // bytes of the keys of a page, and of its values
  const stretches = cache.privatePages!.stretches(kept); // two pages a list
  for (const { buffer, offset } of stretches.filter((_, i) => i % 2 === 1)) {
    for (const at of [offset, offset + half]) exchange(gpu, buffer, at, half / 4);
  }
}

/** Which chunk is in the first two places of every list. */
function records(gpu: Gpu, { context: { cache } }: Transformer): void {
  for (const { resident } of knownState(cache)!.stores) {
    for (let head = 0; head < cache.shape.kvHeads; head++) exchange(gpu, resident, head * SELECTED * 4, 4);
  }
}

/** `bytes` bytes at `at`, and those behind them. */
function exchange(gpu: Gpu, buffer: GPUBuffer, at: number, bytes: number): void {
  const both = gpu.buffer("exchanged", 2 * bytes, "scratch");
  const encoder = gpu.device.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, at, both, 0, 2 * bytes);
  encoder.copyBufferToBuffer(both, 0, buffer, at + bytes, bytes);
  encoder.copyBufferToBuffer(both, bytes, buffer, at, bytes);
  gpu.submit(encoder);
  gpu.release(both);
}
