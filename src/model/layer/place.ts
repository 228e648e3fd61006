// Heads by a plain product, whose workgroups know a few columns each, then what needs whole heads: where a norm is over all of
// them, as in OLMo 2, and where heads have norms of their own or pages 8 and 4 bits, as another way of making those of few rows.
import { assert } from "../../errors.ts";
import { place_heads } from "../../gpu/kernels.gen.ts";
import { type AnyDispatch, dispatch } from "../../gpu/program.ts";
import { columnOf } from "../../kv/layout.ts";
import type { ModelConfig } from "../config.ts";
import type { ModelContext } from "../context.ts";
import type { Linear } from "../ops/linear.ts";
import type { Sizes } from "../ops/sizes.ts";
import { wholeOf } from "../weights/matrix.ts";
import { headEpsilon, type HeadRun, labelOf, type QkvProduct, runsOf } from "./runs.ts";

/** The product as `multiply` makes it, a dispatch of gemv_deep where queries have a norm of their own, then its heads. */
export const projectPlaced = (
  model: ModelContext,
  product: QkvProduct,
  multiply: (plain: Linear) => AnyDispatch<Sizes>[],
): AnyDispatch<Sizes>[] => [
  ...multiply(plainProduct(model, product)).map((each) => withGammas(model, product, each)),
  ...runsOf(model, product).map((run) => placeRun(model, product, run)),
];

/** The first heads of a projection: no step makes keys and values of few rows without the queries before them. */
const headsOf = ({ kvHeads: G }: ModelConfig, { qkv: { queries, stores }, range }: QkvProduct): number =>
  range === "queries" ? queries : queries + 2 * stores * G;

/** Heads of a layer, as the matrix makes them: [rows, heads, E], without biases. */
export function plainProduct({ config, activations }: ModelContext, product: QkvProduct): Linear {
  const { rows, input } = product;
  const { matrix, vectors } = product.qkv;
  const norm = { weight: vectors.buffer, epsilon: config.normEpsilon };
  return {
    label: labelOf(product),
    matrix: { ...matrix, columns: headsOf(config, product) * config.headWidth },
    ...(config.norms === "after" ? {} : { norm }),
    x: input ?? activations.hidden,
    y: activations.heads,
    epilogue: "store",
    rows,
  };
}

/** With the norm of keys and values, where they have another one than queries: past the boundary of a SwiftKV student. */
function withGammas(
  { config: { headWidth: E } }: ModelContext,
  { qkv: { queries, vectors, matrix } }: QkvProduct,
  each: AnyDispatch<Sizes>,
): AnyDispatch<Sizes> {
  if (vectors.gammaKv === vectors.gammaQ) return each;
  assert(
    each.kernel.name === "gemv_deep",
    `heads: the product of two norms is one of gemv_deep; got ${each.kernel.name}`,
  );
  wholeOf(matrix); // columns are counted from its first one
  const later = { LATER_FROM: queries * E, LATER_GAMMA: vectors.gammaKv };
  return { ...each, constants: { ...each.constants, ...later } };
}

const THREADS = 64;

/** The norm of heads: `NORM` of place_heads, channels that a head's squares are divided by, and ε. */
function normOf(config: ModelConfig): { NORM: number; width: number; eps: number } {
  const { headNorm, allHeadsNorm, headWidth, fileHeadWidth, normEpsilon } = config;
  if (allHeadsNorm) return { NORM: 2, width: fileHeadWidth, eps: normEpsilon };
  return { NORM: headNorm ? 1 : 0, width: headWidth, eps: headEpsilon(config) };
}

function placeRun(model: ModelContext, product: QkvProduct, run: HeadRun): AnyDispatch<Sizes> {
  const { config, cache, activations, ropes } = model;
  const { layer, qkv, rowAt, rows } = product;
  const { kvHeads: G, headWidth: E } = config;
  const { queries, firstStore, vectors } = qkv;
  const { biased, biasAt, queryNormAt, keyNormAt } = vectors;
  const { table: rope, queryTurns } = ropes[run.rotation]!;
  const { NORM, width, eps } = normOf(config);
  const heads = headsOf(config, product);
  return dispatch({
    kernel: place_heads,
    constants: { E, KV_BITS: cache.written.bits, BIAS: biased ? 1 : 0, NORM, WG: THREADS },
    label: `layer ${layer} heads`,
    buffers: {
      x: activations.heads,
      vectors: vectors.buffer,
      rows: cache.lists.inputs,
      rope,
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
      biasAt,
      queryNormAt,
      keyNormAt,
      width,
      eps,
      queryTurns,
    }),
    grid: (s) => (rows(s) === 0 ? [0, 0, 0] : [run.count, rows(s), 1]),
    bytes: (s) => 8 * rows(s) * run.count * E,
    flops: (s) => 4 * rows(s) * run.count * E,
  });
}
