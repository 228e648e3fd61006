// What replies read of their prompts, where they come and go: counts belong to a number, and numbers change hands.
import { expect, test } from "playwright/test";
import type { TokenEngine } from "../../src/engine/engine.ts";
import type { Request } from "../../src/engine/sequence.ts";
import { make, request, words } from "./drive.ts";
import { recallingPlan } from "./fake.ts";

const asked = { attended: true };

async function reading(engine: TokenEngine, wanted: Request) {
  const run = engine.generate(wanted);
  for await (const _ of run);
  return run.attended();
}

test("the reading of every stretch is added up when requests are set back; those that don't ask are told nothing", async () => {
  const cache = { ...recallingPlan(12, 32, 3), retiring: null }; // else there is room for all
  const { model, engine } = make({ cache, sequences: 3, rows: 80 });
  const prompts = [words(90, 100), words(91, 110), words(92, 105)];
  const got = await Promise.all(prompts.map((prompt) => reading(engine, request(prompt, 120, asked))));
  expect(engine.preemptions).toBeGreaterThan(0);
  const decoded = model.batches.reduce((sum, { decodeRows }) => sum + decodeRows, 0);
  expect(got.reduce((sum, read) => sum + read!.tokens, 0)).toBe(decoded);
  for (const read of got) expect(read!.most).toBe(read!.chosen[0]);
  expect(await reading(engine, request(prompts[0]!, 10))).toBeNull();
  expect((await reading(engine, request(prompts[1]!, 10, asked)))!.tokens).toBe(9);
});

test("nothing has been read by a reply of one token, nor by one that was stopped before its prompt was", async () => {
  const { engine } = make({ cache: recallingPlan(12, 32, 2), sequences: 2 });
  await reading(engine, request(words(93, 100), 20, asked));
  expect(await reading(engine, request(words(93, 100), 1, asked))).toBeNull();
  const run = engine.generate(request(words(94, 100), 20, asked));
  run.abort();
  expect(await run.attended()).toBeNull();
});
