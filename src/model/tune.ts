// Which kernel variant is fastest on this adapter: measured once for each family and shape, then remembered.
import { timeDispatches } from "../gpu/measure.ts";
import { type AnyDispatch, compileAll } from "../gpu/program.ts";
import { PASSING } from "../kv/blocks.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { chunkOf, decodeAttention, decodingRows, prefillAttention } from "./layer/attention.ts";
import { splitsFor } from "./layer/splits.ts";
import { plainProduct } from "./layer/place.ts";
import { projectNarrow, projectWide } from "./layer/qkv.ts";
import { outputProduct, products } from "./layer/products.ts";
import { gemm, gemv, type Linear } from "./ops/linear.ts";
import type { RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";
import type { ModelContext, QkvProjection } from "./context.ts";
import { gemmKey, gemvKey, qkvNarrowKey, qkvWideKey } from "./ops/variants.ts";

/** Facts about one adapter, kept between visits. */
export interface Memory {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** One thing to choose: family and shape, and the dispatches of each candidate at the sizes that matter. */
export interface Question {
  key: string;
  sizes: Sizes;
  candidates: readonly { name: string; dispatches: () => AnyDispatch<Sizes>[] }[];
}

/** Tokens of context for decode attention. */
const CONTEXT = 1024;

/** Takes over what earlier visits measured and what needs no measurement. Gives back what is open. */
export async function recall(model: ModelContext, memory: Memory): Promise<Question[]> {
  const all = [...new Map(questions(model).map((question) => [question.key, question])).values()];
  const known = await Promise.all(all.map(({ key, candidates }) => (candidates[1] ? memory.get(key) : undefined)));
  return all.filter((question, i) => {
    const { key, candidates } = question;
    const found = candidates[1] ? candidates.find(({ name }) => name === known[i]) : candidates[0];
    if (found) model.variants.choose(key, found.name);
    return !found;
  });
}

/**
 * Answers questions until the profile's time for it is over; the first candidates stand for the others, and the next visit
 * goes on. Writes over activations and the cache.
 */
export async function tune(model: ModelContext, open: readonly Question[], memory: Memory): Promise<void> {
  const until = performance.now() + model.profile.tuningMs;
  prepareRows(model);
  for (const question of open) {
    if (performance.now() > until) return;
    const fastest = await measure(model, question);
    model.variants.choose(question.key, fastest);
    await memory.set(question.key, fastest);
  }
}

/** Name of the fastest candidate. They are compiled side by side. */
async function measure({ gpu }: ModelContext, { candidates, sizes }: Question): Promise<string> {
  await Promise.all(candidates.map(({ dispatches }) => compileAll(gpu, dispatches())));
  let best = { name: "", ms: Infinity };
  for (const { name, dispatches } of candidates) {
    const ms = await timeDispatches(gpu, dispatches(), sizes);
    if (ms < best.ms) best = { name, ms };
  }
  return best.name;
}

const rowsOf = ({ profile, spans }: ModelContext): number => Math.min(profile.tuningRows, spans.lower.count);
/** As much of the first tier as is there: what is written to does not matter. */
const contextOf = ({ cache }: ModelContext): number =>
  Math.min(CONTEXT, Math.min(cache.room.blocks, cache.shape.tiers[0]!.blocks) * BLOCK_TOKENS);

/** Every row at the end of one sequence that lies in the first blocks: prompt rows come last in it. */
function prepareRows(model: ModelContext): void {
  const { gpu, cache, spans } = model;
  const [count, context] = [rowsOf(model), contextOf(model)];
  cache.openSequence(0);
  for (let index = 0; index * BLOCK_TOKENS < context; index++)
    cache.setPage(0, { index, block: index, later: PASSING });
  const first = Math.max(0, context - count);
  const rows = Array.from({ length: count }, (_, i) => [
    Math.min(first + i, context - 1),
    Math.min(first + i, context - 1),
    0,
    0,
  ]);
  rows[0] = [context - 1, context - 1, 0, 0];
  gpu.write(cache.lists.inputs, spans.lower.first * 16, Uint32Array.from(rows.flat()));
}

function questions(model: ModelContext): Question[] {
  const { gpu, config, activations, variants, spans, weights, profile, cache } = model;
  const one: Sizes = {
    rows: 1,
    logitCount: 1,
    decodeRows: 1,
    ...splitsFor(profile, config.kvHeads, blocksFor(contextOf(model))),
    chunkSplits: 1,
    arenas: cache.usedArenas([0]),
    pagesGivenUp: 0,
    inPlace: 1,
    queried: false,
    promptEnd: null,
    retiring: null,
    made: null,
  };
  const chunk: Sizes = { ...one, rows: rowsOf(model), decodeRows: 0 };
  const layer = Object.values(products(model, 0));
  const decoding = (what: Linear): Question => ({
    key: gemvKey(what),
    sizes: one,
    candidates: candidatesOf(variants.candidates("gemv"), (variant) => gemv(gpu, what, 1, variant)),
  });
  const reading = (what: Linear, rows: RowClass): Question => ({
    key: gemmKey(what, rows),
    sizes: chunkOfClass(chunk, rows),
    candidates: candidatesOf(variants.candidates("gemm", rows), (variant) => gemm(gpu, what, activations, variant)),
  });
  const decodeCandidates = candidatesOf(variants.candidates("decode"), (variant) =>
    decodeAttention(
      model,
      0,
      decodingRows(model, 0, spans.lower, (s) => s.rows),
      variant,
    ),
  );
  const attending = (rows: RowClass): Question => ({
    key: variants.prefillKey(rows),
    sizes: chunkOfClass(chunk, rows),
    candidates: candidatesOf(variants.candidates("prefill", rows), (variant) =>
      prefillAttention(model, 0, chunkOf(model, 0, spans.lower), variant),
    ),
  });
  return [
    ...[...layer, outputProduct(model)].map(decoding),
    ...profile.wideRows.flatMap((rows) => layer.map((what) => reading(what, rows))),
    ...shapesOf(weights.layers.map(({ qkv }) => qkv)).flatMap((qkv) => {
      const plain = plainProduct(model, { layer: 0, qkv, rows: (s) => s.rows });
      return config.allHeadsNorm
        ? [decoding(plain), ...profile.wideRows.map((rows) => reading(plain, rows))]
        : qkvQuestions(model, qkv, { one, chunk });
    }),
    { key: variants.decodeKey, sizes: one, candidates: decodeCandidates },
    ...profile.wideRows.map(attending),
  ];
}

const candidatesOf = <V extends { name: string }>(
  variants: readonly V[],
  dispatches: (variant: V) => AnyDispatch<Sizes>[],
): Question["candidates"] => variants.map((variant) => ({ name: variant.name, dispatches: () => dispatches(variant) }));

/** One product of each shape. */
const shapesOf = (all: readonly QkvProjection[]): QkvProjection[] => [
  ...new Map(all.map((qkv) => [qkvNarrowKey(qkv.matrix), qkv])).values(),
];

/** A full chunk of the class. */
const chunkOfClass = (chunk: Sizes, rows: RowClass): Sizes => ({ ...chunk, rows: Math.min(rows, chunk.rows) });

function qkvQuestions(
  model: ModelContext,
  qkv: QkvProjection,
  { one, chunk }: Record<"one" | "chunk", Sizes>,
): Question[] {
  const range = qkv.stores > 1 ? "keysValues" : qkv.stores === 1 ? "all" : "queries";
  const rows = { rowAt: model.spans.lower.first, rows: (s: Sizes) => s.rows };
  const isLater = model.cache.streamed && qkv.stores > 0 && qkv.firstStore >= model.cache.streamed.shape.firstStore;
  const product = { layer: 0, qkv, range, ...rows, ...(isLater && { store: qkv.firstStore }) } as const;
  return [
    {
      key: qkvNarrowKey(qkv.matrix),
      sizes: one,
      candidates: candidatesOf(model.variants.candidates("qkvNarrow"), (variant) =>
        projectNarrow(model, product, 1, variant),
      ),
    },
    ...model.profile.wideRows.map((rows) => ({
      key: qkvWideKey(qkv.matrix, rows),
      sizes: chunkOfClass(chunk, rows),
      candidates: candidatesOf(model.variants.candidates("qkvWide", rows), (variant) =>
        projectWide(model, product, variant),
      ),
    })),
  ];
}
