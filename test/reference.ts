// THE ORACLE: a whole decoder-only transformer in float64, plain loops, nothing imported and nothing optimised.
// Llama, Mistral, Qwen2, Qwen3 and the SwiftKV form of each; Gemma 3, Granite, OLMo 2, SmolLM3, Phi-3, Ministral 3. Every shader and the engine are tested against this
// file; this file is tested against Hugging Face transformers (test/golden/README.md).
//
//   token → embedding → L × [ norm → q, k, v → rotate → attention → +  → norm → gated MLP → + ] → norm → logits
//
// Letters: T tokens in this step, S keys visible, L layers, D model width, H query heads, G key/value heads, E head
// width, V vocabulary. Activations are arrays of rows: [T][D] is T arrays of length D.

/** A weight as the checkpoint names it; matrices are [out, in], row-major. */
export interface Tensor {
  shape: readonly number[];
  data: Float32Array | Float64Array;
}

/** One token's activations: [D], [H·E], … */
type Row = Float64Array;
type Tokens = readonly number[];

export type Tensors = ReadonlyMap<string, Tensor>;

/** config.json, parsed: the Hugging Face vocabulary. */
export type HubConfig = Readonly<Record<string, unknown>>;

/** What the mathematics needs of config.json. */
export interface Shape extends Record<"L" | "D" | "H" | "G" | "E" | "V" | "eps", number> {
  tied: boolean;
  /** [L] how many keys a query sees, its own included; Infinity = all. */
  windows: number[];
  /** [L] how queries and keys are rotated. */
  turns: Turn[];
  /** What q·k, embeddings, what a block adds, and logits are multiplied by; what is added to the weights of norms. */
  scale: number;
  embedding: number;
  residual: number;
  logits: number;
  normOffset: number;
  gelu: boolean;
  /** Norms before each of a layer's blocks, and after. */
  normsBefore: boolean;
  normsAfter: boolean;
  /** SwiftKV: layers that make their own keys and values; L = an ordinary model. */
  ownLayers: number;
  /** SwiftKV: how many of the later layers share one cache. */
  groupSize: number;
}

export interface Turn {
  /** Radians by which a pair of channels turns per position; channels beyond 2 · frequencies.length stay. */
  frequencies: Float64Array;
  /** Those of texts of at most `upTo` tokens. */
  short?: { frequencies: Float64Array; upTo: number };
  /** What rotated channels are multiplied by. */
  length: number;
  /** Queries are multiplied by 1 + growth · ln(1 + ⌊position / original⌋). */
  growth: number;
  original: number;
}

export type Heads = Pick<Shape, "H" | "G" | "E">;

export type Model = { shape: Shape; tensors: Tensors };

/** Keys (rotated) and values of all tokens so far: `keys[layer][position]` is a row [G·E]. Non-owners stay empty. */
export interface Cache {
  length: number;
  keys: Row[][];
  values: Row[][];
}

/** One query head and all that its store holds of its key/value head, up to the query's own position. */
export interface HeadView {
  /** [E], rotated */
  query: Row;
  /** [position + 1][E] */
  keys: Row[];
  values: Row[];
  /** Query head; layer whose keys and values these are; key/value head; position of the query; first position that it sees. */
  head: number;
  owner: number;
  group: number;
  position: number;
  begin: number;
}

export interface ForwardOptions {
  /** What enters the cache is rounded as a cache of this format does. Default "f64". */
  kv?: "f64" | "f16" | "int8" | "int4";
  /** "last" gives logits of the last token only; a SwiftKV model then skips its later layers for all others. */
  rows?: "all" | "last";
  /** Stands in for attention, head by head: what a cache system makes of the keys and values of its store. */
  attendHead?: (head: HeadView) => Row;
  /** Sees intermediates: hidden, query (rotated), attention (before o_proj), mlp. */
  observe?: (name: string, layer: number, rows: readonly Row[]) => void;
}

// ---- config.json ---------------------------------------------------------------------------------------------------

