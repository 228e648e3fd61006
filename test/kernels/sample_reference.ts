// Sampling in float64: what shaders/sample_*.wgsl and logit_adjust.wgsl are compared with.

/** One row of the `settings` buffer, in the order of its words. */
export interface RowSettings {
  sequence: number;
  temperature: number;
  topK: number;
  topP: number;
  minP: number;
  repetitionPenalty: number;
  frequencyPenalty: number;
  presencePenalty: number;
  seed: number;
  counter: number;
  biasCount: number;
  forced: number;
  masked: number;
  top: number;
}

export const NONE = 0xffffffff;
/** What NaN and -inf count as. */
export const LOWEST = Math.fround(-3e38);
export const MOST_BIASES = 64;
export const PROMPT_BIT = 0x80000000;
/** One row of `settings`. */
export const SETTING_WORDS = 14;

/** Greedy, nothing else on. */
export const plain: RowSettings = {
  sequence: 0,
  temperature: 0,
  topK: 0,
  topP: 1,
  minP: 0,
  repetitionPenalty: 1,
  frequencyPenalty: 0,
  presencePenalty: 0,
  seed: 0,
  counter: 0,
  biasCount: 0,
  forced: NONE,
  masked: 0,
  top: 0,
};

/** [M, 14] words as the shaders' `Settings` struct lays them out. */
export function packSettings(rows: readonly RowSettings[]): Uint32Array<ArrayBuffer> {
  const words = new Uint32Array(rows.length * SETTING_WORDS);
  const numbers = new Float32Array(words.buffer);
  rows.forEach((row, m) => {
    const at = m * SETTING_WORDS;
    words[at] = row.sequence;
    numbers[at + 1] = row.temperature;
    words[at + 2] = row.topK;
    numbers[at + 3] = row.topP;
    numbers[at + 4] = row.minP;
    numbers[at + 5] = row.repetitionPenalty;
    numbers[at + 6] = row.frequencyPenalty;
    numbers[at + 7] = row.presencePenalty;
    words.set([row.seed, row.counter, row.biasCount, row.forced, row.masked, row.top], at + 8);
  });
  return words;
}

/** [M, ⌈V / 32⌉] words in which bit i of word w says whether token 32·w + i of a row is allowed; bits beyond V are set. */
export function packMask(
  V: number,
  M: number,
  allows: (row: number, token: number) => boolean,
): Uint32Array<ArrayBuffer> {
  const width = Math.ceil(V / 32);
  const words = new Uint32Array(M * width);
  for (let m = 0; m < M; m++)
    for (let i = 0; i < width * 32; i++) if (i >= V || allows(m, i)) words[m * width + (i >>> 5)]! |= 1 << (i & 31);
  return words;
}

export const finite = (value: number): number =>
  Number.isNaN(value) ? LOWEST : Math.min(Math.max(value, LOWEST), -LOWEST);

function mix(value: number): number {
  let x = value >>> 0;
  x = Math.imul(x ^ (x >>> 16), 0x7feb352d) >>> 0;
  x = Math.imul(x ^ (x >>> 15), 0x846ca68b) >>> 0;
  return (x ^ (x >>> 16)) >>> 0;
}

/** Standard Gumbel noise of a token at one step. */
export function noise(seed: number, counter: number, token: number): number {
  const hashed = mix(mix((token ^ mix(seed)) >>> 0) ^ mix((counter + 0x9e3779b9) >>> 0));
  return -Math.log(-Math.log1p(-(hashed + 0.5) / 2 ** 32));
}

export interface Filtered {
  /** Kept token ids, best first. */
  ids: number[];
  /** Probability of each kept token under softmax(score / temperature). */
  probabilities: number[];
  /** How far the nearest decision was from turning out otherwise, in probability. */
  margin: number;
}

/** The tokens that top-k, top-p and min-p leave of a row, in that order. Equal scores are kept or dropped together. */
export function filtered(scores: ArrayLike<number>, row: RowSettings): Filtered {
  const clean = Array.from(scores, finite);
  let ids = clean.map((_, i) => i).toSorted((a, b) => clean[b]! - clean[a]! || a - b);
  const best = clean[ids[0]!]!;
  const weight = (id: number): number => Math.exp((clean[id]! - best) / row.temperature);
  let margin = Infinity;
  if (row.topK > 0 && row.topK < ids.length) {
    const least = clean[ids[row.topK - 1]!]!;
    ids = ids.filter((id) => clean[id]! >= least);
  }
  if (row.topP < 1) {
    const whole = ids.reduce((sum, id) => sum + weight(id), 0);
    const p = Math.fround(row.topP);
    let sum = 0;
    let end = 0;
    while (end < ids.length && (end === 0 || sum < p * whole)) {
      const value = clean[ids[end]!]!;
      for (; end < ids.length && clean[ids[end]!] === value; end++) sum += weight(ids[end]!);
      if (end < ids.length) margin = Math.min(margin, Math.abs(sum / whole - p));
    }
    ids = ids.slice(0, end);
  }
  if (row.minP > 0) {
    const least = Math.fround(row.minP);
    for (const id of ids) margin = Math.min(margin, Math.abs(weight(id) - least) / Math.max(least, 1e-3));
    ids = ids.filter((id, i) => i === 0 || weight(id) >= least || clean[id] === best);
  }
  const whole = ids.reduce((sum, id) => sum + weight(id), 0);
  return { ids, probabilities: ids.map((id) => weight(id) / whole), margin };
}

/** The best score + noise over `ids` and by how much it leads; greedy rows lead by Infinity (ties: lowest id). */
export function drawn(scores: ArrayLike<number>, row: RowSettings, ids: readonly number[]) {
  const noisy = (id: number): number =>
    finite(scores[id]!) + (row.temperature > 0 ? row.temperature * noise(row.seed, row.counter, id) : 0);
  let [token, best, second] = [-1, -Infinity, -Infinity];
  for (const id of ids.toSorted((a, b) => a - b)) {
    const value = noisy(id);
    if (value > best) [token, best, second] = [id, value, best];
    else if (value > second) second = value;
  }
  return { token, best, lead: row.temperature > 0 ? best - second : Infinity };
}

/** True where f32 arithmetic cannot turn the draw around: the lead is well above the noise's and the score's rounding. */
export const isClear = (lead: number, temperature: number, score: number): boolean =>
  lead > 2e-4 * temperature + 2 ** -20 * Math.abs(score) || lead === Infinity;
