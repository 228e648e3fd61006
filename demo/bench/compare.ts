// Recipes for keys and values and SwiftKV shapes, side by side on one set of weights: the measurements. No DOM.

import { InputError, convert, load, measureAdapter, modelFlops } from "../../src/index.ts";
import type { Engine, ModelInfo, SwiftKv } from "../../src/index.ts";
import {
  FRONTIERS,
  contextFor,
  environment,
  loading,
  nothingFits,
  lengthsOf,
  runOnce,
  spread,
  syntheticTokens,
} from "./measure.ts";
import type { BenchOptions, BenchProgress, BenchResult, Length, Lengths, Spread } from "./measure.ts";
import { nameAt, trainedFor } from "../shared/trained.ts";
import { readRecipes, type WantedRecipes, type WantedShape } from "./recipes.ts";

export interface CompareOptions extends Omit<BenchOptions, "kv" | "profile"> {
  /** Default: half of the layers, one and two layers to a cache. May be none where there are several recipes. */
  shapes?: readonly WantedShape[];
  /** Recipes: each shape and the dense model is measured with each of them, but those that name a shape. Default f16. */
  kv?: readonly string[];
  /** Most bytes of caches allocated at once; beyond it the variants run one after another. Default 1 GiB. */
  cacheBytes?: number;
}

export interface CompareRow {
  frontier: number;
  /** The frontier, or slightly less where the new tokens would not fit after it. */
  promptTokens: number;
  /** Milliseconds to the first token. */
  firstTokenMs: Spread;
  /** Tokens per second. */
  prefill: Spread;
  /** Dense time to the first token ÷ this one, medians, same recipe; where that is not among them, the first one. */
  speedup: number;
  /** The same from the FLOP model. */
  predictedSpeedup: number;
  /** speedup ÷ predictedSpeedup: 1 = exactly what the FLOP model says. */
  ofPredicted: number;
  /** Milliseconds predicted from the dense time and the FLOP model. */
  predictedMs: number;
  /** Milliseconds per new token after the first. */
  decodeMs: Spread;
  /** decodeMs ÷ that of the dense model with the same recipe, medians. */
  decodeToDense: number;
  /** Bytes of keys and values that stand for the prompt once it has been read. */
  promptBytes: number;
}

export interface CompareVariant {
  /** null = dense. */
  swiftkv: SwiftKv | null;
  /** Its recipe. */
  kv: string;
  kvBytesPerToken: number;
  /** kvBytesPerToken ÷ that of the dense model with the same storage. */
  kvToDense: number;
  /** The cache as allocated, for `context` tokens. */
  kvBytes: number;
  rows: CompareRow[];
}

export interface CompareResult {
  format: 1;
  kind: "swiftkv";
  date: string;
  engine: string;
  browser: string;
  adapter: BenchResult["adapter"];
  measured: BenchResult["measured"];
  /** The dense model. */
  model: ModelInfo;
  /** Its SwiftKV projections were made by conversion, not training: speed and memory are those of a trained model, answers are not. */
  undistilled: true;
  memory: { weightBytes: number };
  loadMs: number;
  options: { runs: number; warmups: number; newTokens: number; kv: readonly string[] };
  /** Whether the variants alternated run by run; false = their caches did not fit together, so each ran by itself. */
  interleaved: boolean;
  /** In words, what differs from what was asked for. */
  notes: string[];
  variants: CompareVariant[];
  /** Frontiers beyond the context. */
  skipped: number[];
}

type Asked = Omit<CompareOptions, "kv"> &
  Required<Pick<CompareOptions, "frontiers" | "runs" | "warmups" | "newTokens" | "shapes" | "cacheBytes">> &
  WantedRecipes;
type Report = (progress: BenchProgress) => void;