/** Reads config.json in either spelling of RoPE. Throws on what the oracle does not know. */
export function createModel(config: HubConfig, tensors: Tensors): Model {
  const L = count(config, "num_hidden_layers");
  const D = count(config, "hidden_size");
  const H = count(config, "num_attention_heads");
  const E = count(config, "head_dim", D / H);
  const shape: Shape = {
    L,
    D,
    H,
    E,
    G: count(config, "num_key_value_heads", H),
    V: count(config, "vocab_size"),
    eps: count(config, "rms_norm_eps", 1e-6),
    tied: config.tie_word_embeddings === true || !tensors.has("lm_head.weight"),
    windows: Array.from({ length: L }, (_, layer) => readWindow(config, layer)),
    turns: Array.from({ length: L }, (_, layer) => readTurn(config, layer, E)),
    ...readFamily(config, D, E),
    ownLayers: config.swiftkv === false ? L : count(config, "num_key_value_layers", L),
    groupSize: count(config, "key_value_group_size", 1),
  };
  if (E % 2 !== 0) throw new Error(`reference: head width; got ${E}, want an even number.`);
  return { shape, tensors: unfused(shape, tensors) };
}

/** What each family has in another way than Llama. */
function readFamily(config: HubConfig, D: number, E: number) {
  const family = String(config.model_type);
  const [gemma, granite, olmo] = ["gemma3_text", "granite", "olmo2"].map((name) => name === family);
  const multiplier = (name: string): number => (granite ? count(config, name, 1) : 1);
  const queryScalar = gemma ? count(config, "query_pre_attn_scalar") : E;
  return {
    scale: granite ? multiplier("attention_multiplier") : 1 / Math.sqrt(queryScalar),
    embedding: gemma ? Math.sqrt(D) : multiplier("embedding_multiplier"),
    residual: multiplier("residual_multiplier"),
    logits: 1 / multiplier("logits_scaling"),
    normOffset: gemma ? 1 : 0,
    gelu: gemma!,
    normsBefore: !olmo,
    normsAfter: gemma! || olmo!,
  };
}

/** Phi-3 has q·k·v in one matrix, and gate·up. */
function unfused({ H, G, E }: Shape, tensors: Tensors): Tensors {
  const parts = new Map(tensors);
  const split = (name: string, into: [string, number][]): void => {
    const { data, shape } = tensors.get(name)!;
    let row = 0;
    for (const [part, rows] of into) {
      const depth = shape[1]!;
      const values = data.subarray(row * depth, (row + rows) * depth);
      parts.set(name.replace(/\w+_proj/, part), { shape: [rows, depth], data: values });
      row += rows;
    }
  };
  for (const [name, { shape }] of tensors) {
    if (name.includes("qkv_proj"))
      split(name, [["q_proj", H * E], ["k_proj", G * E], ["v_proj", G * E]]); // prettier-ignore
    if (name.includes("gate_up_proj")) split(name, [["gate_proj", shape[0]! / 2], ["up_proj", shape[0]! / 2]]); // prettier-ignore
  }
  return parts;
}

function count(config: HubConfig, name: string, fallback?: number): number {
  const value = config[name] ?? fallback;
  if (typeof value !== "number") throw new Error(`reference: config.${name}; got ${String(value)}, want a number.`);
  return value;
}

/** [L] by layer_types; else Qwen windows layers from max_window_layers on, Gemma all but every sixth, others every layer. */
function readWindow(config: HubConfig, layer: number): number {
  const family = String(config.model_type).replace("_swiftkv", "");
  const asked = family.startsWith("qwen") || family === "smollm3" ? config.use_sliding_window === true : true;
  if (!asked || config.sliding_window == null || family === "llama") return Infinity;
  const types = config.layer_types;
  const from = family.startsWith("qwen") ? count(config, "max_window_layers", 28) : 0;
  const sixth = count(config, "sliding_window_pattern", 6);
  const slides = family === "gemma3_text" ? (layer + 1) % sixth !== 0 : layer >= from;
  const here = Array.isArray(types) ? types[layer] === "sliding_attention" : slides;
  return here ? count(config, "sliding_window") : Infinity;
}

