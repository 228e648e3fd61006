// Which layers of a model may read another one's keys and values: KVSharer's search (2410.18517). Texts are read once to find
// how far layers are from each other; then pairs are tried, the most different first, and stay where the model's last
// residual stream keeps its direction.
import type { ShareOptions, SharedPair, Sharing } from "../api.ts";
import { InputError } from "../errors.ts";
import { type ShareMap, writeMap } from "../kv/systems/kvsharer/map.ts";
import { StateReader, type TextStates } from "../model/states.ts";
import { tokensOf, windowsOf } from "./calibrate.ts";
import { type Base, withFit } from "./convert.ts";
import { byDistance, cosineOf, meanOf, withPair } from "./shares.ts";

/** Tokens of a text, and texts, as its authors took them. */
const WINDOW = 64;
const MOST_TEXTS = 30;
const LEAST_COSINE = 0.5;

/** Full windows, evenly spread over the texts. */
function pick(tokens: readonly number[], prefix: readonly number[]): number[][] {
  const windows = windowsOf(tokens, prefix, WINDOW).filter(({ length }) => length === WINDOW);
  if (windows.length === 0) {
    throw new InputError(`share: too short; got ${tokens.length} tokens, want at least ${WINDOW}. Give a longer text.`);
  }
  const count = Math.min(MOST_TEXTS, windows.length);
  return Array.from({ length: count }, (_, i) => windows[Math.floor((i * windows.length) / count)]!);
}

/** What the windows leave in the model under this recipe. */
async function statesUnder(base: Base, kv: string, windows: readonly (readonly number[])[], options: ShareOptions) {
  options.signal?.throwIfAborted();
  const settings = { kv, sequences: 1, context: WINDOW, chunk: WINDOW };
  const model = await withFit(base, null, null, { ...settings, ...(options.signal && { signal: options.signal }) });
  try {
    const reader = new StateReader(model.gpu, model.transformer);
    const states: TextStates[] = [];
    for (const window of windows) {
      options.signal?.throwIfAborted();
      states.push(await reader.read(window));
    }
    return states;
  } finally {
    model.gpu.dispose();
  }
}

/** Throws InputError for texts and numbers that cannot be used; the signal's reason on abort, which leaves nothing behind. */
export async function searchShares(base: Base, options: ShareOptions): Promise<Sharing> {
  const { config, language } = base;
  const { layers } = options;
  if (config.swiftkv) {
    throw new InputError(
      "share: got a SwiftKV model, want an ordinary one. Search on the model that it was made from.",
    );
  }
  if (!Number.isInteger(layers) || layers < 1 || layers >= config.layers) {
    throw new InputError(`share: layers; got ${layers}, want a whole number from 1 to ${config.layers - 1}.`);
  }
  const { tokens, prefix } = tokensOf(options.texts, language, config, "share");
  const windows = pick(tokens, prefix);
  const states = await statesUnder(base, "f32", windows, options);
  const pairs = byDistance(states.map(({ keys }) => keys), states.map(({ values }) => values), config.headWidth); // prettier-ignore
  const dense = states.map(({ hidden }) => hidden);
  const least = options.cosine ?? LEAST_COSINE;
  let map: ShareMap = Array.from({ length: config.layers }, (_, layer) => layer);
  const found: SharedPair[] = [];
  for (const [tried, { reader, owner, distance }] of pairs.entries()) {
    options.onProgress?.({ found: found.length, wanted: layers, tried, pairs: pairs.length });
    if (found.length === layers) break;
    if (found.some((each) => each.reader === reader)) continue;
    const next = withPair(map, reader, owner);
    const shared = await statesUnder(base, `f32+kvsharer:map=${writeMap(next)}`, windows, options);
    const cosine = meanOf(shared.map(({ hidden }, i) => cosineOf(dense[i]!, hidden, config.hiddenSize)));
    if (cosine <= least) continue;
    map = next;
    found.push({ reader, owner, distance, cosine });
  }
  return { map: writeMap(map), layers: config.layers, tokens: windows.length * WINDOW, pairs: found };
}
