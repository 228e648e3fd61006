// KIVI on toy models against float64 with the same codes; what it costs, and what is refused.
import { expect } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { createModel } from "../../reference.ts";
import { kiviReply } from "./rule.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** SmolLM2-135M. */
const SMOLLM2 = {
  hiddenSize: 576,
  layers: 30,
  heads: 9,
  kvHeads: 3,
  headWidth: 64,
  windows: Array<number>(30).fill(0),
  context: 8192,
  swiftkv: null,
};

const RULES = [
  { kbits: 2, vbits: 2, rotate: false, recent: 32, chunk: 64 },
  { kbits: 4, vbits: 4, rotate: true, recent: 40, chunk: 40 },
  { kbits: 8, vbits: 4, rotate: false, recent: 32, chunk: 64 },
  { kbits: 2, vbits: 4, rotate: true, recent: 64, chunk: 33 },
];

for (const variant of ["llama3", "qwen3", "llama-swiftkv-g3"] as const) {
  test(`${variant}: older pages in few bits give the tokens of float64 with the same codes`, async ({ call }) => {
    const golden = readGolden(variant);
    const { config, tensors } = makeCheckpoint(variant);
    const model = createModel(config, tensors);
    const prompt = [...golden.prompt, ...golden.prompt.toReversed(), ...golden.prompt.slice(7, 30)];
    const exactly = new Map<number, number[]>(); // log-probabilities without codes, by the length of the prompt
    for (const rule of RULES) {
      const { kbits, vbits, rotate, recent, chunk } = rule;
      const kv = `f32+kivi:kbits=${kbits},vbits=${vbits},rotate=${Number(rotate)},recent=${recent}`;
      for (const tokens of [prompt, prompt.slice(5, 5 + recent)]) {
        await call("open", "kivi", source(variant), { kv, context: 256, chunk }); // a fresh one: no sealed block to find
        const want = kiviReply(model, tokens, 60, rule);
        const got = await call("answer", "kivi", job(tokens, 60));
        expect(got.tokens, `${kv}, ${tokens.length} tokens`).toEqual(want.tokens);
        // A code may fall to the other side of a tie in f32: then log-probabilities differ, but by far less than by coding.
        const exact =
          exactly.get(tokens.length) ?? kiviReply(model, tokens, 60, { ...rule, recent: Infinity }).logprobs;
        exactly.set(tokens.length, exact);
        const lost = worst(exact, want.logprobs);
        expect(lost).toBeGreaterThan(20 * tolerance(golden));
        expect(worst(got.logprobs, want.logprobs)).toBeLessThan(lost / 5);
      }
    }
    await call("close", "kivi");
  });
}

for (const kv of ["f32+kivi:bits=2,recent=256", "f32+kivi:bits=4,recent=256,rotate=1"]) {
  test(`${kv}: where every token is recent nothing changes`, async ({ call }) => {
    const golden = readGolden("llama3");
    await call("open", "recent", source("llama3"), { kv, context: 256 });
    const got = await call("answer", "recent", job(golden.prompt, golden.greedy.tokens.length));
    expect(got.tokens).toEqual(golden.greedy.tokens);
    expect(worst(got.logprobs, golden.greedy.logprobs)).toBeLessThan(tolerance(golden));
    await call("close", "recent");
  });
}

test("bytes reported are those of the formula and those allocated", async ({ call }) => {
  const price = (kv: string) => parseRecipe(kv).price(SMOLLM2, 4096).kvBytesPerToken;
  const columns = 30 * 3;
  expect(price("kivi:bits=2")).toBe((columns * (4032 * 48 + 64 * 256)) / 4096);
  expect(price("kivi:bits=4")).toBe((columns * (4032 * 80 + 64 * 256)) / 4096);
  expect(price("f16") / price("kivi:bits=2,recent=64")).toBeGreaterThan(4.5);
  expect(price("f16") / price("kivi:bits=4,recent=64")).toBeGreaterThan(3);
  const { kvBytes } = await call("open", "bytes", source("llama3"), {
    kv: "kivi:bits=2,recent=32",
    context: 512,
    chunk: 32,
    sequences: 1,
  });
  // llama3: 16 channels, 2 KV heads. First tier: two chunks, the recent tokens and blocks in the making.
  const layers = readGolden("llama3").config["num_hidden_layers"] as number;
  const [exact, sealed] = [2 * 1 + 1 + (1 + 2), 512 / 32];
  const words = { exact: 32 * 16, sealed: 32 + 16 + 32 + 32 }; // codes and pairs of K, of V
  expect(kvBytes).toBe(layers * 2 * 4 * (exact * words.exact + sealed * words.sealed));
  await call("close", "bytes");
});

test("several replies at once, of which one is aborted, are those of each alone", async ({ call }) => {
  const { prompt } = readGolden("llama3");
  const text = [...prompt, ...prompt.toReversed(), ...prompt];
  const settings = { kv: "f32+kivi:bits=4,recent=32", context: 1024, chunk: 40, sequences: 4 };
  // No common beginnings: a prompt goes on from sealed blocks that it finds.
  const jobs = [text, text.slice(3, 90), text.slice(20), text.slice(7, 50)].map((tokens) => job(tokens, 40));
  const alone = [];
  for (const each of jobs) {
    await call("open", "alone", source("llama3"), settings);
    alone.push((await call("answer", "alone", each)).tokens);
  }
  await call("close", "alone");
  await call("open", "together", source("llama3"), settings);
  const aborted = { ...job(text.slice(9), 30), abortAfter: 3 };
  const got = await call("answers", "together", [...jobs.map((each) => ({ ...each, abortAfter: 0 })), aborted]);
  expect(got.slice(0, 4).map(({ tokens }) => tokens)).toEqual(alone);
  await call("close", "together");
});

test("a second turn goes on from the sealed pages of the first", async ({ call }) => {
  const { prompt } = readGolden("llama3");
  const first = [...prompt, ...prompt.toReversed()];
  await call("open", "turns", source("llama3"), { kv: "f32+kivi:bits=8,recent=32", context: 512, chunk: 64 });
  const reply = await call("answer", "turns", job(first, 40));
  const again = await call("answer", "turns", job([...first, ...reply.tokens, 5, 9, 11], 12));
  expect(again.reusedTokens).toBeGreaterThanOrEqual(Math.floor((first.length + 39) / 32) * 32);
  await call("close", "turns");
});

test("heads that codes do not fill are refused, and bits that no code has", async ({ call }) => {
  const resolve = (kv: string, headWidth: number) => () =>
    parseRecipe(kv).resolve({ ...SMOLLM2, headWidth }, { context: 64, rows: 64, sequences: 1 });
  expect(resolve("kivi:bits=2", 24)).toThrow(/^kv: kivi; got heads of 24 channels, want a multiple of 16 up to 256/);
  expect(resolve("kivi:bits=4", 24)).not.toThrow();
  expect(() => parseRecipe("kivi:bits=3")).toThrow("kv: kivi:bits; got 3, want 2 or 4 or 8.");
  expect(String(parseRecipe("kivi:bits=2,kbits=8"))).toBe("kivi:kbits=8,vbits=2,recent=64,rotate=0");
  await expect(call("open", "narrow", source("mistral"), { kv: "kivi:bits=2", context: 64 })).rejects.toThrow(/kivi/);
});