/** What turns layer `layer`. `rope_parameters` is the newer spelling of `rope_theta` + `rope_scaling`. */
function readTurn(config: HubConfig, layer: number, E: number): Turn {
  const all = (config.rope_parameters ?? config.rope_scaling ?? {}) as HubConfig;
  if (config.model_type === "gemma3_text") return gemmaTurn(config, all, readWindow(config, layer) < Infinity, E);
  const theta = count(all, "rope_theta", count(config, "rope_theta", 10000));
  const turn = readScaled(config, all, theta, E);
  const still = config.model_type === "smollm3" && !turnsIn(config, layer);
  return still ? { ...turn, frequencies: turn.frequencies.map(() => 0) } : turn;
}

/** SmolLM3: every fourth layer does not, unless a list says otherwise. */
const turnsIn = ({ no_rope_layers: flags }: HubConfig, layer: number): boolean =>
  Array.isArray(flags) ? flags[layer] === 1 : layer % 4 !== 3;

/** Gemma 3: layers with a window have a base of their own, and no scaling unless `rope_parameters` gives one. */
function gemmaTurn(config: HubConfig, all: HubConfig, slides: boolean, E: number): Turn {
  const [name, base] = slides ? (["rope_local_base_freq", 10000] as const) : (["rope_theta", 1e6] as const);
  const own = all[slides ? "sliding_attention" : "full_attention"] as HubConfig | undefined;
  const rope = own ?? (slides ? {} : all);
  return readScaled(config, rope, count(rope, "rope_theta", count(config, name, base)), E);
}

/** θ^(−2i/R) of the R first channels of a head, then stretched. */
function readScaled(config: HubConfig, rope: HubConfig, theta: number, E: number): Turn {
  const share = count(rope, "partial_rotary_factor", count(config, "partial_rotary_factor", 1));
  const R = Math.floor(E * share);
  const kind = rope.rope_type ?? rope.type ?? "default";
  const plain = Float64Array.from({ length: R / 2 }, (_, i) => theta ** ((-2 * i) / R));
  const growth = count(rope, "llama_4_scaling_beta", 0);
  const turn = { length: 1, growth, original: growth ? count(rope, "original_max_position_embeddings") : 1 };
  if (kind === "default") return { ...turn, frequencies: plain };
  if (kind === "linear") return { ...turn, frequencies: plain.map((f) => f / count(rope, "factor")) };
  if (kind === "llama3") return { ...turn, frequencies: plain.map((f) => stretchLlama3(f, rope)) };
  if (kind === "longrope" || kind === "su") return { ...turn, ...longTurn(config, rope, plain) };
  if (kind !== "yarn") throw new Error(`reference: rope_type; got ${String(kind)}, want one that it knows.`);
  const frequencies = plain.map((f, i) => f * yarnShare(i, R, theta, rope));
  return { ...turn, frequencies, length: yarnLength(rope) };
}

/** Divided by the long factors, or by the short ones within the original context. */
function longTurn(config: HubConfig, rope: HubConfig, plain: Float64Array) {
  const original = count(config, "original_max_position_embeddings", Number(rope.original_max_position_embeddings));
  const factor = count(rope, "factor", count(config, "max_position_embeddings") / original);
  const length = count(rope, "attention_factor", Math.sqrt(1 + Math.log(factor) / Math.log(original)));
  const divided = (name: string) => plain.map((f, i) => f / (rope[name] as number[])[i]!);
  return {
    frequencies: divided("long_factor"),
    length,
    short: { frequencies: divided("short_factor"), upTo: original },
  };
}

/** Waves that fit often into the trained context stay, those longer than it are stretched, between is a blend. */
function stretchLlama3(frequency: number, rope: HubConfig): number {
  const low = count(rope, "low_freq_factor");
  const high = count(rope, "high_freq_factor");
  const turns = (count(rope, "original_max_position_embeddings") * frequency) / (2 * Math.PI);
  const keep = Math.min(1, Math.max(0, (turns - low) / (high - low)));
  return keep * frequency + ((1 - keep) * frequency) / count(rope, "factor");
}

