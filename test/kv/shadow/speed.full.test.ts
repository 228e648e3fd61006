// The cost of context, dense and with ShadowKV, in the shape of SmolLM2-135M, in one run. Prints a row for each length.
import { expect } from "playwright/test";
import { skipWithout, SMOLLM2, SMOLLM2_GGUF } from "../../material.ts";
import { test } from "../../page.ts";
import type { Setting } from "./measure.ts";

const LENGTHS = [128, 4096, 8192, 16384];
const RECIPES = ["f16", "f16+shadow:budget=512,values=int8"];

const median = (times: readonly number[]): number => times.toSorted((a, b) => a - b)[times.length >> 1]!;

test.describe("ShadowKV's speed", () => {
  skipWithout(SMOLLM2, SMOLLM2_GGUF);

  // Times are printed, not asserted: see the goals and what became of them in docs/shadowkv.md.
  test("every recipe is timed at every length", async ({ harness }) => {
    harness.on("console", (message) => console.log(message.text()));
    const model = `/test-models/${SMOLLM2}/${SMOLLM2_GGUF}`;
    const setting = { model, recipes: RECIPES, lengths: LENGTHS, rounds: 5 };
    const { results } = await harness.evaluate(
      async (given) => {
        const { measure } = (await import("/test/kv/shadow/measure.ts" as string)) as typeof import("./measure.ts");
        const { fileAt } = (await import("/test/kv/shadow/open.ts" as string)) as typeof import("./open.ts");
        return measure(await fileAt(given.model), given, console.log);
      },
      setting satisfies Setting & { model: string },
    );
    for (const { recipe, tokens, changing, same, end, prefill } of results)
      console.log(`${tokens} ${recipe}: ${median(changing).toFixed(0)} ms, same query ${median(same).toFixed(0)} ms, prompt's end ${end.toFixed(0)} of ${prefill.toFixed(0)} ms`); // prettier-ignore
    const rows = LENGTHS.flatMap((tokens) => RECIPES.map((recipe) => ({ recipe, tokens })));
    expect(results.map(({ recipe, tokens }) => ({ recipe, tokens }))).toEqual(rows);
    for (const { changing, same } of results) expect([changing.length, same.length]).toEqual([5, 5]);
  });
});
