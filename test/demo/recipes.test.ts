// The table of recipes for keys and values: prices, and what was measured of which model.

import { expect, test } from "playwright/test";
import { OFFERS, offered, type Priced, priceOf, testOf, wholeNote } from "../../demo/chat/recipes.ts";
import { FABLE } from "../../demo/shared/students.ts";
import { KV_FORMATS } from "../../src/index.ts";
import type { ModelInfo, RecipePrice } from "../../src/index.ts";

/** Fable's shape: 8 layers, 2 heads of 32 numbers kept. */
const model = (swiftkv: ModelInfo["swiftkv"] = null, name = "fable"): Priced => ({
  name,
  hash: FABLE,
  seesPictures: true,
  kvShape: {
    hiddenSize: 192,
    layers: 8,
    heads: 6,
    kvHeads: 2,
    headWidth: 32,
    windows: Array<number>(8).fill(0),
    context: 2048,
    swiftkv,
  },
});

test("every format is offered once; what is not offered becomes the default", () => {
  expect(OFFERS.map(({ recipe }) => recipe)).toEqual(expect.arrayContaining([...KV_FORMATS]));
  expect(new Set(OFFERS.map(({ recipe }) => recipe)).size).toBe(OFFERS.length);
  expect([offered("int8"), offered("toString"), offered("")]).toEqual(["int8", "f16", "f16"]);
});

test("a recipe's price is bytes for keys and values over all caches", () => {
  const bytes = (recipe: (typeof KV_FORMATS)[number], swiftkv?: ModelInfo["swiftkv"]): number =>
    (priceOf(recipe, model(swiftkv), 100) as RecipePrice).kvBytesPerToken;
  expect(KV_FORMATS.map((format) => [format, bytes(format)])).toEqual([
    ["f16", 8 * 2 * 2 * 64],
    ["f32", 8 * 2 * 2 * 128],
    ["int8", 8 * 2 * 2 * 36],
    ["int4", 8 * 2 * 2 * 20],
  ]);
  expect(bytes("f16", { layers: 4, group: 2 })).toBe(6 * 2 * 2 * 64);
  expect(priceOf("f16", model(), 100)).toMatchObject({ kvBytes: 100 * 2048, extraWeightBytes: 0 });
});

test("two layers that share pages are priced as one page", () => {
  const bytes = (recipe: string): number => (priceOf(recipe, model(), 4096) as RecipePrice).kvBytesPerToken;
  const twins = (34 * 2 * 64 + 2 * 32 * 4 + 16) / 32; // of 32 slots 2 are there twice; a length for each slot and layer
  expect(bytes("minicache")).toBe((4064 * 2 * (4 * 128 + 2 * twins) + 32 * 2048) / 4096);
  expect(bytes("int8+minicache") / bytes("int8")).toBeCloseTo(0.78, 1);
});

test("what a model cannot have is said instead of a price", () => {
  const { kvShape, ...own } = model();
  const narrow = { ...own, kvShape: { ...kvShape, headWidth: 24 } };
  expect(priceOf("kivi:bits=2", narrow, 100)).toMatch(/^kv: kivi; got heads of 24 channels/);
  const another = { ...own, name: "another", kvShape };
  expect(priceOf("kvsharer:map=5-2/7-2", another, 100)).toMatch(/^This map was made for fable\./);
  for (const { recipe } of OFFERS) expect(typeof priceOf(recipe, model(), 4096), recipe).toBe("object");
  expect(priceOf("vlcache:keep=0.1", { ...model(), seesPictures: false }, 100)).toMatch(/^This is for pictures/);
  const student = model({ layers: 4, group: 1 });
  for (const recipe of ["less:budget=512", "locret:budget=512", "kvsharer:map=5-2/7-2"])
    expect(priceOf(recipe, student, 4096)).toMatch(/^Not with SwiftKV: switch/);
});

test("which texts a recipe leaves alone is said where it does something to others", () => {
  const notes = (recipe: string, tokens: number): string => wholeNote(recipe, model(), tokens);
  expect([notes("f16", 2048), notes("kivi:bits=4", 2048), notes("shadow:budget=all", 2048)]).toEqual(["", "", ""]);
  expect(notes("shadow:budget=128", 2048)).toBe("Up to 383 tokens a text stays whole.");
  expect(notes("shadow", 512)).toBe("Does nothing at this context: every text stays whole.");
});

test("a divergence stands with the model it was measured on", () => {
  expect(testOf(model(null, "another"))).toBeNull();
  const measured = new Set(OFFERS.flatMap(({ kl }) => Object.keys(kl)));
  expect(measured.size).toBeGreaterThan(0);
  for (const name of measured) expect(testOf(model(null, name))).toMatch(/in nats per token.*without SwiftKV/);
});