/** Of pair i, by how often it turns within the original context: more than 32 times kept, less than once stretched. */
function yarnShare(i: number, E: number, theta: number, rope: HubConfig): number {
  const original = count(rope, "original_max_position_embeddings");
  const pairThatTurns = (times: number) => ((E / 2) * Math.log(original / (2 * Math.PI * times))) / Math.log(theta);
  const first = Math.max(0, Math.floor(pairThatTurns(32)));
  const last = Math.min(E - 1, Math.ceil(pairThatTurns(1)));
  const slow = Math.min(1, Math.max(0, (i - first) / (last - first)));
  return slow / count(rope, "factor") + (1 - slow);
}

/** Yarn lengthens queries and keys both, so that attention over long texts is as sharp; Ministral's two scales cancel. */
const yarnLength = (rope: HubConfig): number =>
  rope.mscale !== undefined && rope.mscale === rope.mscale_all_dim ? 1 : 1 + Math.log(count(rope, "factor")) / 10;

// ---- the mathematics, one row at a time -----------------------------------------------------------------------------

/** y[i] = x[i] · weight[i] / √(mean(x²) + eps) */
export function rmsNorm(x: Row, weight: ArrayLike<number>, eps: number): Row {
  let squares = 0;
  for (const value of x) squares += value * value;
  const scale = 1 / Math.sqrt(squares / x.length + eps);
  return x.map((value, i) => value * scale * weight[i]!);
}

/** y[o] = Σᵢ weight[o, i] · x[i] + bias[o] */
export function linear(x: Row, weight: Tensor, bias?: Tensor): Row {
  const [outs, ins] = [weight.shape[0]!, weight.shape[1]!];
  if (ins !== x.length) throw new Error(`reference: matrix [${weight.shape}] times a row of ${x.length}.`);
  const y = new Float64Array(outs);
  for (let o = 0; o < outs; o++) {
    let sum = bias ? bias.data[o]! : 0;
    for (let i = 0; i < ins; i++) sum += weight.data[o * ins + i]! * x[i]!;
    y[o] = sum;
  }
  return y;
}

/** Turns channel pair (i, i + R/2) of every head of `width` by position · frequency[i]; x is [heads · width]. */
export function rotate(x: Row, position: number, frequencies: Float64Array, width = 2 * frequencies.length): Row {
  const half = frequencies.length;
  const y = x.slice();
  for (let head = 0; head < x.length; head += width) {
    for (let i = 0; i < half; i++) {
      const [a, b] = [x[head + i]!, x[head + half + i]!];
      const [cos, sin] = [Math.cos(position * frequencies[i]!), Math.sin(position * frequencies[i]!)];
      y[head + i] = a * cos - b * sin;
      y[head + half + i] = b * cos + a * sin;
    }
  }
  return y;
}

/** `total`: tokens of the text so far. */
function turned({ turns, E }: Shape, layer: number, x: Row, position: number, total: number): Row {
  const { length, short, frequencies: long } = turns[layer]!;
  const frequencies = short && total <= short.upTo ? short.frequencies : long;
  return rotate(x, position, frequencies, E).map((value, i) => (i % E < 2 * frequencies.length ? length : 1) * value);
}

/** As a query enters attention, which divides by √E: what else scales q·k is in it. */
function queryOf(shape: Shape, layer: number, x: Row, position: number, total: number): Row {
  const { growth, original } = shape.turns[layer]!;
  const scale = shape.scale * Math.sqrt(shape.E) * (1 + growth * Math.log(1 + Math.floor(position / original)));
  return turned(shape, layer, x, position, total).map((value) => value * scale);
}

/** x − log Σ exp x: natural log-probabilities. */
export function logSoftmax(x: Row): Row {
  const max = x.reduce((a, b) => Math.max(a, b), -Infinity);
  const total = x.reduce((sum, value) => sum + Math.exp(value - max), 0);
  return x.map((value) => value - max - Math.log(total));
}

/** One query [H·E] over the keys and values it sees [S][G·E] → [H·E]; query head h reads key head ⌊h·G/H⌋. */
export function attend(query: Row, keys: readonly Row[], values: readonly Row[], { H, G, E }: Heads): Row {
  const out = new Float64Array(H * E);
  for (let h = 0; h < H; h++) {
    const g = Math.floor((h * G) / H);
    const scores = new Float64Array(keys.length);
    for (let s = 0; s < keys.length; s++) {
      for (let e = 0; e < E; e++) scores[s]! += (query[h * E + e]! * keys[s]![g * E + e]!) / Math.sqrt(E);
    }
    const weights = logSoftmax(scores).map(Math.exp);
    for (let s = 0; s < keys.length; s++) {
      for (let e = 0; e < E; e++) out[h * E + e]! += weights[s]! * values[s]![g * E + e]!;
    }
  }
  return out;
}

