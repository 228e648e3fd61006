// Heads where a norm is over all of them, as in OLMo 2: a plain product, then what comes after it.
import { place_heads } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { columnOf } from "../../kv/layout.ts";
import type { ModelContext } from "../context.ts";
import type { Linear } from "../ops/linear.ts";
import type { Sizes } from "../ops/sizes.ts";
import { type HeadRun, type QkvProduct, runsOf } from "./runs.ts";

/** All heads of a layer, as the matrix makes them. Its biases are the first of its vectors: there is no norm before. */
export const plainProduct = (
  { activations: { hidden, heads } }: ModelContext,
  { layer, qkv: { matrix, vectors }, rows }: Pick<QkvProduct, "layer" | "qkv" | "rows">,
): Linear => ({
  label: `layer ${layer} qkv`,
  matrix,
  bias: vectors.biased ? vectors.buffer : undefined,
  x: hidden,
  y: heads,
  epilogue: "store",
  rows,
});

export const placeHeads = (model: ModelContext, product: QkvProduct): AnyDispatch<Sizes>[] =>
  runsOf(model, product).map((run) => placeRun(model, product, run));

const THREADS = 64;

function placeRun(model: ModelContext, { layer, qkv, rowAt, rows }: QkvProduct, run: HeadRun): AnyDispatch<Sizes> {
  const { config, cache, activations, ropes } = model;
  const { kvHeads: G, headWidth: E, fileHeadWidth: width, normEpsilon: eps } = config;
  const { queries, stores, firstStore, vectors } = qkv;
  const heads = queries + 2 * stores * G;
  return dispatch({
    kernel: place_heads,
    constants: { E, KV_BITS: cache.written.bits, WG: THREADS },
    label: `layer ${layer} heads`,
    buffers: {
      x: activations.heads,
      vectors: vectors.buffer,
      rows: cache.lists.inputs,
      rope: ropes[run.rotation]!.table,
      q: activations.query,
      kv: run.kv,
    },
    params: () => ({
      rowAt,
      heads,
      queries,
      ownerHeads: G,
      firstHead: run.first,
      column: columnOf(firstStore, G),
      columns: cache.columns,
      listLength: cache.lists.listLength,
      tableAt: cache.lists.tableAt,
      arena: run.arena,
      queryNormAt: vectors.queryNormAt,
      keyNormAt: vectors.keyNormAt,
      width,
      eps,
    }),
    grid: (s) => (rows(s) === 0 ? [0, 0, 0] : [run.count, rows(s), 1]),
    bytes: (s) => 4 * rows(s) * heads * E,
    flops: (s) => 4 * rows(s) * heads * E,
  });
}
