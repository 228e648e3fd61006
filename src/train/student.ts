// The student's later layers, forwards and back, as lists of dispatches: what `upper` and a layer of model/forward.ts
// do, with what the way back needs kept.
//
// Forwards: shared = x_K / rms; keys and values of every store from it; then per layer queries, attention, products.
// Back: per layer from the last one, dHidden is the gradient of the residual stream behind it; a store's keys and values
// gather theirs from all layers that read it.
import type { Bindable } from "../gpu/kernel.ts";
import type { Layout } from "../kv/layout.ts";
import { readersOf } from "../kv/systems/swiftkv/layout.ts";
import type { ModelContext } from "../model/context.ts";
import { attend, attendBack, type AttentionOf } from "./attention.ts";
import type { Kept, TrainScratch } from "./buffers.ts";
import {
  copied,
  type Dispatches,
  dotted,
  gated,
  gatedBack,
  type Norm,
  normalised,
  normBack,
  rotated,
  turned,
} from "./ops.ts";
import { backwards, type Bench, forwards, gradient, trainedBackwards, trainedForwards } from "./products.ts";
import type { TrainedTensor } from "./tensor.ts";

/** Everything the dispatches of a training are built from. */
export interface Training extends Bench {
  layout: Layout;
  kept: Kept;
  scratch: TrainScratch;
  /** By name: "model.norm_swiftkv". */
  tensors: ReadonlyMap<string, TrainedTensor>;
  /** [D] ones */
  ones: GPUBuffer;
  /** [D] weights of the norms before queries, from layer K on; [E] of heads, where they have norms; by layer, by store */
  inputNorms: readonly Bindable[];
  queryNorms: readonly GPUBuffer[];
  keyNorms: readonly GPUBuffer[];
}

/** A tensor of a layer. */
export function tensorOf({ tensors }: Training, layer: number, kind: "q" | "k" | "v"): TrainedTensor {
  return tensors.get(`model.layers.${layer}.self_attn.${kind}_proj_swiftkv`)!;
}

/** Store `i` of those that layer K fills, and the layers that read it. */
function storeOf(training: Training, layer: number) {
  const { layout } = training;
  const store = layout.reads[layer]!;
  const index = store - layout.fills[layout.boundary]!.first;
  return { index, owner: layout.owners[store]!, readers: readersOf(layout, store) };
}

// ---- norms ----

const rowNorm = ({ model, rows }: Training, label: string, x: Bindable, weight: Bindable): Norm => ({
  label,
  rows,
  x,
  weight,
  width: model.config.hiddenSize,
  epsilon: model.config.normEpsilon,
});

const headNorm = ({ model, rows }: Training, label: string, x: Bindable, weight: Bindable, heads: number): Norm => ({
  label,
  x,
  weight,
  rows: rows * heads,
  width: model.config.headWidth,
  epsilon: model.config.normEpsilon,
});

const sharedNorm = (training: Training): Norm =>
  rowNorm(training, "shared norm", training.kept.layers[0]!.enters, training.ones);

// ---- forwards ----

/** From layer K's input, in `kept.layers[0].enters`, to what the final norm gives. */
export function studentForwards(training: Training): Dispatches {
  const { model, layout, kept } = training;
  const { gpu, config, weights } = model;
  const dispatches: Dispatches = [
    normalised(gpu, sharedNorm(training), kept.shared),
    normalised(
      gpu,
      { ...sharedNorm(training), weight: training.tensors.get("model.norm_swiftkv")!.weights },
      kept.sharedNormed,
    ),
  ];
  for (let layer = layout.boundary; layer < config.layers; layer++) {
    if (storeOf(training, layer).owner === layer) dispatches.push(...keysValuesForwards(training, layer));
    dispatches.push(...layerForwards(training, layer));
  }
  dispatches.push(normalised(gpu, rowNorm(training, "final norm", kept.leaves, weights.finalNorm), kept.normed));
  return dispatches;
}

/** Models that are trained have one rotation for all layers: load/distil.ts refuses others. */
const ropeOf = ({ ropes }: ModelContext): GPUBuffer => ropes[0]!.table;