/** One query [E] over some keys and values [S][E]. */
export const attendOne = (query: Row, keys: readonly Row[], values: readonly Row[]): Row =>
  attend(query, keys, values, { H: 1, G: 1, E: query.length });

/** silu(gate) · up, or GELU by tanh in its place */
export function gated(gate: Row, up: Row, gelu = false): Row {
  const silu = (value: number): number => value / (1 + Math.exp(-value));
  const tanh = (value: number): number => Math.tanh(Math.sqrt(2 / Math.PI) * (value + 0.044715 * value ** 3));
  return gate.map((value, i) => (gelu ? 0.5 * value * (1 + tanh(value)) : silu(value)) * up[i]!);
}

const add = (a: Row, b: Row): Row => a.map((value, i) => value + b[i]!);

/** `value` in the eight leading bits of its significand, the rest rounded down, or up. */
function toEight(value: number, round: (steps: number) => number): number {
  if (value === 0) return 0;
  const unit = 2 ** (Math.floor(Math.log2(Math.abs(value))) - 7);
  return round(value / unit) * unit;
}

/**
 * Each head of [G·E] in `bits` per value: a minimum plus whole steps. The minimum is the head's, rounded down, the step
 * reaches its maximum, rounded up, both to eight bits.
 */
export function toSteps(row: Row, E: number, bits: number): Row {
  const rounded = new Float64Array(row.length);
  const most = 2 ** bits - 1;
  for (let first = 0; first < row.length; first += E) {
    const head = row.subarray(first, first + E);
    const [low, high] = [Math.min(...head), Math.max(...head)];
    const minimum = toEight(low, Math.floor);
    const scale = toEight((high - minimum) / most, Math.ceil);
    const steps = head.map((value) => Math.max(0, Math.min(most, Math.round((value - minimum) / (scale || 1)))));
    rounded.set(
      steps.map((step) => minimum + scale * step),
      first,
    );
  }
  return rounded;
}

/** The nearest half-precision number, ties to even; subnormals kept, beyond 65504 infinite. */
export function toHalf(value: number): number {
  if (!Number.isFinite(value) || value === 0) return value;
  const exponent = Math.max(-14, Math.floor(Math.log2(Math.abs(value))));
  // Adding 1.5 · 2⁵² steps leaves float64 no room for a fraction of a step: the addition itself rounds, ties to even.
  const shift = 1.5 * 2 ** 52 * 2 ** (exponent - 10);
  const rounded = value + shift - shift;
  return Math.abs(rounded) > 65504 ? Math.sign(value) * Infinity : rounded;
}

// ---- the model ------------------------------------------------------------------------------------------------------

export function createCache({ shape: { L } }: Model): Cache {
  return { length: 0, keys: Array.from({ length: L }, () => []), values: Array.from({ length: L }, () => []) };
}

/** What every layer of one forward call shares; `positions` [T] are absolute, `total` tokens with them. */
type Step = { model: Model; cache: Cache; options: ForwardOptions; positions: number[]; total: number };

/**
 * Logits [T, V] of `tokens` (or [1, V] with rows "last"), which follow what `cache` holds and are appended to it.
 * Feeding a prompt in chunks through one cache gives the same numbers as feeding it whole.
 */
