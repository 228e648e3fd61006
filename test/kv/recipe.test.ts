// Recipes: how they are read, what is refused, what they cost. No GPU.
import { expect, test } from "playwright/test";
import { InputError, type KvModel, type RecipeSpec } from "../../src/index.ts";

import { checkPairs } from "../../src/kv/pairs.ts";
import type { SealedFormat } from "../../src/kv/format.ts";
import { defineSystem, parseRecipe } from "../../src/kv/parse.ts";
import type { SystemDefinition } from "../../src/kv/system.ts";

const MODEL: KvModel = {
  hiddenSize: 192,
  layers: 4,
  heads: 6,
  kvHeads: 2,
  headWidth: 32,
  windows: [0, 0, 0, 0],
  context: 4096,
  swiftkv: null,
};

const system = (name: string, made: object, options: SystemDefinition["options"] = {}): void =>
  defineSystem({ name, options, create: () => ({ name, ...made }) });

/** Pages of half the size. */
const half = { name: "half", words: (width: number) => 16 * width } as SealedFormat;
system(
  "sealing",
  { sealed: () => ({ format: half, recent: 64 }) },
  { bits: { least: 2, most: 8, among: [2, 4], default: 4 } },
);
system("keeping", {
  extraWeightBytes: 7,
  retaining: {
    windowRows: 8,
    most: [100, 100, 100, 100],
    retain: (tokens: number) =>
      tokens < 200 ? null : { liveFrom: Math.floor((tokens - 40) / 32), tokens: Array.from({ length: 8 }, () => 100) },
    select: () => [],
  },
});

const refusal = (spec: RecipeSpec): string => {
  try {
    return `accepted: ${String(parseRecipe(spec))}`;
  } catch (error) {
    return error instanceof InputError ? error.message : `not an InputError: ${String(error)}`;
  }
};

test("a format, systems with options, or the same as an object", () => {
  expect(["f16", "int8", " f32 + sealing:bits=2"].map((text) => String(parseRecipe(text)))).toEqual([
    "f16",
    "int8",
    "f32+sealing:bits=2",
  ]);
  expect(String(parseRecipe("sealing+f16"))).toBe("sealing:bits=4");
  expect(String(parseRecipe({ format: "f32", systems: [{ name: "sealing", bits: 2 }] }))).toBe("f32+sealing:bits=2");
  expect(String(parseRecipe({}))).toBe("f16");
  const text = String(parseRecipe("keeping+sealing:bits=2"));
  expect(String(parseRecipe(text))).toBe(text);
});

test("a recipe that has been read stays as it is: an engine converted from another has its systems too", () => {
  const recipe = parseRecipe("int8+kivi:bits=2");
  expect(parseRecipe(recipe)).toBe(recipe);
});

test("what is wrong is named in one line", () => {
  expect(refusal("f17")).toMatch(/^kv: got "f17", want one of f16, f32, int8, int4/);
  expect(refusal("")).toMatch(/^kv: got "", want a name/);
  expect(refusal("f16+f32")).toBe("kv: got the formats f16 and f32, want one.");
  expect(refusal("f16:bits=2")).toMatch(/^kv: f16; got option bits, want none/);
  expect(refusal("sealing:bits=3")).toBe("kv: sealing:bits; got 3, want 2 or 4.");
  expect(refusal("sealing:bits")).toBe('kv: sealing; got "bits", want option=value.');
  expect(refusal("sealing:depth=2")).toBe("kv: sealing; got option depth, want one of bits.");
  expect(refusal("sealing+sealing")).toBe("kv: got sealing twice, want it once.");
  expect(refusal({ systems: [{ name: "toString" }] })).toMatch(/^kv: got "toString"/);
  for (const text of ["+", "f16+", "a b", "sealing:bits=2=4", "sealing:bits=1e1", "constructor"])
    expect(refusal(text), text).toMatch(/^kv: /);
});

test("a price counts what is kept, in the format it has then", () => {
  const price = (text: string, tokens: number, model = MODEL) => parseRecipe(text).price(model, tokens);
  const lists = 4 * 2;
  expect(price("f16", 1000)).toEqual({
    kvBytes: 1000 * lists * 128,
    kvBytesPerToken: lists * 128,
    evictedTokens: 0,
    peakBytes: 32 * 32 * lists * 128, // whole blocks
    streaming: null,
    extraWeightBytes: 0,
  });
  expect(price("int8", 10).kvBytesPerToken).toBe(lists * (64 + 8));
  const swiftkv = { layers: 2, group: 2 };
  expect(price("f32", 10, { ...MODEL, swiftkv }).kvBytesPerToken).toBe(3 * 2 * 256);
  // 1000 tokens, the latest 64 to 95 of which stay as they are
  expect(price("sealing", 1000).kvBytes).toBe(lists * (928 * 64 + 72 * 128));
  expect(price("sealing", 60).kvBytes).toBe(lists * 60 * 128);
  // 30 pages are given up for 100 tokens in each list
  expect(price("keeping", 1000)).toEqual({
    kvBytes: lists * 128 * (100 + 40),
    kvBytesPerToken: (lists * 128 * 140) / 1000,
    evictedTokens: 30 * 32 - 100,
    peakBytes: lists * 128 * 32 * (32 + 4), // private pages beside all blocks
    streaming: null,
    extraWeightBytes: 7,
  });
});