function keysValuesForwards(training: Training, owner: number): Dispatches {
  const { model, rows, kept, keyNorms } = training;
  const { gpu, config } = model;
  const rope = ropeOf(model);
  const { kvHeads: heads, headWidth: width } = config;
  const { index } = storeOf(training, owner);
  const { rawKeys, keys, values } = kept.stores[index]!;
  const label = `layer ${owner} keys`;
  return [
    ...trainedForwards(training, tensorOf(training, owner, "k"), kept.sharedNormed, rawKeys),
    ...trainedForwards(training, tensorOf(training, owner, "v"), kept.sharedNormed, values),
    ...(config.headNorm ? [normalised(gpu, headNorm(training, label, rawKeys, keyNorms[index]!, heads), keys)] : []),
    rotated(label, { x: keys, rope, rows, heads, width }, 1),
  ];
}

function layerForwards(training: Training, layer: number): Dispatches {
  const { model, rows, kept, scratch, queryNorms } = training;
  const { gpu, config, weights } = model;
  const rope = ropeOf(model);
  const { hiddenSize: D, intermediateSize: F, heads, headWidth: width, normEpsilon: epsilon } = config;
  const at = layer - training.layout.boundary;
  const { enters, middle, rawQuery, query, attended, gateUp } = kept.layers[at]!;
  const next = kept.layers[at + 1]?.enters ?? kept.leaves;
  const own = weights.layers[layer]!;
  const label = (what: string) => `layer ${layer} ${what}`;
  return [
    normalised(gpu, inputNorm(training, layer), scratch.normed),
    ...trainedForwards(training, tensorOf(training, layer, "q"), scratch.normed, rawQuery),
    ...(config.headNorm
      ? [normalised(gpu, headNorm(training, label("queries"), rawQuery, queryNorms[at]!, heads), query)]
      : []),
    rotated(label("queries"), { x: query, rope, rows, heads, width }, 1),
    ...attend(training, attentionOf(training, layer), scratch),
    copied(label("middle"), enters, middle, rows * D),
    ...forwards(training, {
      label: label("output"),
      matrix: own.output,
      bias: own.outputBias,
      x: attended,
      y: middle,
      epilogue: "add",
    }),
    ...forwards(training, {
      label: label("gate·up"),
      matrix: own.gateUp,
      bias: own.gateUpBias,
      norm: {
        weight: own.mlpNorm!,
        epsilon,
      },
      x: middle,
      y: gateUp,
      epilogue: "store",
    }),
    gated(label("gate"), gateUp, scratch.activated, rows * F),
    copied(label("output"), middle, next, rows * D),
    ...forwards(training, {
      label: label("down"),
      matrix: own.down,
      bias: own.downBias,
      x: scratch.activated,
      y: next,
      epilogue: "add",
    }),
  ];
}

const inputNorm = (training: Training, layer: number): Norm => {
  const at = layer - training.layout.boundary;
  return rowNorm(training, `layer ${layer} norm`, training.kept.layers[at]!.enters, training.inputNorms[at]!);
};

function attentionOf(training: Training, layer: number): AttentionOf {
  const { model, kept, layout } = training;
  const { query, attended, sums } = kept.layers[layer - layout.boundary]!;
  const { keys, values } = kept.stores[storeOf(training, layer).index]!;
  const window = model.config.windows[layer]!;
  return { label: `layer ${layer} attention`, window, query, keys, values, out: attended, sums };
}

// ---- back ----

