// LESS on toy models with seeded maps, against float64; whose state it is; saved sessions; what it costs.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { featuresOf, goldenTokens, joined, partOf, partOfTokens, stateOf } from "../../kernels/less_maps.ts";
import { random } from "../../kernels/spec.ts";
import { lessFiles, lessReply, options, toy } from "./rule.ts";

const test = testWith(lessFiles);

const VARIANT = "llama-gqa-tied";
const RECIPE = "less:budget=44,window=12";

/** What the reference says. No two scores that decide are so near that rounding could swap them, and the state matters. */
function expected({ golden, model }: ReturnType<typeof toy>, prompt: readonly number[], count: number) {
  const reply = lessReply(model, prompt, count, options(44, 12));
  expect(reply.margin, "the scores of this prompt are too close to test with").toBeGreaterThan(tolerance(golden));
  expect(reply.share).toBeGreaterThan(0.1);
  return reply;
}

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

for (const variant of [VARIANT, "qwen3"] as const) {
  test(`${variant}: what a prompt gives up stands in a state`, async ({ call }) => {
    const one = toy(variant);
    const { L, G, E } = one.model.shape;
    await call("open", "less", source(`${variant}@less`), { kv: `f32+${RECIPE}`, context: 256, chunk: 48 });
    for (const length of [123, 70]) {
      const prompt = one.tokens.slice(0, length);
      const want = expected(one, prompt, 16);
      const got = await call("answer", "less", job(prompt, 16));
      expect(got.tokens, `${length} tokens`).toEqual(want.tokens);
      expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
      expect(got.evictedTokens).toBe(0);
      expect(got.kvBytesPerToken).toBe((L * G * (44 * 2 * E + 8 * (E + 1)) * 4) / length);
    }
    await call("close", "less");
  });
}

test("where arenas are small, tokens of all of them are absorbed", async ({ call }) => {
  const one = toy(VARIANT);
  const settings = { kv: `f32+${RECIPE}`, context: 256, chunk: 48, arenaBytes: 8192 };
  await call("open", "arenas", source(`${VARIANT}@less`), settings);
  const want = expected(one, one.tokens, 12);
  const got = await call("answer", "arenas", job(one.tokens, 12));
  expect(got.tokens).toEqual(want.tokens);
  expect(worst(got.logprobs, want.logprobs)).toBeLessThan(tolerance(one.golden));
  await call("close", "arenas");
});

test("a budget that holds the prompt changes nothing, to the bit", async ({ call }) => {
  const { golden } = toy("qwen3");
  const asked = job(golden.prompt, golden.greedy.tokens.length);
  const answers = [];
  for (const kv of ["f32+less:budget=256", "f32"]) {
    await call("open", "neutral", source("qwen3@less"), { kv, context: 256 });
    answers.push(await call("answer", "neutral", asked));
  }
  const [got, dense] = answers;
  expect(got!.tokens).toEqual(golden.greedy.tokens);
  expect(got!.logprobs).toEqual(dense!.logprobs);
  await call("close", "neutral");
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

test("a reply is saved with its state and goes on in another engine; a fork goes on as if it was alone", async ({
  call,
}) => {
  const prompt = toy(VARIANT).tokens.slice(0, 110);
  const kv = "f32+less:budget=50,window=8";
  const cut = { prompt, cut: 9, more: 16 };
  const [reply] = await call("resumed", source(`${VARIANT}@less`), { kv }, cut, [{}]);
  expect(reply!.tokens).toEqual(reply!.undisturbed);
  expect(reply!.submits).toBe(16);
  const got = await call("forked", source(`${VARIANT}@less`), { kv }, prompt.slice(0, 100), prompt.slice(20, 29));
  expect(got.resumed).toEqual(got.want.resumed);
  expect([...got.tokens, ...got.again.slice(20)]).toEqual(got.want.asked);
});

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const model = { hiddenSize: 576, layers: 30, heads: 9, kvHeads: 3, headWidth: 64, windows: Array<number>(30).fill(0), context: 8192, swiftkv: null }; // prettier-ignore
  const { kvBytes, peakBytes, extraWeightBytes } = parseRecipe("less:budget=512").price(model, 4096);
  const [state, maps] = [90 * 8 * 65 * 4, 30 * 4 * (12 * 32 * 72 + 3 * 80)];
  expect([kvBytes, extraWeightBytes]).toEqual([90 * 512 * 256 + state, maps]);
  expect(peakBytes).toBe(90 * (4096 + 480) * 256 + state);
  const one = toy("qwen3");
  const { L, H, G, E } = one.model.shape;
  const settings = { kv: "f16+less:budget=64", context: 512, chunk: 64, sequences: 2 };
  const stats = await call("open", "bytes", source("qwen3@less"), settings);
  const page = 32 * 2 * E * 2;
  const [lists, own] = [L * G, 8 * (E + 1) * 4];
  expect(stats.kvBytes).toBe(lists * ((512 / 32) * page + 2 * (page + own)));
  await call("open", "plain", source("qwen3@less"), { ...settings, kv: "f16+snapkv:budget=64" });
  const { weightBytes } = await call("stats", "plain");
  expect(stats.weightBytes - weightBytes).toBe(4 * L * ((H + G) * 32 * (E + 8) + G * 80));
  for (const name of ["bytes", "plain"]) await call("close", name);
});

test("what it cannot do is refused", async ({ call }) => {
  const swiftkv = { layers: 1, group: 1 };
  expect(() => parseRecipe("less").check({ swiftkv })).toThrow(
    /^kv: swiftkv and less cannot go together: its weights must be trained on the model in this form/,
  );
  for (const other of ["snapkv", "pyramid", "kvzip", "vlcache", "shadow", "kvmerger"])
    expect(() => parseRecipe(`less+${other}`)).toThrow(/cannot go together/);
  const bare = call("open", "bare", source(VARIANT), { kv: `f32+${RECIPE}`, context: 256 });
  await expect(bare).rejects.toThrow(/ModelError: weights: tensor less\.layers\.0\.query\.in is missing/);
  const windowed = call("open", "windowed", source("mistral@less"), { kv: "f32+less:budget=64", context: 128 });
  await expect(windowed).rejects.toThrow(/InputError: kv: less; got a model whose layers see a window/);
});