/** Compares on this machine. Rejects with what `load`, `convert` and `generate` reject with. */
export async function compare(options: CompareOptions, report: Report): Promise<CompareResult> {
  const asked = complete(options);
  report({ text: "Measuring the adapter", share: null });
  const measured = await measureAdapter();
  const dense = await loadDense(asked, report);
  const { wanted, notes } = variantsFor(asked, dense.model.layers);
  const fleet = new Fleet(dense, wanted, asked.signal);
  try {
    if (wanted.length < 2) throw nothing("SwiftKV shapes that this model can have");
    const { fitting, skipped } = lengthsFor(dense.model, asked);
    report({ text: "Converting the model", share: null });
    await fleet.open(asked.cacheBytes);
    const trials = await runAll(fleet, fitting, asked, report);
    const variants = evaluate(fleet.facts, fitting, trials);
    return describe(dense, asked, { measured, interleaved: fleet.interleaved, notes, variants, skipped });
  } finally {
    fleet.dispose();
  }
}

function complete(options: CompareOptions): Asked {
  const defaults = { runs: 5, warmups: 1, newTokens: 32, kv: ["f16"], cacheBytes: 2 ** 30 } as const;
  const given = { frontiers: FRONTIERS, shapes: DEFAULT_SHAPES, ...defaults, ...options };
  const asked = { ...given, ...readRecipes(given.kv) };
  if (asked.frontiers.length === 0) throw nothing("lengths");
  if (asked.kv.length === 0) throw nothing("recipe for keys and values");
  if (asked.shapes.length === 0 && asked.kv.length + asked.own.length < 2) throw alone();
  return asked;
}

const alone = (): InputError =>
  new InputError(
    "benchmark: nothing to compare; got one recipe and no SwiftKV shape, want a shape or another recipe. Choose one.",
  );

const nothing = (what: string): InputError =>
  new InputError(`benchmark: nothing to measure; got no ${what}, want at least one. Choose one.`);

/** A SwiftKV checkpoint too is loaded as the model that it came from. */
function loadDense({ source, kv, frontiers, newTokens, signal, ...asked }: Asked, report: Report): Promise<Engine> {
  const context = asked.context ?? contextFor(frontiers, newTokens);
  return load(source, {
    kv: kv[0]!,
    ...(typeof source === "string" ? { trained: trainedFor(kv[0]!, { name: nameAt(source) }) } : {}),
    tune: "wait",
    swiftkv: false,
    int8Products: asked.int8Products ?? false,
    matrixProducts: asked.matrixProducts ?? false,
    ...(context === undefined ? {} : { context }),
    ...(signal ? { signal } : {}),
    onProgress: (progress) => report(loading(progress)),
  });
}

/** Exceeds what the model was trained for only where the caller named a context. */
function lengthsFor({ context, trainedContext }: ModelInfo, { frontiers, newTokens, ...asked }: Asked): Lengths {
  const most = asked.context === undefined ? Math.min(context, trainedContext) : context;
  const lengths = lengthsOf(frontiers, most, newTokens);
  if (lengths.fitting.length === 0) throw nothingFits(frontiers, most - newTokens);
  return lengths;
}

function describe(
  dense: Engine,
  { runs, warmups, newTokens }: Asked,
  parts: Pick<CompareResult, "measured" | "interleaved" | "notes" | "variants" | "skipped">,
): CompareResult {
  const { weightBytes, loadMs } = dense.stats();
  return {
    format: 1,
    kind: "swiftkv",
    ...environment(dense),
    model: dense.model,
    undistilled: true,
    memory: { weightBytes },
    loadMs,
    options: { runs, warmups, newTokens, kv: [...new Set(parts.variants.map(({ kv }) => kv))] },
    ...parts,
  };
}

/** "dense", "K 14 · G 2"; with the recipe where there is more than one. */
export function variantName({ swiftkv, kv }: Wanted, recipes: readonly string[]): string {
  const shape = swiftkv ? `K ${swiftkv.layers} · G ${swiftkv.group}` : "dense";
  return recipes.length > 1 ? `${shape}, ${kv}` : shape;
}

// Shapes

export const DEFAULT_SHAPES: readonly WantedShape[] = [
  { share: 0.5, group: 1 },
  { share: 0.5, group: 2 },
];

