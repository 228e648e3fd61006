// Requests that come together under several recipes, with common beginnings and aborts: each gets the tokens that it gets
// alone, when nothing before it is reused. test/engine/random.test.ts does the same 200 times without a GPU, and counts pages.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../golden/checkpoint.ts";
import { toFiles } from "../golden/folder.ts";
import { job, source, testWith } from "../golden/serve.ts";
import { pick, random } from "../kernels/spec.ts";

const test = testWith((name) => toFiles(makeCheckpoint(name), readGolden(name).dtype));

/** A prompt goes on from blocks that were quantised before, which changes it: `shares` says that nothing lossy is shared. */
const RECIPES = [
  { variant: "llama3", kv: "f32+snapkv:budget=64,window=16", shares: true },
  { variant: "llama-swiftkv-g3", kv: "f32+kivi:bits=4,recent=32", shares: false },
  { variant: "llama-swiftkv-g3", kv: "f32+pyramid:budget=56,window=8,beta=4", shares: true },
  { variant: "llama3", kv: "f32+pyramid:budget=72,window=12+kivi:bits=2,recent=32,rotate=1", shares: false },
];

for (const [seed, { variant, kv, shares }] of RECIPES.entries()) {
  test(`${variant}, ${kv}: replies that run together are those of each alone`, async ({ call }) => {
    const uniform = random(300 + seed);
    const upTo = (most: number) => Math.floor(uniform() * most);
    const { prompt } = readGolden(variant);
    const text = [...prompt, ...prompt.toReversed(), ...prompt];
    const settings = { context: 512 + 32 * upTo(6), chunk: pick(uniform, [32, 40, 64]), sequences: 2 + upTo(2) };
    await call("open", "schedule", source(variant), { kv, ...settings });
    for (let round = 0; round < 2; round++) {
      const jobs = Array.from({ length: 4 }, () => {
        const own = Array.from({ length: 1 + upTo(20) }, () => 3 + upTo(90));
        const tokens = [...text.slice(0, 40 + upTo(70)), ...own];
        return {
          ...job(tokens, 8 + upTo(40), shares ? {} : { reuse: false }),
          abortAfter: pick(uniform, [0, 0, 0, 3]),
        };
      });
      const together = await call("answers", "schedule", jobs);
      for (const [i, { tokens }] of together.entries()) {
        const { prompt, options } = jobs[i]!;
        const alone = await call("answer", "schedule", { prompt, options: { ...options, reuse: false } });
        expect(tokens, `round ${round}, job ${i}`).toEqual(alone.tokens.slice(0, tokens.length));
      }
    }
    await call("close", "schedule");
  });
}