export function forward(model: Model, tokens: Tokens, cache = createCache(model), options: ForwardOptions = {}): Row {
  const { L, V, tied, ownLayers, groupSize } = model.shape;
  const step: Step = {
    model,
    cache,
    options,
    positions: tokens.map((_, t) => cache.length + t),
    total: cache.length + tokens.length,
  };
  let hidden = tokens.map((token) => embed(model, token));
  for (let layer = 0; layer < L; layer++) {
    if (layer === ownLayers) {
      // SwiftKV: the keys and values of all later layers come from the residual stream here; then only tokens whose
      // logits are wanted need go on.
      const shared = hidden.map((row) => norm(model, "model.norm_swiftkv", row));
      for (let owner = layer; owner < L; owner += groupSize) remember(step, owner, shared);
      if (options.rows === "last") [hidden, step.positions] = [hidden.slice(-1), step.positions.slice(-1)];
    }
    hidden = block(step, layer, hidden);
  }
  cache.length += tokens.length;
  if (options.rows === "last") hidden = hidden.slice(-1);
  const head = weight(model, tied ? "model.embed_tokens" : "lm_head");
  const rows = hidden.map((row) =>
    linear(norm(model, "model.norm", row), head).map((value) => value * model.shape.logits),
  );
  const logits = new Float64Array(rows.length * V);
  rows.forEach((row, t) => logits.set(row, t * V));
  return logits;
}

/** One layer: [T][D] → [T][D]. */
function block(step: Step, layer: number, hidden: Row[]): Row[] {
  const { model, cache, options, positions } = step;
  const { shape } = model;
  const at = `model.layers.${layer}`;
  const swift = layer >= shape.ownLayers;
  const owner = swift ? layer - ((layer - shape.ownLayers) % shape.groupSize) : layer;
  options.observe?.("hidden", layer, hidden);

  const normed = shape.normsBefore ? hidden.map((row) => norm(model, `${at}.input_layernorm`, row)) : hidden;
  if (!swift) remember(step, layer, normed);
  const queries = normed.map((row, t) => {
    const query = project(model, `${at}.self_attn.q_proj${swift ? "_swiftkv" : ""}`, row);
    return queryOf(shape, owner, headNorm(model, `${at}.self_attn.q_norm`, query), positions[t]!, step.total);
  });
  options.observe?.("query", layer, queries);
  const attention = queries.map((query, t) => {
    const end = positions[t]! + 1;
    const begin = Math.max(0, end - shape.windows[layer]!);
    if (options.attendHead) return byHead(step, owner, query, { position: end - 1, begin });
    return attend(query, cache.keys[owner]!.slice(begin, end), cache.values[owner]!.slice(begin, end), shape);
  });
  options.observe?.("attention", layer, attention);
  const after = (name: string, row: Row): Row =>
    (shape.normsAfter ? norm(model, `${at}.${name}`, row) : row).map((value) => value * shape.residual);
  const middle = hidden.map((row, t) =>
    add(row, after("post_attention_layernorm", project(model, `${at}.self_attn.o_proj`, attention[t]!))),
  );

  const before = shape.normsAfter ? "pre_feedforward_layernorm" : "post_attention_layernorm";
  const mlp = middle.map((row) => {
    const x = shape.normsBefore ? norm(model, `${at}.${before}`, row) : row;
    const [gate, up] = [project(model, `${at}.mlp.gate_proj`, x), project(model, `${at}.mlp.up_proj`, x)];
    return after("post_feedforward_layernorm", project(model, `${at}.mlp.down_proj`, gated(gate, up, shape.gelu)));
  });
  options.observe?.("mlp", layer, mlp);
  return middle.map((row, t) => add(row, mlp[t]!));
}

/** A query [H·E] through `attendHead`, head by head. */
function byHead(
  { model: { shape }, cache, options }: Step,
  owner: number,
  query: Row,
  { position, begin }: Pick<HeadView, "position" | "begin">,
): Row {
  const { H, G, E } = shape;
  const out = new Float64Array(H * E);
  for (let h = 0; h < H; h++) {
    const group = Math.floor((h * G) / H);
    const part = (rows: Row[]) => rows.slice(0, position + 1).map((row) => row.subarray(group * E, (group + 1) * E));
    const [keys, values] = [part(cache.keys[owner]!), part(cache.values[owner]!)];
    const head = { query: query.subarray(h * E, (h + 1) * E), keys, values, head: h, owner, group, position, begin };
    out.set(options.attendHead!(head), h * E);
  }
  return out;
}