/** The dense model with the first recipe is the first of them. */
function variantsFor({ shapes, kv, own }: Asked, layers: number): { wanted: Wanted[]; notes: string[] } {
  const common = shapesFor(shapes, layers);
  const alone = own.map((each) => ({ ...shapesFor([each.shape], layers), kv: each.kv }));
  const wanted = [
    ...kv.flatMap((recipe) => [null, ...common.shapes].map((swiftkv) => ({ swiftkv, kv: recipe }))),
    ...alone.flatMap((each) => each.shapes.map((swiftkv) => ({ swiftkv, kv: each.kv }))),
  ];
  return { wanted, notes: [...new Set([common, ...alone].flatMap(({ notes }) => notes))] };
}

/** The shapes for a model of so many layers, without duplicates, and what had to be changed. */
export function shapesFor(wanted: readonly WantedShape[], layers: number): { shapes: SwiftKv[]; notes: string[] } {
  const shapes = new Map<string, SwiftKv>();
  const notes = new Set<string>();
  for (const shape of wanted) {
    const ideal = "share" in shape ? shape.share * layers : shape.layers;
    const own = "share" in shape ? ownLayers(layers, ideal, shape.group) : shape.layers;
    if (own === null) notes.add(`G ${shape.group} is left out: ${layers} layers are too few.`);
    else shapes.set(`${own} ${shape.group}`, { layers: own, group: shape.group });
    if (own !== null && own !== ideal)
      notes.add(`K ${own} stands for ${ideal} of ${layers} layers: G has to divide what is left.`);
  }
  return { shapes: [...shapes.values()], notes: [...notes] };
}

/**
 * K near `ideal`. Preferably one that leaves a multiple of 4, so that groups of 1, 2 and 4 can be compared with each
 * other at the same K; where none is within an eighth of the layers, the nearest that `group` allows, if any.
 */
function ownLayers(layers: number, ideal: number, group: number): number | null {
  const distance = (own: number): number => Math.abs(own - ideal);
  const nearest = Array.from({ length: layers - 1 }, (_, i) => i + 1).toSorted((a, b) => distance(a) - distance(b));
  const leaves = (multiple: number) => (own: number) => (layers - own) % multiple === 0;
  const common = nearest.filter(leaves(4)).find((own) => distance(own) <= layers / 8);
  if (common !== undefined && leaves(group)(common)) return common;
  return nearest.find(leaves(group)) ?? null;
}

// Engines

interface Wanted {
  swiftkv: SwiftKv | null;
  kv: string;
}

interface Facts extends Wanted {
  kvBytesPerToken: number;
  kvBytes: number;
  model: ModelInfo;
}

/** The variants as engines on the weights of `dense`, which is the first: all at once, or one at a time. */
class Fleet {
  interleaved = true;
  readonly wanted: readonly Wanted[];
  readonly facts: Facts[] = [];
  readonly #engines = new Map<number, Engine>();
  readonly #dense: Engine;
  readonly #signal: AbortSignal | undefined;

  constructor(dense: Engine, wanted: readonly Wanted[], signal: AbortSignal | undefined) {
    this.#dense = dense;
    this.wanted = wanted;
    this.#signal = signal;
    this.#keep(0, dense);
  }

  /** Opens as many as have caches that fit together into `most` bytes. */
  async open(most: number): Promise<void> {
    for (const index of this.wanted.keys()) {
      await this.engine(index);
      const bytes = this.facts.reduce((sum, { kvBytes }) => sum + kvBytes, 0);
      if (bytes > most) this.interleaved = false;
      if (!this.interleaved) return;
    }
  }

