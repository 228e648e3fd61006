// How prompts are repeated, in what steps and with what room; what rests, and who goes on from it. No GPU.
import { expect, test } from "playwright/test";
import type { KvModel } from "../../../src/index.ts";
import { TokenEngine } from "../../../src/engine/engine.ts";
import { partFrom } from "../../../src/engine/repeat.ts";
import { commonLength } from "../../../src/kv/blocks.ts";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { planOf } from "../../../src/kv/shape.ts";
import { chosenTokens, pagesGivenUp } from "../../../src/kv/systems/kvzip/share.ts";
import type { Batch } from "../../../src/model/model.ts";
import { collect, request, words } from "../../engine/drive.ts";
import { FakeModel } from "../../engine/fake.ts";

const MODEL: KvModel = {
  hiddenSize: 192,
  layers: 1,
  heads: 4,
  kvHeads: 1,
  headWidth: 16,
  windows: [0],
  context: 4096,
  swiftkv: null,
};

const ROWS = 64;

function engineOf({ kv = "kvzip:keep=0.5", context = 1024, sequences = 2 } = {}) {
  const bounds = { context, rows: ROWS + sequences - 1, sequences };
  const plan = planOf(parseRecipe(kv).resolve(MODEL, bounds), bounds);
  const fake = new FakeModel({ rows: bounds.rows, sequences, cache: plan });
  return { plan, fake, engine: new TokenEngine(fake, [7, 8, 9]) };
}

test("lists keep the share that was asked for, of every length; short prompts stay whole", () => {
  const wrong: string[] = [];
  for (const keep of [0.05, 0.25, 0.4, 0.5, 0.9, 0.99, 1])
    for (let tokens = 1; tokens < 700; tokens++) {
      const [chosen, slots] = [chosenTokens(tokens, keep), 32 * pagesGivenUp(tokens)];
      const all = (chosen ?? 0) + tokens - slots;
      const wanted = Math.ceil(keep * tokens - 1e-9);
      const isRight =
        chosen === null
          ? slots === 0 || wanted >= tokens || keep > 0.9
          : chosen >= 1 && chosen < slots && all === Math.max(wanted, tokens - slots + 1);
      if (!isRight) wrong.push(`keep ${keep}, ${tokens} tokens: ${chosen} of ${slots}`);
    }
  expect(wrong).toEqual([]);
  expect(chosenTokens(4096, 1)).toBeNull();
});

test("parts follow each other, led in by what came before; an opening that is long is left out", () => {
  const prompt = words(1, 150);
  for (const opening of [[], [1, 2, 3], words(2, 20)]) {
    let end = 0;
    while (end < prompt.length) {
      const part = partFrom(end, { prompt, opening, rows: 60 });
      const asked = opening.length > 15 ? [] : opening;
      const from = Math.max(0, end - 8);
      expect(part.tokens).toEqual([...asked, ...prompt.slice(from, part.end)]);
      expect(part.tokens.length).toBeLessThanOrEqual(60);
      expect(part.end).toBeGreaterThan(end);
      end = part.end;
    }
    expect(end).toBe(prompt.length);
  }
});

const repeating = (batches: readonly Batch[]) => batches.filter(({ repeated }) => repeated);

test("a prompt is repeated behind itself, before its second token; the last part chooses", async () => {
  const { fake, engine } = engineOf();
  const prompt = words(3, 200);
  await collect(engine, request(prompt, 20));
  const steps = repeating(fake.batches);
  expect(steps.length).toBe(4); // 3 tokens of an opening, 8 that lead in, so 60, 52, 52 and 36 of the prompt
  expect(steps.map(({ repeated }) => repeated!.start)).toEqual([0, 60, 112, 164]);
  expect(steps.map(({ promptEnd }) => promptEnd !== null)).toEqual([false, false, false, true]);
  for (const { rows, repeated } of steps) {
    expect(rows.length).toBe(repeated!.rows);
    expect(rows.map(({ position, cacheIndex }) => [position, cacheIndex])).toEqual(
      rows.map((_, i) => [200 + i, 200 + i]),
    );
  }
  const first = fake.batches.findIndex(({ decodeRows }) => decodeRows > 0);
  expect(first).toBe(fake.batches.indexOf(steps.at(-1)!) + 1);
  // A reply of one token needs no part of its prompt.
  const before = repeating(fake.batches).length;
  await collect(engine, request(words(4, 200), 1));
  expect(repeating(fake.batches).length).toBe(before);
});