/** Makes keys and values [T][G·E] from normed rows [T][D] and appends them to the layer's cache. */
function remember({ model, cache, options, positions, total }: Step, layer: number, normed: Row[]): void {
  const at = `model.layers.${layer}.self_attn`;
  const suffix = layer >= model.shape.ownLayers ? "_swiftkv" : "";
  const { E } = model.shape;
  const store = (row: Row): Row => {
    if (options.kv === "f16") return row.map(toHalf);
    if (options.kv === "int8") return toSteps(row, E, 8);
    return options.kv === "int4" ? toSteps(row, E, 4) : row;
  };
  normed.forEach((row, t) => {
    const key = headNorm(model, `${at}.k_norm`, project(model, `${at}.k_proj${suffix}`, row));
    cache.keys[layer]!.push(store(turned(model.shape, layer, key, positions[t]!, total)));
    cache.values[layer]!.push(store(project(model, `${at}.v_proj${suffix}`, row)));
  });
}

function embed(model: Model, token: number): Row {
  const { D, V } = model.shape;
  if (!(Number.isInteger(token) && token >= 0 && token < V)) {
    throw new Error(`reference: token id; got ${token}, want an integer in 0 … ${V - 1}.`);
  }
  const row = weight(model, "model.embed_tokens").data.subarray(token * D, (token + 1) * D);
  return Float64Array.from(row, (value) => value * model.shape.embedding);
}

function weight({ tensors }: Model, name: string): Tensor {
  const tensor = tensors.get(`${name}.weight`);
  if (!tensor) throw new Error(`reference: the checkpoint lacks ${name}.weight.`);
  return tensor;
}

/** Biases are applied where the checkpoint has them (Qwen2: q, k, v; Llama: attention_bias, mlp_bias). */
function project(model: Model, name: string, x: Row): Row {
  return linear(x, weight(model, name), model.tensors.get(`${name}.bias`));
}

function norm(model: Model, name: string, x: Row): Row {
  const { eps, normOffset } = model.shape;
  return rmsNorm(
    x,
    Float64Array.from(weight(model, name).data, (value) => value + normOffset),
    eps,
  );
}

/** Qwen3 and Gemma 3 normalise each head of q and k [heads·E] by itself, OLMo 2 all together; others have no such weight. */
function headNorm({ shape: { eps, normOffset }, tensors }: Model, name: string, x: Row): Row {
  const tensor = tensors.get(`${name}.weight`);
  if (!tensor) return x;
  const weights = Float64Array.from(tensor.data, (value) => value + normOffset);
  const y = new Float64Array(x.length);
  const width = weights.length;
  for (let h = 0; h < x.length; h += width) y.set(rmsNorm(x.subarray(h, h + width), weights, eps), h);
  return y;
}

// ---- what one does with logits --------------------------------------------------------------------------------------

export type Continuation = Record<"tokens" | "logprobs" | "margins", number[]>;

/**
 * The `count` most likely tokens after `prompt`, one by one; the lowest id wins a tie. A margin is best minus second
 * best logit: where it is below a path's error, that path's tokens may rightly differ.
 */
export function greedy(model: Model, prompt: Tokens, count: number, options: ForwardOptions = {}): Continuation {
  const cache = createCache(model);
  const out: Continuation = { tokens: [], logprobs: [], margins: [] };
  for (let step = prompt; out.tokens.length < count; step = out.tokens.slice(-1)) {
    const logits = forward(model, step, cache, { ...options, rows: "last" });
    const best = logits.reduce((top, value, id) => (value > logits[top]! ? id : top), 0);
    const second = logits.reduce((top, value, id) => (id !== best && value > top ? value : top), -Infinity);
    out.tokens.push(best);
    out.logprobs.push(logSoftmax(logits)[best]!);
    out.margins.push(logits[best]! - second);
  }
  return out;
}

/** [T] natural log-probability of each token given those before it; entry 0 is NaN. */
export function score(model: Model, tokens: Tokens, options: ForwardOptions = {}): Row {
  const { V } = model.shape;
  const logits = forward(model, tokens, createCache(model), { ...options, rows: "all" });
  const at = (t: number): Row => logSoftmax(logits.subarray((t - 1) * V, t * V));
  return Float64Array.from(tokens, (token, t) => (t === 0 ? NaN : at(t)[token]!));
}