test("up to which length a prompt stays whole", () => {
  const model = { ...MODEL, context: 8192 };
  const whole = (text: string, context = 4096) => parseRecipe(text).wholeUpTo(model, context);
  expect([whole("f16"), whole("int8+kivi"), whole("shadow:budget=all")]).toEqual([null, null, null]);
  // 158 chunks are kept, 40 pages have more; the last 32 to 63 tokens count for themselves.
  const shadow = "shadow:budget=1072,outliers=24,chunk=8,local=32";
  expect(whole(shadow)).toBe(40 * 32 + 31);
  for (const [text, longest] of [
    [shadow, 40 * 32 + 31],
    ["pyramid:budget=512", whole("pyramid:budget=512")!],
  ] as const) {
    const bytes = (tokens: number) => parseRecipe(text).price(model, tokens).kvBytes;
    const dense = (tokens: number) => parseRecipe("f16").price(model, tokens).kvBytes;
    expect([bytes(longest), bytes(longest + 1) === dense(longest + 1)], text).toEqual([dense(longest), false]);
  }
  expect(whole(shadow, 1024)).toBeNull();
});

test("systems that contradict each other are refused, doubtful pairs are named with a reason", () => {
  expect(refusal("pyramid+shadow")).toMatch(
    /^kv: pyramid and shadow cannot go together: .* Leave one of the two out\.$/,
  );
  expect(refusal("shadow+think")).toMatch(/cannot go together/);
  expect(parseRecipe("kivi+think").warnings(MODEL)).toEqual([]);
  expect(parseRecipe("pyramid+kivi").warnings(MODEL)).toEqual([
    expect.stringMatching(/^pyramid and kivi together: tokens are chosen first/),
  ]);
  expect(parseRecipe("pyramid").warnings({ swiftkv: { layers: 2, group: 1 } })).toHaveLength(1);
  const pictures = parseRecipe("vlcache");
  expect(pictures.warnings({ swiftkv: null, seesPictures: true })).toEqual([]);
  expect(pictures.warnings({ swiftkv: null })).toEqual([]);
  expect(pictures.warnings({ swiftkv: null, seesPictures: false })).toEqual([
    "vlcache was made for pictures, and this model sees none.",
  ]);
  expect(checkPairs(["snapkv", "pyramid"])[0]!.verdict).toBe("refused");
});

test("a part of a prompt needs rows for its window, and layers that see all of it", () => {
  const bounds = { context: 4096, rows: 16, sequences: 4 };
  const resolve = (model: KvModel, rows: number) => () => parseRecipe("keeping").resolve(model, { ...bounds, rows });
  expect(resolve(MODEL, 12)).not.toThrow();
  expect(resolve(MODEL, 11)).toThrow(/^chunk: got 8 tokens, want at least 9 with keeping/);
  expect(resolve({ ...MODEL, windows: [0, 0, 64, 0] }, 16)).toThrow(
    /^kv: keeping; got a model whose layers see a window/,
  );
});

test("every two of the eleven systems have a verdict", () => {
  const names = ["swiftkv", "shadowkv", "kivi", "pyramid", "think", "minicache", "kvsharer", "kvmerger", "less", "locret", "vlcache"]; // prettier-ignore
  const refused = names.flatMap((a, i) =>
    names
      .slice(i + 1)
      .filter((b) => checkPairs([a, b])[0]?.verdict === "refused")
      .map((b) => `${a}+${b}`),
  );
  expect(refused.length).toBe(23);
  expect(checkPairs(names).length).toBe((11 * 10) / 2 - 11); // pairs about which nothing must be said
  expect(checkPairs(["f16", "unheard-of", "kivi"])).toEqual([]);
});

test("words stand for numbers, in what is read and in what is written", () => {
  const text =
    "shadow:budget=auto,rank=full,chunk=8,outliers=24,local=32,reply=512,values=int4,keys=f16,select=auto,stream=auto";
  expect(parseRecipe("shadow:rank=full,values=int4").toString()).toBe(text);
  expect(parseRecipe(text).toString()).toBe(text);
  expect(() => parseRecipe("shadow:values=4")).toThrow(
    "kv: shadow:values; got 4, want f16 or int8 or int4 or host or host-sync.",
  );
  expect(() => parseRecipe("shadow:rank=1")).toThrow(
    "kv: shadow:rank; got 1, want a whole number from 2 to 4096 or auto or full.",
  );
});
