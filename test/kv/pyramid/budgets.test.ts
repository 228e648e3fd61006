// How many tokens each list keeps: numbers only, no GPU.
import { expect, test } from "playwright/test";
import { InputError, type KvModel } from "../../../src/index.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { planOf } from "../../../src/kv/shape.ts";
import { chosenTokens, mostChosen, schedule } from "../../../src/kv/systems/pyramid/budgets.ts";
import { TokenEngine } from "../../../src/engine/engine.ts";
import { collect, request, words } from "../../engine/drive.ts";
import { FakeModel } from "../../engine/fake.ts";

const MODEL: KvModel = {
  hiddenSize: 192,
  layers: 4,
  heads: 4,
  kvHeads: 2,
  headWidth: 16,
  windows: [0, 0, 0, 0],
  context: 4096,
  swiftkv: null,
};

const sum = (numbers: readonly number[]): number => numbers.reduce((total, number) => total + number, 0);

// Computed by another program in float64, from the same formula: stores, budget, window, tokens → first, last, sum.
for (const [stores, budget, window, tokens, first, last, total] of [
  [32, 2048, 8, 8192, 3978, 102, 65280],
  [32, 128, 8, 8192, 234, 6, 3840],
  [16, 512, 8, 2000, 983, 25, 8064],
  [16, 512, 8, 900, 892, 116, 8064], // the first store takes all there is
] as const) {
  test(`${stores} stores, budget ${budget}, ${tokens} tokens: ${first} to ${last}`, () => {
    const counts = schedule(stores, budget - window, tokens - window, 20);
    expect([counts[0], counts.at(-1), sum(counts)]).toEqual([first, last, total]);
    expect(counts.toSorted((a, b) => b - a)).toEqual(counts);
  });
}

test("equal remainders go to the earlier store; one store gets the average", () => {
  expect(schedule(4, 3, 100, 1.5)).toEqual([4, 3, 3, 2]); // 4, 3.33, 2.67, 2
  expect(schedule(3, 5, 100, 4)).toEqual([9, 5, 1]); // 8.75, 5, 1.25
  expect(schedule(2, 3, 100, 2)).toEqual([5, 1]); // 4.5, 1.5
  expect(schedule(1, 7, 100, 20)).toEqual([7]);
});

test("every prompt that is cut keeps exactly the budget on average, and no list more than it may", () => {
  const wrong: string[] = [];
  for (const options of [
    { budget: 64, window: 32, beta: 20 },
    { budget: 65, window: 8, beta: 3.5 },
    { budget: 300, window: 1, beta: 1 },
    { budget: 40, window: 8, beta: 1000 },
  ]) {
    for (const stores of [1, 2, 7, 30]) {
      const most = mostChosen(stores, options);
      for (let tokens = 1; tokens < 1500; tokens += tokens < 700 ? 1 : 13) {
        const counts = chosenTokens(tokens, stores, options);
        const slots = 32 * Math.floor((tokens - options.window) / 32);
        const exact = stores * (tokens - slots);
        const isRight = counts
          ? tokens > options.budget &&
            sum(counts) + exact === stores * options.budget &&
            counts.every((count, store) => count >= 0 && count <= Math.min(slots, most[store]!))
          : tokens <= options.budget;
        if (!isRight) wrong.push(`${JSON.stringify(options)}, ${stores} stores, ${tokens} tokens: ${counts}`);
      }
    }
  }
  expect(wrong).toEqual([]);
});

test("private pages come in few sizes: each is a pipeline more where lengths are fixed", () => {
  const most = mostChosen(30, { budget: 512, window: 32, beta: 20 });
  expect(new Set(most)).toEqual(new Set([1024, 768, 512]));
  expect(new Set(mostChosen(30, { budget: 512, window: 32, beta: 1 })).size).toBe(1);
});

test("short prompts have no slope; snapkv never has one", () => {
  const options = { budget: 256, window: 32, beta: 20 };
  expect(new Set(chosenTokens(300, 8, options))).toEqual(new Set([256 - (300 - 256)]));
  expect(new Set(chosenTokens(480, 8, options)).size).toBeGreaterThan(1);
  const snapkv = parseRecipe("snapkv:budget=256").resolve(MODEL, { context: 4096, rows: 512, sequences: 1 });
  expect(new Set(snapkv.retaining!.retain(2000)!.tokens).size).toBe(1);
});

const refusal = (kv: string, model = MODEL): string => {
  try {
    parseRecipe(kv).resolve(model, { context: 4096, rows: 512, sequences: 4 });
    return "accepted";
  } catch (error) {
    return error instanceof InputError ? error.message : String(error);
  }
};

