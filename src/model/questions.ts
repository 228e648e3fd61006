// What there is to choose: for each family, shape and row class of a model its candidates, as the dispatches of all layers.
import type { AnyDispatch } from "../gpu/program.ts";
import { chunkOf, decodeAttention, decodingRows, prefillAttention } from "./layer/attention.ts";
import { plainProduct } from "./layer/place.ts";
import { outputProduct, products } from "./layer/products.ts";
import { projectNarrow, projectWide } from "./layer/qkv.ts";
import { gemm, gemv, type Linear } from "./ops/linear.ts";
import type { RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";
import { type Family, gemmKey, gemvKey, qkvNarrowKey, qkvWideKey, type VariantOf } from "./ops/variants.ts";
import type { ModelContext } from "./context.ts";

export type Dispatches = AnyDispatch<Sizes>[];

/** One thing to choose. */
export interface Question {
  family: Family;
  /** Family, shape and row class. */
  key: string;
  rows: RowClass;
  /** No two compute the same in the same way. The first one is the default. */
  candidates: readonly { name: string; layers: readonly (() => Dispatches)[] }[];
}

/** The part of a question that one layer is. */
type Part = Question;

/** By importance: what a token takes first, then long prompts, then short ones. */
export function questionsOf(model: ModelContext): Question[] {
  const layers = [...model.weights.layers.keys()];
  const { wideRows } = model.profile;
  const parts = [
    ...layers.flatMap((layer) => decodingParts(model, layer)),
    gemvPart(model, outputProduct(model)),
    ...wideRows.toReversed().flatMap((rows) => layers.flatMap((layer) => readingParts(model, layer, rows))),
  ];
  const byKey = new Map<string, Part[]>();
  for (const each of parts) byKey.set(each.key, [...(byKey.get(each.key) ?? []), each]);
  return [...byKey.values()].map(joined);
}

/** A question over all its layers. */
function joined(parts: readonly Part[]): Question {
  const [first] = parts as [Part];
  const candidates = first.candidates.map(({ name }, i) => ({
    name,
    layers: parts.flatMap(({ candidates }) => candidates[i]!.layers),
  }));
  return { ...first, candidates: withoutDoubles(candidates) };
}

/** Constants that differ may come to the same for a shape. */
function withoutDoubles(candidates: Question["candidates"]): Question["candidates"] {
  const seen = new Set<string>();
  return candidates.filter(({ layers }) => {
    const signature = JSON.stringify(layers[0]!().map(({ kernel, constants }) => [kernel.name, constants]));
    return !seen.has(signature) && seen.add(signature);
  });
}

function part<F extends Family>(
  { variants }: ModelContext,
  family: F,
  key: string,
  rows: RowClass,
  of: (variant: VariantOf<F>) => Dispatches,
): Part {
  const candidates = variants
    .candidates(family, rows)
    .map((variant) => ({ name: variant.name, layers: [() => of(variant)] }));
  return { family, key, rows, candidates };
}

const gemvPart = (model: ModelContext, what: Linear): Part =>
  part(model, "gemv", gemvKey(what), 1, (variant) => gemv(model.gpu, what, 1, variant));

const gemmPart = (model: ModelContext, what: Linear, rows: RowClass): Part =>
  part(model, "gemm", gemmKey(what, rows), rows, (variant) => gemm(model.gpu, what, model.activations, variant));

function decodingParts(model: ModelContext, layer: number): Part[] {
  const { spans, variants, config } = model;
  const product = {
    ...headsOf(model, layer),
    range: model.weights.layers[layer]!.qkv.stores > 0 ? "all" : "queries",
  } as const;
  const heads = config.allHeadsNorm
    ? gemvPart(model, plainProduct(model, product))
    : part(model, "qkvNarrow", qkvNarrowKey(product.qkv.matrix), 1, (variant) =>
        projectNarrow(model, product, 1, variant),
      );
  const readers = decodingRows(model, layer, spans.lower, (s) => s.rows);
  return [
    ...Object.values(products(model, layer)).map((what) => gemvPart(model, what)),
    heads,
    part(model, "decode", variants.decodeKey, 1, (variant) => decodeAttention(model, layer, readers, variant)),
  ];
}

function readingParts(model: ModelContext, layer: number, rows: RowClass): Part[] {
  const { spans, variants, config } = model;
  const product = headsOf(model, layer);
  const heads = config.allHeadsNorm
    ? gemmPart(model, plainProduct(model, product), rows)
    : part(model, "qkvWide", qkvWideKey(product.qkv.matrix, rows), rows, (variant) =>
        projectWide(model, product, variant),
      );
  const readers = chunkOf(model, layer, spans.lower);
  const exact = Object.values(products(model, layer)).filter(({ matrix }) => !model.rounded?.takes(matrix));
  return [
    ...exact.map((what) => gemmPart(model, what, rows)),
    heads,
    part(model, "prefill", variants.prefillKey(rows), rows, (variant) =>
      prefillAttention(model, layer, readers, variant),
    ),
  ];
}

/** Keys and values where a layer's projection makes those of later layers, by a norm of their own; else all that it makes. */
function headsOf({ weights, spans }: ModelContext, layer: number) {
  const { qkv } = weights.layers[layer]!;
  const { gammaQ, gammaKv } = qkv.vectors;
  const range = qkv.stores === 0 ? "queries" : qkv.stores > 1 || gammaQ !== gammaKv ? "keysValues" : "all";
  return { layer, qkv, range, rowAt: spans.lower.first, rows: (s: Sizes) => s.rows } as const;
}
