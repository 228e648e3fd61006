// LESS on toy models with seeded maps, against float64; whose state it is; saved sessions. More: less.full.test.ts.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { featuresOf, goldenTokens, joined, partOf, partOfTokens, stateOf } from "../../kernels/less_maps.ts";
import { random } from "../../kernels/spec.ts";
import { expectedReply, lessFiles, lessReply, options, toy } from "./rule.ts";

const test = testWith(lessFiles);

const VARIANT = "llama-gqa-tied";
const RECIPE = "less:budget=44,window=12";
const SAVED = "f32+less:budget=50,window=8";

const expected = (one: ReturnType<typeof toy>, prompt: readonly number[], count: number) =>
  expectedReply(one, prompt, count, options(44, 12));

test("the numbers of the design: a state as a partial, and the sum token by token", () => {
  const { keys, values, query, queryMap, keyMap, kept, out } = goldenTokens();
  const gone = [...keys.keys()].filter((s) => !kept.includes(s));
  const some = (rows: readonly Float64Array[], slots: readonly number[]) => slots.map((slot) => rows[slot]!);
  const psi = (key: ArrayLike<number>) => featuresOf(key, keyMap);
  const state = stateOf(some(keys, gone), some(values, gone), psi);
  const phi = featuresOf(query, queryMap);
  const own = partOf(phi, state)!;
  const got = joined([partOfTokens(query, some(keys, kept), some(values, kept)), own]);
  for (const [e, value] of out.entries()) expect(Math.abs(got[e]! - value)).toBeLessThan(1e-10);
  const closed = some(keys, gone).reduce((sum, key) => sum + psi(key).reduce((dot, x, r) => dot + x * phi[r]!, 0), 0);
  expect(Math.abs(Math.exp(own.max) - closed)).toBeLessThan(1e-12);
  expect(partOf(phi, state.fill(0))).toBeNull();
});

test("what a prompt gives up stands in a state", async ({ call }) => {
  const one = toy(VARIANT);
  const { L, G, E } = one.model.shape;
  await call("open", "less", source(`${VARIANT}@less`), { kv: `f32+${RECIPE}`, context: 256, chunk: 48 });
  for (const length of [123, 70]) {
    const prompt = one.tokens.slice(0, length);
    const want = expected(one, prompt, 12);
    const got = await call("answer", "less", job(prompt, 12));
    expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
    expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
    expect(got.evictedTokens).toBe(0);
    expect(got.kvBytesPerToken).toBe((L * G * (44 * 2 * E + 8 * (E + 1)) * 4) / length);
  }
  await call("close", "less");
});

test("two replies at once, a later turn and aborts: each reads the state of its own prompt", async ({ call }) => {
  const one = toy("qwen3");
  const uniform = random(47);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const settings = { kv: `f32+${RECIPE}`, context: 384, chunk: 64, sequences: 3 };
  await call("open", "shared", source("qwen3@less"), settings);
  const first = await call("answer", "shared", job(one.tokens, 12));
  const turn = [...one.tokens, ...first.tokens, ...one.tokens.slice(11, 40)];
  const second = await call("answer", "shared", job(turn, 8));
  expect(second.reusedTokens).toBe(96); // whole blocks of the first prompt
  expect(second.tokens).toEqual(expected(one, turn, 8).tokens);
  // One that stays whole reads no state, whatever stands under its number.
  const short = await call("answer", "shared", job(one.tokens.slice(0, 40), 8));
  expect(short.tokens).toEqual(lessReply(one.model, one.tokens.slice(0, 40), 8, options(44, 12)).tokens);
  const prompts = Array.from({ length: 4 }, (_, i) => [...one.tokens.slice(0, 60 + upTo(60)), 3 + i, 40 + upTo(50)]);
  const jobs = prompts.map((prompt) => ({ ...job(prompt, 4 + upTo(12)), abortAfter: [0, 0, 3][upTo(3)]! }));
  for (const [i, { tokens }] of (await call("answers", "shared", jobs)).entries())
    expect(tokens, `job ${i}`).toEqual(expected(one, prompts[i]!, tokens.length).tokens);
  const before = (await call("stats", "shared")).objectsCreated;
  await call("answers", "shared", jobs);
  expect((await call("stats", "shared")).objectsCreated).toBe(before);
  await call("close", "shared");
});

test("a reply is saved with its state and goes on in another engine", async ({ call }) => {
  const prompt = toy(VARIANT).tokens.slice(0, 110);
  const [reply] = await call("resumed", source(`${VARIANT}@less`), { kv: SAVED }, { prompt, cut: 9, more: 12 }, [{}]);
  expect(reply!.tokens).toEqual(reply!.undisturbed);
  expect(reply!.submits).toBe(12);
});

test("what it cannot do is refused", async ({ call }) => {
  const swiftkv = { layers: 1, group: 1 };
  expect(() => parseRecipe("less").check({ swiftkv })).toThrow(
    /^kv: swiftkv and less cannot go together: its weights must be trained on the model in this form/,
  );
  for (const other of ["snapkv", "pyramid", "kvzip", "vlcache", "shadow", "kvmerger"])
    expect(() => parseRecipe(`less+${other}`)).toThrow(/cannot go together/);
  const bare = call("open", "bare", source(VARIANT), { kv: `f32+${RECIPE}`, context: 256 });
  await expect(bare).rejects.toThrow(/InputError: kv: less; got no weights of less for this model/);
  const windowed = call("open", "windowed", source("mistral@less"), { kv: "f32+less:budget=64", context: 128 });
  await expect(windowed).rejects.toThrow(/InputError: kv: less; got a model whose layers see a window/);
});