test("options have defaults, and are checked together", () => {
  expect(String(parseRecipe("pyramid"))).toBe("pyramid:budget=512,window=32,beta=20");
  expect(String(parseRecipe("f32+snapkv:budget=64"))).toBe("f32+snapkv:budget=64,window=32");
  expect(refusal("f32+snapkv:budget=64")).toBe("accepted");
  expect(refusal("snapkv:budget=63")).toMatch(/^kv: snapkv:budget; got 63 with window=32, want at least 64: /);
  expect(refusal("pyramid:beta=0.5")).toMatch(/^kv: pyramid:beta; got 0\.5, want a number from 1 to 1000/);
  expect(refusal("snapkv:beta=2")).toMatch(/^kv: snapkv; got option beta, want one of budget, window/);
  expect(refusal("pyramid+snapkv")).toMatch(/are the same system/);
  expect(refusal("pyramid", { ...MODEL, windows: [0, 16, 0, 0] })).toMatch(
    /^kv: pyramid; got a model whose layers see a window of its latest tokens, want one that sees all/,
  );
});

test("the price counts what is kept, and says what is dropped", () => {
  const { kvBytes, kvBytesPerToken, evictedTokens } = parseRecipe("pyramid:budget=512").price(MODEL, 4096);
  expect(kvBytes).toBe(4 * 2 * 512 * (2 * 16 * 2));
  expect(kvBytesPerToken).toBe(kvBytes / 4096);
  expect(evictedTokens).toBe(4096 - 512);
  expect(parseRecipe("pyramid:budget=512").price(MODEL, 512).evictedTokens).toBe(0);
});

test("layers that share a store keep one part of it, of the stores that there are", () => {
  const shared = "kvsharer:map=3-2";
  for (const kv of ["snapkv:budget=512", "kvzip:keep=0.125"]) {
    const recipe = parseRecipe(`${kv}+${shared}`);
    const { kvBytes, evictedTokens } = recipe.price(MODEL, 4096);
    expect(kvBytes).toBe(3 * 2 * 512 * (2 * 16 * 2));
    expect(evictedTokens).toBe(4096 - 512);
    const { retaining } = recipe.resolve(MODEL, { context: 4096, rows: 512, sequences: 1 });
    expect([retaining!.most.length, retaining!.retain(4096)!.tokens.length]).toEqual([3, 6]);
  }
});

/** An engine without a GPU whose cache is shared out as this recipe says. */
function engineOf(kv: string) {
  const bounds = { context: 1024, rows: 64, sequences: 2 };
  const model = { ...MODEL, layers: 1, kvHeads: 1 };
  const plan = planOf(parseRecipe(kv).resolve(model, bounds), bounds);
  const fake = new FakeModel({ rows: 64, sequences: 2, cache: plan });
  return { plan, fake, engine: new TokenEngine(fake), price: (tokens: number) => parseRecipe(kv).price(model, tokens) };
}

test("after its prompt's end a reply holds what the price says: private pages and live ones", async () => {
  const { plan, engine, price } = engineOf("snapkv:budget=64");
  const [blocks, pages] = [engine.freeBlocks, engine.freePages];
  const run = engine.generate(request(words(1, 320), 20)); // 32 exact tokens, and 32 chosen ones: whole pages
  const held: number[] = [];
  for await (const _ of run) {
    const bytes = (blocks - engine.freeBlocks) * plan.blockBytes[0]! + (pages - engine.freePages) * plan.pageBytes;
    held.push(bytes);
  }
  const page = plan.pageBytes;
  expect(price(320).kvBytes).toBe(2 * page);
  expect(held[5]).toBe(price(320).kvBytes + page); // the reply has a block of its own
  expect(engine.peakBytes).toBe(10 * page + page); // the whole prompt, and its private page
  expect([engine.freeBlocks, engine.freePages]).toEqual([blocks, pages]);
});

test("an abort gives all private pages back, whenever it comes", async () => {
  const { fake, engine } = engineOf("pyramid:budget=80,window=8");
  const [blocks, pages] = [engine.freeBlocks, engine.freePages];
  for (let step = 1; step < 12; step++) {
    const controller = new AbortController();
    const begun = fake.batches.length;
    fake.onStep = (now) => {
      if (now === begun + step) controller.abort();
    };
    const got = await collect(engine, request(words(step, 300), 20), controller.signal);
    expect(got.finish).toBe("abort");
    expect([engine.freeBlocks, engine.freePages], `step ${step}`).toEqual([blocks, pages]);
  }
});
