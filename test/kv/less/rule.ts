// The float64 reference of LESS: what SnapKV drops of a prompt enters a state, which queries after the prompt read beside what is left.
import { expect } from "playwright/test";
import { pagesGivenUp, type PyramidOptions } from "../../../src/kv/systems/pyramid/budgets.ts";
import { HIDDEN } from "../../../src/kv/systems/less/shape.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { tolerance } from "../../golden/serve.ts";
import { drawMaps } from "../../kernels/kv/less_absorb.ts";
import { type FeatureMap, featuresOf, joined, partOf, partOfTokens, stateOf } from "../../kernels/less_maps.ts";
import { random } from "../../kernels/spec.ts";
import { attendOne, createModel, type HeadView, type Model } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";
import { choose, listOf } from "../pyramid/rule.ts";

/** Of every layer: φ of each query head, ψ of each KV head. */
export interface LayerMaps {
  query: FeatureMap[];
  key: FeatureMap[];
}

/** Maps without a pattern; a state weighs about as much as what is left of a prompt. */
export function seededMaps({ L, H, G, E }: Model["shape"]): LayerMaps[] {
  const uniform = random(29);
  return Array.from({ length: L }, () => {
    const query = drawMaps(uniform, H, E, HIDDEN, true).maps;
    const key = drawMaps(uniform, G, E, HIDDEN).maps;
    return { query, key: key.map((map) => ({ ...map, gain: Float32Array.from(map.gain!, (value) => 2 * value) })) };
  });
}

/** Files of `name`, or of `name@less` with seeded maps. */
export function lessFiles(name: string) {
  const [variant, less] = name.split("@");
  const { config, tensors } = makeCheckpoint(variant!);
  if (less) addMaps(tensors, createModel(config, tensors));
  return toFiles({ config, tensors }, readGolden(variant!).dtype);
}

/** The seeded maps as tensors of a checkpoint. */
export function addMaps(tensors: Map<string, { shape: number[]; data: Float32Array }>, model: Model): void {
  for (const [layer, each] of seededMaps(model.shape).entries())
    for (const kind of ["query", "key"] as const)
      for (const part of ["in", "out", "mix", "gain", "shift"] as const) {
        const data = Float32Array.from(each[kind].flatMap((map) => Array.from(map[part] ?? [])));
        if (data.length > 0) tensors.set(`less.layers.${layer}.${kind}.${part}`, { shape: [data.length], data });
      }
}

export const options = (budget: number, window: number): PyramidOptions => ({ budget, window, beta: 1 });

/** The reference's reply, and how clearly it chose (pyramid/rule.ts). `share`: the largest that a state had in a result. */
export function lessReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  chosen: PyramidOptions,
): GreedyReply & { margin: number; share: number } {
  const choice = choose(model, prompt, chosen);
  const slots = pagesGivenUp(prompt.length, chosen.window) * 32;
  const maps = seededMaps(model.shape);
  const states = new Map<string, Float64Array>();
  const stateFor = (head: HeadView, kept: readonly number[]): Float64Array => {
    const list = listOf(head);
    const gone = Array.from({ length: slots }, (_, slot) => slot).filter((slot) => !kept.includes(slot));
    const made = states.get(list) ?? stateOf(gone.map((s) => head.keys[s]!), gone.map((s) => head.values[s]!), (key) => featuresOf(key, maps[head.owner]!.key[head.group]!)); // prettier-ignore
    states.set(list, made);
    return made;
  };
  let share = 0;
  const attendHead = (head: HeadView): Float64Array => {
    const { query, keys, values, position } = head;
    if (!choice || position < prompt.length) return attendOne(query, keys, values);
    const kept = choice.kept.get(listOf(head))!;
    const some = (rows: readonly Float64Array[]) => [...kept.map((slot) => rows[slot]!), ...rows.slice(slots)];
    const exact = partOfTokens(query, some(keys), some(values));
    const own = partOf(featuresOf(query, maps[head.owner]!.query[head.head]!), stateFor(head, kept));
    if (own) share = Math.max(share, 1 / (1 + exact.sum * Math.exp(exact.max - own.max)));
    return joined([exact, own]);
  };
  return { ...greedyReply(model, prompt, count, { attendHead }), margin: choice?.margin ?? Infinity, share };
}

/** A toy model, and 123 tokens for it. */
export function toy(variant: string) {
  const golden = readGolden(variant);
  const { config, tensors } = makeCheckpoint(variant);
  const { prompt } = golden;
  const tokens = [...prompt, ...prompt.toReversed(), ...prompt.slice(7, 30)];
  return { golden, model: createModel(config, tensors), tokens };
}

/** What the reference says. No two scores that decide are so near that rounding could swap them, and the state matters. */
export function expectedReply(
  { golden, model }: ReturnType<typeof toy>,
  prompt: readonly number[],
  count: number,
  chosen: PyramidOptions,
): GreedyReply {
  const reply = lessReply(model, prompt, count, chosen);
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  expect(reply.share).toBeGreaterThan(0.1);
  return reply;
}
