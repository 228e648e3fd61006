// SmolLM2-135M-Instruct, calibrated in the browser: what docs/recovery.md says of its students. Many minutes on a CPU.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "playwright/test";
import { CORPORA, skipWithout, SMOLLM2, SMOLLM2_GGUF } from "./material.ts";
import { test } from "./page.ts";

const WIKI = join(CORPORA, "wikitext2/wiki.test.raw");
const NOVEL = join(CORPORA, "books/Jane_Austen_-_Emma.md");

test.describe("SmolLM2-135M-Instruct", () => {
  skipWithout(SMOLLM2, SMOLLM2_GGUF);
  test.skip(!existsSync(WIKI) || !existsSync(NOVEL), `needs ${WIKI} and ${NOVEL}: set LONGPROMPT_MATERIAL`);

  test("K 22 calibrated on 10,000 tokens: 0.03 to 0.2 nats above the ordinary model, not the 0.2 to 0.4 of folded weights", async ({
    call,
  }) => {
    const options = { kv: "f32", context: 512, chunk: 64, sequences: 1 } as const;
    await call("open", "dense", `/test-models/${SMOLLM2}/${SMOLLM2_GGUF}`, options);
    const texts = [readFileSync(WIKI, "utf8"), readFileSync(NOVEL, "utf8").slice(20_000)];
    const pieces = await Promise.all(texts.map((text) => call("tokenize", "dense", text.slice(0, 40_000))));
    // Held out: 256 tokens of each text, behind what is calibrated on.
    const calibrate = pieces.flatMap((tokens) => tokens.slice(0, 5120));
    const held = pieces.map((tokens) => tokens.slice(6000, 6256));
    const loss = async (name: string): Promise<number> => {
      const scores: number[] = [];
      for (const tokens of held) scores.push(...(await call("score", name, tokens)).slice(1));
      return -scores.reduce((sum, score) => sum + score, 0) / scores.length;
    };
    const dense = await loss("dense");
    const shape = { layers: 22, group: 1 };
    await call("twin", "folded", "dense", shape);
    const folded = await loss("folded");
    await call("close", "folded");
    await call("twin", "student", "dense", shape, { calibrate });
    const { r2, tokens } = (await call("model", "student")).calibration!;
    expect(tokens).toBe(10_240);
    // Of 46,080 tokens: 1.00 .97 .95 .93 .90 .91 .85 .80; fewer tokens fit a little more of themselves.
    for (const [i, want] of [1, 0.97, 0.95, 0.93, 0.9, 0.91, 0.85, 0.8].entries())
      expect(Math.abs(r2[i]! - want), `layer ${22 + i}`).toBeLessThan(0.06);
    const student = await loss("student");
    expect(student - dense).toBeLessThan(0.2);
    expect(student - dense).toBeLessThan(0.75 * (folded - dense));
    for (const name of ["dense", "student"]) await call("close", name);
  });
});
