// Which kernel variant is fastest on this adapter: measured once for each family and shape, then remembered.
import { timeDispatches } from "../gpu/measure.ts";
import type { AnyDispatch } from "../gpu/program.ts";
import { BLOCK_TOKENS } from "../kv/blocks.ts";
import { decodeAttention, prefillAttention, splitsFor } from "./attention.ts";
import { projectNarrow, projectWide } from "./heads.ts";
import { headProduct, products } from "./llama.ts";
import { gemm, gemv, type Linear, type Sizes } from "./ops.ts";
import type { Heads, Parts } from "./parts.ts";
import { gemmKey, gemvKey, qkvNarrowKey, qkvWideKey } from "./variants.ts";

/** Facts about one adapter, kept between visits. */
export interface Memory {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** One thing to choose: family and shape, and the dispatches of each candidate at the sizes that matter. */
interface Question {
  key: string;
  sizes: Sizes;
  candidates: readonly { name: string; dispatches: () => AnyDispatch<Sizes>[] }[];
}

/** Rows of a prompt chunk in a measurement: enough to fill the adapter, few enough to be over soon. */
const SOFTWARE_ROWS = 48;
/** Tokens of context for decode attention. */
const CONTEXT = 1024;

/** Answers every question of this model from memory, or by measuring. Writes over activations and the cache. */
export async function tune(parts: Parts, memory: Memory): Promise<void> {
  prepareRows(parts);
  for (const question of questions(parts)) {
    const known = await memory.get(question.key);
    const found = question.candidates.find(({ name }) => name === known)?.name ?? (await measure(parts, question));
    parts.variants.choose(question.key, found);
    if (found !== known) await memory.set(question.key, found);
  }
}

/** Name of the fastest candidate. A single one needs no measurement. */
async function measure({ gpu }: Parts, { candidates, sizes }: Question): Promise<string> {
  let best = { name: candidates[0]!.name, ms: Infinity };
  if (candidates.length === 1) return best.name;
  for (const { name, dispatches } of candidates) {
    const ms = await timeDispatches(gpu, dispatches(), sizes);
    if (ms < best.ms) best = { name, ms };
  }
  return best.name;
}

const rowsOf = ({ gpu, spans }: Parts): number => {
  const most = spans.lower.count;
  return gpu.adapter.software ? Math.min(SOFTWARE_ROWS, most) : most;
};
const contextOf = ({ store }: Parts): number => Math.min(CONTEXT, store.shape.maxPages * BLOCK_TOKENS);

/** Every row at the end of one sequence that lies in the first blocks: prompt rows come last in it. */
function prepareRows(parts: Parts): void {
  const { gpu, store, spans } = parts;
  const [count, context] = [rowsOf(parts), contextOf(parts)];
  for (let index = 0; index * BLOCK_TOKENS < context; index++) store.writeTable(0, index, index);
  const first = Math.max(0, context - count);
  const rows = Array.from({ length: count }, (_, i) => [
    Math.min(first + i, context - 1),
    Math.min(first + i, context - 1),
    0,
    0,
  ]);
  rows[0] = [context - 1, context - 1, 0, 0];
  gpu.write(store.inputs, spans.lower.first * 16, Uint32Array.from(rows.flat()));
}

function questions(parts: Parts): Question[] {
  const { gpu, activations, variants, spans, weights } = parts;
  const { gemv: gemvs, gemm: gemms, prefill, decode } = variants.candidates;
  const one: Sizes = {
    rows: 1,
    logitRows: 1,
    decodeRows: 1,
    ...splitsFor(gpu, contextOf(parts)),
    kept: 1,
    queried: false,
  };
  const chunk: Sizes = { ...one, rows: rowsOf(parts), decodeRows: 0 };
  const layer = Object.values(products(parts, 0));
  const decoding = (what: Linear): Question => ({
    key: gemvKey(what),
    sizes: one,
    candidates: candidatesOf(gemvs, (variant) => gemv(gpu, what, 1, variant)),
  });
  const reading = (what: Linear): Question => ({
    key: gemmKey(what),
    sizes: chunk,
    candidates: candidatesOf(gemms, (variant) => gemm(gpu, what, activations, variant)),
  });
  const decodeCandidates = candidatesOf(decode, (variant) =>
    decodeAttention(parts, 0, spans.lower, (s) => s.rows, variant),
  );
  const prefillCandidates = candidatesOf(prefill, (variant) => prefillAttention(parts, 0, spans.lower, variant));
  return [
    ...[...layer, headProduct(parts)].map(decoding),
    ...layer.map(reading),
    ...shapesOf(weights.layers.map(({ heads }) => heads)).flatMap((heads) =>
      headQuestions(parts, heads, { one, chunk }),
    ),
    { key: variants.decodeKey, sizes: one, candidates: decodeCandidates },
    { key: variants.prefillKey, sizes: chunk, candidates: prefillCandidates },
  ];
}

const candidatesOf = <V extends { name: string }>(
  variants: readonly V[],
  dispatches: (variant: V) => AnyDispatch<Sizes>[],
): Question["candidates"] => variants.map((variant) => ({ name: variant.name, dispatches: () => dispatches(variant) }));

/** One product of each shape. */
const shapesOf = (all: readonly Heads[]): Heads[] => [
  ...new Map(all.map((heads) => [qkvNarrowKey(heads.matrix), heads])).values(),
];

function headQuestions(parts: Parts, heads: Heads, { one, chunk }: Record<"one" | "chunk", Sizes>): Question[] {
  const { qkvNarrow, qkvWide } = parts.variants.candidates;
  const range = heads.stores > 1 ? "keysValues" : heads.stores === 1 ? "all" : "queries";
  const step = { layer: 0, heads, range, rowAt: parts.spans.lower.first, rows: (s: Sizes) => s.rows } as const;
  return [
    {
      key: qkvNarrowKey(heads.matrix),
      sizes: one,
      candidates: candidatesOf(qkvNarrow, (variant) => projectNarrow(parts, step, 1, variant)),
    },
    {
      key: qkvWideKey(heads.matrix),
      sizes: chunk,
      candidates: candidatesOf(qkvWide, (variant) => projectWide(parts, step, variant)),
    },
  ];
}
