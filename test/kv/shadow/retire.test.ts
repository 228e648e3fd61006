// Replies of which old pages are given up too, and later turns that go on from what was made for the first one.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { shadowReply } from "./rule.ts";
import { type Expected, expected, type Toy, toy } from "./toy.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

const SETTINGS = {
  chunk: 4,
  outliers: 3,
  selected: 4,
  local: 16,
  reply: { after: 16, within: 4 },
  select: "layer",
} as const;
const TEXT = "f32+shadow:chunk=4,outliers=3,budget=16,local=16,reply=16";
/** Two pages are given up after the prompt's. */
const TOKENS = 64;

const shorter = (one: Toy): Toy => ({ ...one, tokens: one.tokens.slice(0, 160) });

for (const [variant, rank, keys, count] of [
  ["llama-gqa-tied", 1024, "f16", TOKENS],
  ["qwen3", 8, "int8", 36],
  ["llama-swiftkv-g3", 8, "f16", 36],
] as const) {
  test(`${variant}, rank ${rank}, keys ${keys}: long replies are those of the reference`, async ({ call }) => {
    const kv = `${TEXT},values=f16,rank=${rank === 8 ? 8 : "full"},keys=${keys}`;
    await call("open", "long", source(variant), { kv, context: 256, chunk: 64, sequences: 4 });
    const options = { ...SETTINGS, rank };
    for (const { prompt, ...want } of expected(shorter(toy(variant)), count, options, { keys, wanted: 1 })) {
      const got = await call("answer", "long", job(prompt, count));
      expect(got.tokens).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(want.allowed);
      expect(got.evictedTokens).toBe(0);
    }
    await call("close", "long");
  });
}

const VARIANT = "llama-gqa-tied";

test("values in JavaScript's memory: at once is what the GPU's own give, late is what the reference gives", async ({
  call,
}) => {
  const one = shorter(toy(VARIANT));
  const options = { ...SETTINGS, rank: 1024, select: "group" } as const;
  const [late] = expected(one, TOKENS, { ...options, late: true }, { wanted: 1 }) as [Expected];
  const open = (values: string) =>
    call("open", "host", source(VARIANT), { kv: `${TEXT},rank=full,select=group,values=${values}`, context: 256, chunk: 64, sequences: 4 }); // prettier-ignore
  const replies = [];
  for (const values of ["f16", "host-sync", "host"]) {
    await open(values);
    const { tokens, logprobs } = await call("answer", "host", job(late.prompt, TOKENS));
    replies.push({ tokens, logprobs });
  }
  const [gpu, sync, got] = replies as [Expected, Expected, Expected];
  expect(sync).toEqual(gpu);
  expect(got.tokens).toEqual(late.tokens);
  expect(worst(got.logprobs, late.logprobs)).toBeLessThan(late.allowed);
  await call("close", "host");
});

test("replies of a batch give up pages in turn; nothing is left behind", async ({ call }) => {
  const one = shorter(toy(VARIANT));
  const [a, b] = expected(one, TOKENS, { ...SETTINGS, rank: 1024 }) as [Expected, Expected];
  await call("open", "batch", source(VARIANT), {
    kv: `${TEXT},values=f16,rank=full`,
    context: 1024,
    sequences: 4,
    chunk: 64,
  });
  const jobs = [a, b, a, b].map(({ prompt }) => job(prompt, TOKENS));
  const steady = async () => {
    for (const [i, { tokens }] of (await call("answers", "batch", jobs)).entries())
      expect(tokens, `reply ${i}`).toEqual([a, b][i % 2]!.tokens);
  };
  await steady();
  await steady(); // prompts are found now: their last chunks are short
  const { objectsCreated } = await call("stats", "batch");
  await steady();
  expect((await call("stats", "batch")).objectsCreated).toBe(objectsCreated);
  await call("close", "batch");
});

/** Dispatches per store that make a map anew, less the one that goes back to a known one. */
const MAP_DISPATCHES = 12;

for (const [values, select, late] of [
  ["f16", "layer", false],
  ["host", "group", true],
] as const) {
  test(`values=${values}: a later turn goes on from what stands for the first one's prompt`, async ({ call }) => {
    const { golden, model, tokens } = toy(VARIANT);
    const text = [...tokens, ...tokens.toReversed()];
    const first = text.slice(0, 280);
    const options = { ...SETTINGS, rank: 8, select, late, stored: { keys: "f16", values: "f16" } } as const;
    const kv = `${TEXT},rank=8,values=${values},select=${select}`;
    await call("open", "turns", source(VARIANT), { kv, context: 1024, chunk: 64, sequences: 1 });
    const ask = async (prompt: readonly number[], count: number) => {
      const before = (await call("stats", "turns")).dispatches;
      const reply = await call("answer", "turns", job(prompt, count));
      return { ...reply, dispatches: (await call("stats", "turns")).dispatches - before };
    };
    const { tokens: reply } = await ask(first, 8);
    const second = [...first, ...reply, ...text.slice(11, 40)];
    const want = shadowReply(model, second, 12, options);
    const exact = shadowReply(model, second, 12, { ...options, stored: null });
    const allowed = tolerance(golden) + 2 * worst(exact.logprobs, want.logprobs);
    const check = ({ tokens: got, logprobs }: { tokens: number[]; logprobs: number[] }) => {
      expect(got).toEqual(want.tokens);
      expect(worst(logprobs, want.logprobs)).toBeLessThan(allowed);
    };
    check(await ask(second, 12));
    await ask(text.slice(3, 40), 2); // kept whole: what stands stays
    await ask(first, 2);
    const again = await ask(second, 12);
    check(again);
    await ask(text.slice(9, 300), 2); // something else comes to stand in its place
    const anew = await ask(second, 12);
    check(anew);
    expect(anew.dispatches - again.dispatches).toBe(model.shape.L * MAP_DISPATCHES);
    await call("close", "turns");
  });
}