test("with KIVI no page changes its format before a part has been chosen from all of them", async () => {
  const { fake, engine } = engineOf({ kv: "kivi:bits=8,recent=32+kvzip:keep=0.5" });
  await collect(engine, request(words(3, 200), 80));
  const chosen = fake.batches.findIndex(({ promptEnd }) => promptEnd !== null);
  const sealing = fake.batches.flatMap(({ moves }, i) =>
    moves.some(({ sequence }) => sequence !== undefined) ? [i] : [],
  );
  expect(chosen).toBeGreaterThan(0);
  expect(sealing.length).toBeGreaterThan(0);
  expect(sealing[0]).toBeGreaterThan(chosen);
});

test("an abort gives everything back, whenever it comes", async () => {
  const { fake, engine } = engineOf();
  const [blocks, pages] = [engine.freeBlocks, engine.freePages];
  for (let step = 1; step < 14; step++) {
    const controller = new AbortController();
    const begun = fake.batches.length;
    fake.onStep = (now) => {
      if (now === begun + step) controller.abort();
    };
    const got = await collect(engine, request(words(step, 200), 20), controller.signal);
    expect(got.finish).toBe("abort");
    expect([engine.freeBlocks, engine.freePages], `step ${step}`).toEqual([blocks, pages]);
  }
});

test("replies beside others, and ones that were preempted, are what they are alone", async () => {
  const prompts = [words(1, 100), words(2, 110), words(3, 90)];
  const alone = await Promise.all(prompts.map((prompt) => collect(engineOf().engine, request(prompt, 150))));
  const { engine, fake } = engineOf({ context: 288, sequences: 3 });
  const together = await Promise.all(prompts.map((prompt) => collect(engine, request(prompt, 150))));
  expect(together.map(({ tokens }) => tokens)).toEqual(alone.map(({ tokens }) => tokens));
  expect(engine.preemptions).toBeGreaterThan(0);
  expect(repeating(fake.batches).length).toBeGreaterThan(0);
});

test("what rests serves the next text that begins so, cut where that parts; any other text begins anew", async () => {
  const { engine, plan } = engineOf();
  const [blocks, pages] = [engine.freeBlocks, engine.freePages];
  const text = words(5, 200);
  const ask = (prompt: readonly number[]) => collect(engine, request(prompt, 6, { rests: true }));
  const first = await ask(text);
  expect(engine.freePages).toBeLessThan(pages);
  const turn = [...text, ...first.tokens, 1, 2, 3];
  expect((await ask(turn)).reusedTokens).toBe(205); // all but the token that was sampled last
  const other = [...text, 50, 51, 52, 53];
  expect((await ask(other)).reusedTokens).toBe(200 + commonLength(turn.slice(200), other.slice(200)));
  expect((await ask(text)).reusedTokens).toBe(199); // once more: its last token is left to compute
  const anew = await collect(engine, request([...other, ...words(6, 100)], 6, { rests: true, anew: true }));
  expect(anew.reusedTokens).toBe(200 - (200 % 32)); // of the tree: nothing that a part of a prompt stands for
  const early = [...text.slice(0, 150), 1, 2, 3]; // parts from it among the pages given up
  expect((await ask(early)).reusedTokens).toBe(150); // of the whole blocks in the tree
  const rests = pages - engine.freePages;
  expect(rests).toBe(Math.ceil(chosenTokens(153, 0.5)! / 32));
  await collect(engine, request(words(9, 40), 2));
  expect([engine.freeBlocks, engine.freePages]).toEqual([blocks, pages]);
  expect(plan.repeats).toBe(true);
});

test("there must be room to repeat a prompt in; near the context fewer rows do it at once", async () => {
  const { engine, fake } = engineOf({ context: 256 });
  const refused = () => engine.check(request(words(1, 209), 2));
  expect(refused).toThrow(
    "prompt: got 209 tokens, want at most 208 (context 256, 48 tokens to repeat the prompt in). Shorten it or load the model with a larger context.",
  );
  engine.check(request(words(1, 209), 1));
  await collect(engine, request(words(1, 208), 2));
  expect(Math.max(...repeating(fake.batches).map(({ rows }) => rows.length))).toBe(48);
});
