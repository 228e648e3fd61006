// Which chunks of its prompt a reply reads: counted on the GPU, against the reference's lists.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith } from "../../golden/serve.ts";
import { givenUp, type ShadowOptions } from "./rule.ts";
import { type Expected, expected, toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const VARIANT = "llama-gqa-tied";
const GROUPED = "llama-swiftkv-g3";
const SETTINGS = { chunk: 4, outliers: 3, selected: 4, local: 16, rank: 1024, select: "layer" } as const;
const recipe = (options = "values=f16") => `f32+shadow:chunk=4,outliers=3,budget=16,local=16,rank=full,${options}`;
const TOKENS = 12;
/** The first one saw the whole prompt. */
const STEPS = TOKENS - 1;

const attending = (prompt: readonly number[]) => job(prompt, TOKENS, { attended: true });

/** What must have been counted. */
function countsOf({ prompt, reads }: Expected, { layers, kvHeads }: { layers: number; kvHeads: number }) {
  const parts = givenUp(prompt.length, SETTINGS) / SETTINGS.chunk;
  const [chosen, kept] = [Array<number>(parts).fill(0), Array<number>(parts).fill(0)];
  for (const read of reads.filter(({ step }) => step < STEPS)) {
    for (const chunk of read.chosen) chosen[chunk]!++;
    for (const chunk of read.kept) kept[chunk]!++;
  }
  return { partTokens: SETTINGS.chunk, chosen, kept, most: STEPS * layers * kvHeads, tokens: STEPS };
}

const shapeOf = ({ model }: ReturnType<typeof toy>) => ({ layers: model.shape.L, kvHeads: model.shape.G });

for (const [name, options, rule] of [
  ["each layer of a group chooses, in shared places", "values=f16", {}],
  ["one choice for a group of layers", "select=group,values=f16", { select: "group" }],
  ["values from JavaScript at once", "values=host-sync", {}],
  ["values a token late", "values=host", { select: "group", late: true }],
] as const satisfies readonly (readonly [string, string, Partial<ShadowOptions>])[]) {
  test(`${name}: what was read is what the reference reads`, async ({ call }) => {
    const one = toy(GROUPED);
    const [want] = expected(one, TOKENS, { ...SETTINGS, ...rule }, { wanted: 1 }) as [Expected];
    await call("open", "reads", source(GROUPED), { kv: recipe(options), context: 256, chunk: 64, sequences: 1 });
    const got = await call("answer", "reads", attending(want.prompt));
    expect(got.tokens).toEqual(want.tokens);
    expect(got.attended).toEqual(countsOf(want, shapeOf(one)));
    await call("close", "reads");
  });
}

test("replies in one batch are counted apart, later ones anew; who does not ask pays nothing", async ({ call }) => {
  const one = toy(VARIANT);
  const [a, b] = expected(one, TOKENS, SETTINGS) as [Expected, Expected];
  const [ofA, ofB] = [a, b].map((each) => countsOf(each, shapeOf(one)));
  await call("open", "many", source(VARIANT), { kv: recipe(), context: 1024, chunk: 64, sequences: 3 });
  const plain = job(a.prompt, TOKENS);
  for (let round = 0; round < 2; round++) {
    const replies = await call("answers", "many", [attending(a.prompt), plain, attending(b.prompt)]);
    expect(replies.map(({ attended }) => attended)).toEqual([ofA, null, ofB]);
  }
  const aborted = await call("answer", "many", { ...attending(b.prompt), abortAfter: 4 });
  expect(aborted.attended!.tokens).toBeGreaterThanOrEqual(3);
  expect(aborted.attended!.tokens).toBeLessThan(STEPS);
  const cost = async (asked: typeof plain) => {
    const before = await call("stats", "many");
    const { attended } = await call("answer", "many", asked);
    const { submits, dispatches, readbacks, readbackBytes } = await call("stats", "many");
    const bytes = readbackBytes - before.readbackBytes;
    return { attended, counts: [submits - before.submits, dispatches - before.dispatches, readbacks - before.readbacks], bytes }; // prettier-ignore
  };
  await call("answer", "many", plain); // the last steps of what was aborted have been read
  const [asked, unasked] = [await cost(attending(a.prompt)), await cost(plain)];
  expect([asked.attended, unasked.attended]).toEqual([ofA, null]);
  const { L, G } = one.model.shape;
  const more = asked.counts.map((count, i) => count - unasked.counts[i]!);
  expect(more).toEqual([1, L * STEPS, 1]);
  // A count of each chunk that there is room for, one for each list, and the outliers of all stores.
  expect(asked.bytes - unasked.bytes).toBe(4 * G * (1 + 1024 / SETTINGS.chunk + L * SETTINGS.outliers));
  await call("close", "many");
});

test("a follow-up turn is counted over the whole conversation, as a fresh engine counts it", async ({ call }) => {
  const { tokens } = toy(VARIANT);
  const settings = { kv: recipe(), context: 512, chunk: 64 };
  await call("open", "turns", source(VARIANT), settings);
  const first = await call("answer", "turns", attending(tokens));
  const second = [...tokens, ...first.tokens, ...tokens.slice(11, 40)];
  const got = await call("answer", "turns", attending(second));
  expect(got.reusedTokens).toBeGreaterThan(0);
  expect(got.attended!.chosen.length).toBe(givenUp(second.length, SETTINGS) / SETTINGS.chunk);
  await call("open", "fresh", source(VARIANT), settings);
  expect(got.attended).toEqual((await call("answer", "fresh", attending(second))).attended);
  for (const name of ["turns", "fresh"]) await call("close", name);
});

test("nothing is told of a prompt that stays whole, nor under a recipe that leaves no choice", async ({ call }) => {
  const { tokens, golden } = toy(VARIANT);
  await call("open", "whole", source(VARIANT), { kv: recipe(), context: 256 });
  expect((await call("answer", "whole", attending(golden.prompt.slice(0, 40)))).attended).toBeNull();
  await call("open", "whole", source(VARIANT), { kv: "f16", context: 256 });
  expect((await call("answer", "whole", attending(tokens))).attended).toBeNull();
  await call("close", "whole");
});