/** Of a layer: `dHidden` behind it → before it, and what it leaves to the tensors that are trained. */
export function layerBackwards(training: Training, layer: number): Dispatches {
  const { model, rows, layout, kept, scratch } = training;
  const { gpu, config, weights } = model;
  const { intermediateSize: F, heads: H, headWidth: E } = config;
  const at = layer - layout.boundary;
  const { middle, gateUp } = kept.layers[at]!;
  const own = weights.layers[layer]!;
  const { dHidden, dNormed, dGateUp, activated, dAttended } = scratch;
  const label = (what: string) => `layer ${layer} ${what}`;
  const { readers, owner } = storeOf(training, layer);
  const add = layer !== readers.at(-1);
  const { dQuery, dKeys, dValues, turnedInput, normed } = scratch;
  const q = tensorOf(training, layer, "q");
  const dRaw = config.headNorm ? scratch.dRawQuery : dQuery;
  return [
    // MLP
    ...backwards(training, { label: label("down"), matrix: own.down, dy: dHidden, dx: activated }),
    gatedBack(label("gate"), { x: gateUp, dy: activated, dx: dGateUp }, rows * F),
    ...backwards(training, { label: label("gate·up"), matrix: own.gateUp, dy: dGateUp, dx: dNormed }),
    normBack(gpu, rowNorm(training, label("mlp norm"), middle, own.mlpNorm!), { dy: dNormed, dx: dHidden, add: true }),
    // attention
    ...backwards(training, { label: label("output"), matrix: own.output, dy: dHidden, dx: dAttended }),
    ...attendBack(training, attentionOf(training, layer), { dOut: dAttended, dQuery, dKeys, dValues, add }, scratch),
    rotated(label("queries back"), { x: dQuery, rope: ropeOf(model), rows, heads: H, width: E }, -1),
    ...queryNormBack(training, layer),
    // queries
    normalised(gpu, inputNorm(training, layer), normed),
    turned(label("input"), normed, turnedInput, rows, config.hiddenSize),
    ...gradient(training, q, turnedInput, dRaw),
    // Nothing below layer K is trained: its input needs no gradient.
    ...(layer > layout.boundary
      ? [
          ...trainedBackwards(training, q, { dy: dRaw, dx: dNormed, add: false }),
          normBack(gpu, inputNorm(training, layer), { dy: dNormed, dx: dHidden, add: true }),
        ]
      : []),
    ...(owner === layer ? keysValuesBackwards(training, layer) : []),
  ];
}

function queryNormBack(training: Training, layer: number): Dispatches {
  const { model, layout, kept, scratch, queryNorms } = training;
  if (!model.config.headNorm) return [];
  const at = layer - layout.boundary;
  const norm = headNorm(
    training,
    `layer ${layer} queries`,
    kept.layers[at]!.rawQuery,
    queryNorms[at]!,
    model.config.heads,
  );
  return [normBack(model.gpu, norm, { dy: scratch.dQuery, dx: scratch.dRawQuery, add: false })];
}

/** Of a store, once all its readers have left their share. */
function keysValuesBackwards(training: Training, owner: number): Dispatches {
  const { model, rows, layout, kept, scratch, keyNorms } = training;
  const { gpu, config } = model;
  const rope = ropeOf(model);
  const { kvHeads: heads, headWidth: width } = config;
  const { index } = storeOf(training, owner);
  const { dKeys, dValues, dRawKeys, dShared, turnedShared } = scratch;
  const [k, v] = [tensorOf(training, owner, "k"), tensorOf(training, owner, "v")];
  const label = `layer ${owner} keys`;
  const norm = headNorm(training, label, kept.stores[index]!.rawKeys, keyNorms[index]!, heads);
  const dRaw = config.headNorm ? dRawKeys : dKeys;
  const firstBack = owner === layout.owners.at(-1); // the last store is the first on the way back
  return [
    rotated(`${label} back`, { x: dKeys, rope, rows, heads, width }, -1),
    ...(config.headNorm ? [normBack(gpu, norm, { dy: dKeys, dx: dRawKeys, add: false })] : []),
    ...(firstBack ? [turned("shared input", kept.sharedNormed, turnedShared, rows, config.hiddenSize)] : []),
    ...gradient(training, k, turnedShared, dRaw),
    ...gradient(training, v, turnedShared, dValues),
    ...trainedBackwards(training, k, { dy: dRaw, dx: dShared, add: !firstBack }),
    ...trainedBackwards(training, v, { dy: dValues, dx: dShared, add: true }),
  ];
}

/** The gradient of norm_swiftkv, once all stores have left theirs: Σ over rows of dShared · x_K / rms. */
export function sharedNormBackwards(training: Training): Dispatches {
  const { model, rows, kept, scratch, tensors } = training;
  const { hiddenSize: D } = model.config;
  const norm = tensors.get("model.norm_swiftkv")!;
  const { turnedInput, turnedShared, dShared } = scratch;
  return [
    turned("shared input", kept.shared, turnedShared, rows, D),
    turned("shared gradient", dShared, turnedInput, rows, D),
    dotted("norm_swiftkv gradient", { a: turnedShared, b: turnedInput, out: norm.gradient, add: true }, D, rows),
  ];
}