  /** Where they do not alternate, it closes the one before. */
  async engine(index: number): Promise<Engine> {
    const open = this.#engines.get(index);
    if (open) return open;
    if (!this.interleaved) this.#closeTwins();
    const { swiftkv, kv } = this.wanted[index]!;
    const context = this.#dense.model.context;
    const trained = trainedFor(kv, this.#dense.model);
    const options = { kv, context, trained, ...(this.#signal ? { signal: this.#signal } : {}) };
    return this.#keep(index, await convert(this.#dense, swiftkv ?? false, options));
  }

  #keep(index: number, engine: Engine): Engine {
    const { kvBytesPerToken, kvBytes } = engine.stats();
    this.#engines.set(index, engine);
    this.facts[index] = { ...this.wanted[index]!, kvBytesPerToken, kvBytes, model: engine.model };
    return engine;
  }

  #closeTwins(): void {
    for (const [index, engine] of this.#engines) {
      if (index === 0) continue;
      engine.dispose();
      this.#engines.delete(index);
    }
  }

  dispose(): void {
    this.#closeTwins();
    this.#dense.dispose();
  }
}

// Runs

interface Turn {
  variant: number;
  /** Which of the lengths. */
  at: number;
  run: number;
}

/** Interleaved, the variants alternate within a run, so that a machine that slows down affects all of them. */
function turnsOf(variants: number, lengths: readonly Length[], runs: number, interleaved: boolean): Turn[] {
  const range = (length: number): number[] => Array.from({ length }, (_, i) => i);
  const turns = lengths.flatMap((_, at) =>
    range(runs).flatMap((run) => range(variants).map((variant) => ({ variant, at, run: run + 1 }))),
  );
  return interleaved ? turns : turns.toSorted((a, b) => a.variant - b.variant);
}

/** Milliseconds of the runs of one variant at one length. */
interface Trial {
  firstTokenMs: number[];
  decodeMs: number[];
  /** Of the last run: every run has as many tokens. */
  promptBytes: number;
}

/** By variant and length. */
async function runAll(fleet: Fleet, lengths: readonly Length[], asked: Asked, report: Report): Promise<Trial[][]> {
  const { runs, warmups, newTokens, signal } = asked;
  const recipes = fleet.wanted.map(({ kv }) => kv);
  const trials = fleet.wanted.map(() => lengths.map((): Trial => ({ firstTokenMs: [], decodeMs: [], promptBytes: 0 })));
  const turns = turnsOf(trials.length, lengths, warmups + runs, fleet.interleaved);
  for (const [done, { variant, at, run }] of turns.entries()) {
    const { frontier, promptTokens } = lengths[at]!;
    const name = variantName(fleet.wanted[variant]!, [...new Set(recipes)]);
    report({ text: `${frontier} tokens, ${name}, run ${run} of ${warmups + runs}`, share: done / turns.length });
    const engine = await fleet.engine(variant);
    const tokens = syntheticTokens(promptTokens, engine.model.vocabulary, run);
    const stats = await runOnce(engine, tokens, { newTokens, ...(signal ? { signal } : {}) });
    if (run <= warmups) continue;
    const trial = trials[variant]![at]!;
    trial.promptBytes = stats.kvBytesPerToken * promptTokens;
    trial.firstTokenMs.push(stats.prefillMs);
    trial.decodeMs.push(1000 / stats.decodeTokensPerSecond);
  }
  return trials;
}

function evaluate(facts: readonly Facts[], lengths: readonly Length[], trials: readonly Trial[][]): CompareVariant[] {
  return facts.map(({ swiftkv, kv, kvBytesPerToken, kvBytes, model }, index) => {
    const base = Math.max(
      0,
      facts.findIndex((other) => other.kv === kv && other.swiftkv === null),
    ); // or else the first
    const rows = lengths.map((length, at) => {
      const predicted = modelFlops(facts[base]!, length.promptTokens) / modelFlops({ model }, length.promptTokens);
      return rowOf(length, trials[index]![at]!, trials[base]![at]!, predicted);
    });
    const kvToDense = kvBytesPerToken / facts[base]!.kvBytesPerToken;
    return { swiftkv, kv, kvBytesPerToken, kvToDense, kvBytes, rows };
  });
}

function rowOf(length: Length, trial: Trial, base: Trial, predictedSpeedup: number): CompareRow {
  const [firstTokenMs, decodeMs] = [spread(trial.firstTokenMs), spread(trial.decodeMs)];
  const denseMs = spread(base.firstTokenMs).median;
  const speedup = denseMs / firstTokenMs.median;
  return {
    ...length,
    firstTokenMs,
    prefill: spread(trial.firstTokenMs.map((ms) => (1000 * length.promptTokens) / ms)),
    speedup,
    predictedSpeedup,
    ofPredicted: speedup / predictedSpeedup,
    predictedMs: denseMs / predictedSpeedup,
    decodeMs,
    decodeToDense: decodeMs.median / spread(base.decodeMs).median,
    promptBytes: trial.promptBytes,
  };
}
