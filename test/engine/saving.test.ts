// What a sequence holds, saved, put back, and copied.
import { expect, test } from "playwright/test";
import type { TokenEngine } from "../../src/engine/engine.ts";
import { restoreCache, saveCache, type SavedPart } from "../../src/engine/saved.ts";
import { BlockPool } from "../../src/kv/blocks.ts";
import { holdingsOf, restoreHoldings } from "../../src/kv/holdings.ts";
import { PagePool } from "../../src/kv/pages.ts";
import { plainPlan } from "../../src/kv/plan.ts";
import { Residence } from "../../src/kv/residence.ts";
import { collect, make, request, words } from "./drive.ts";
import { GREEDY, type Sampled } from "../../src/model/model.ts";
import { chunkedPlan, continuation, recallingPlan, retainingPlan, streamingPlan, tieredPlan } from "./fake.ts";

/** Out of one engine and into another, by way of pieces of odd lengths. Returns what rests there, and how many bytes there were. */
async function carry(from: TokenEngine, to: TokenEngine, text: readonly number[], rested: Residence | null = null) {
  let parts: SavedPart[] = [];
  const pieces: Uint8Array<ArrayBuffer>[] = [];
  await saveCache(from, text, rested, async (own, bytes) => {
    parts = own;
    for await (const piece of bytes) pieces.push(piece);
  });
  const all = new Uint8Array(await new Blob(pieces).arrayBuffer());
  expect(parts.reduce((sum, { bytes }) => sum + bytes, 0)).toBe(all.length);
  let at = 0;
  const next = async (most: number) => all.slice(at, (at += Math.min(most, 4 + 4 * (at % 3))));
  const skip = async (bytes: number) => void (at += bytes);
  const restored = await restoreCache(to, text, structuredClone(parts), { next, skip });
  expect(at).toBe(all.length);
  return { parts, bytes: all.length, restored };
}

const PLANS = [
  ["one tier", plainPlan(40)],
  ["two tiers", tieredPlan(40, 12, 20)],
  ["a part of the prompt", retainingPlan(40, 40, 4)],
  ["chunk by chunk", chunkedPlan(40, 40, 4)],
  ["with what stands for the rest", recallingPlan(40, 40, 4)],
  ["streamed", streamingPlan(40, 40, 4)],
] as const;

const SAMPLINGS = [GREEDY, { ...GREEDY, temperature: 1, seed: 5, frequencyPenalty: 0.5, logitBias: [[3, 1]] }] as const;

for (const [name, cache] of PLANS) {
  test(`${name}: what one engine saved another one finds, without computing it`, async () => {
    const prompt = words(1, 150);
    const first = make({ cache });
    await collect(first.engine, request(prompt, 30));
    const second = make({ cache });
    await collect(second.engine, request(words(2, 200), 10)); // its blocks lie elsewhere
    await carry(first.engine, second.engine, prompt);
    const longer = [...prompt, ...words(3, 9)];
    const got = await collect(second.engine, request(longer, 40));
    if (cache.chunkTokens === 0) expect(got.reusedTokens).toBeGreaterThanOrEqual(128);
    expect(got.tokens).toEqual(continuation(longer, 40, 97, GREEDY, cache));
    expect(second.engine.freeBlocks).toBe(cache.tiers.reduce((sum, count) => sum + count, 0));
    await carry(second.engine, second.engine, prompt); // what is there stays
    expect((await collect(second.engine, request(longer, 5))).tokens).toEqual(got.tokens.slice(0, 5));
  });

  for (const cut of [1, 2, 33, 70]) {
    test(`${name}: a reply cut after ${cut} tokens goes on in another engine as if it had not been`, async () => {
      for (const [i, sampling] of SAMPLINGS.entries()) {
        const prompt = words(10 + i, 150 + cut);
        const whole = continuation(prompt, 110, 97, sampling, cache);
        const [first, second] = [make({ cache }), make({ cache })];
        const run = first.engine.generate(request(prompt, cut, { sampling, rests: true }));
        const begun: Sampled[] = [];
        for await (const sampled of run) begun.push(sampled);
        const rests = cache.privatePages !== null && cache.streamed === null && (cut > 1 || cache.chunkTokens > 0);
        expect([run.finish, run.rested !== null]).toEqual(["length", rests]);
        await collect(second.engine, request(words(7, 170), 9));
        const text = [...prompt, ...begun.map(({ token }) => token)];
        const { restored } = await carry(first.engine, second.engine, text, run.rested);
        expect(restored !== null).toBe(rests);
        for (const [engine, rested] of [
          [first.engine, run.rested],
          [second.engine, restored],
        ] as const) {
          const rows = engine === first.engine ? first.model.batches : second.model.batches;
          const before = rows.length;
          const more = engine.generate(request(prompt, 110, { sampling, begun }), undefined, rested);
          const tokens: number[] = [];
          for await (const { token } of more) tokens.push(token);
          expect(tokens).toEqual(whole);
          if (rests || cache.privatePages === null) {
            const run = rows.slice(before).reduce((sum, batch) => sum + batch.rows.length, 0);
            expect(run).toBe(110 - cut); // nothing that was there is computed again
          }
          expect([engine.takenRegions, engine.takenLater]).toEqual([0, 0]);
        }
      }
    });
  }
}

test("what rests gives way to another prompt, and then the reply goes on from the tree", async () => {
  const cache = recallingPlan(24, 40, 4);
  const { engine } = make({ cache });
  const [prompt, other] = [words(1, 300), words(2, 500)];
  const run = engine.generate(request(prompt, 40, { rests: true }));
  const begun: Sampled[] = [];
  for await (const sampled of run) begun.push(sampled);
  expect(run.rested).not.toBeNull();
  expect((await collect(engine, request(other, 30))).tokens).toEqual(continuation(other, 30, 97));
  expect(run.rested).toBeNull();
  expect(engine.freeBlocks).toBe(24);
  const more = engine.generate(request(prompt, 90, { begun }), undefined, run.rested);
  const tokens: number[] = [];
  for await (const { token } of more) tokens.push(token);
  expect(tokens).toEqual(continuation(prompt, 90, 97));
});

test("of two that go on from one reply, one takes what rests, the other computes it again", async () => {
  const cache = recallingPlan(64, 40, 4);
  const { engine } = make({ cache });
  const prompt = words(3, 200);
  const run = engine.generate(request(prompt, 20, { rests: true }));
  const begun: Sampled[] = [];
  for await (const sampled of run) begun.push(sampled);
  const { rested } = run;
  const both = [1, 2].map(async () => {
    const tokens: number[] = [];
    for await (const { token } of engine.generate(request(prompt, 60, { begun }), undefined, rested))
      tokens.push(token);
    return tokens;
  });
  for (const tokens of await Promise.all(both)) expect(tokens).toEqual(continuation(prompt, 60, 97));
  expect([engine.freeBlocks, engine.takenRegions]).toEqual([64, 0]);
});

test("a reply that fills the context cannot go on", async () => {
  const { engine } = make({ blocks: 4 });
  const begun = words(5, 28).map((token) => ({ token, logprob: 0 }));
  expect(() => engine.generate(request(words(4, 100), 200, { begun }))).toThrow(
    "got 29 tokens after 100, want at most 128",
  );
});

test("what does not fit is not put back, and nothing changes", async () => {
  const first = make();
  await collect(first.engine, request(words(1, 200), 5));
  const small = make({ blocks: 4 });
  await carry(first.engine, small.engine, words(1, 200));
  expect(small.engine.freeBlocks).toBe(4);
  const got = await collect(small.engine, request(words(1, 90), 9));
  expect([got.reusedTokens, got.tokens]).toEqual([0, continuation(words(1, 90), 9, 97)]);
});

test("bytes that end early leave nothing that a prompt would find", async () => {
  const [first, second] = [make(), make()];
  await collect(first.engine, request(words(1, 200), 5));
  let parts: SavedPart[] = [];
  await saveCache(first.engine, words(1, 200), null, async (own) => void (parts = own));
  const next = async (most: number): Promise<Uint8Array<ArrayBuffer>> => {
    if (most < 100) throw new RangeError("they ended");
    return new Uint8Array(4);
  };
  const from = { next, skip: async () => {} };
  await expect(restoreCache(second.engine, words(1, 200), parts, from)).rejects.toThrow("they ended");
  expect(second.engine.freeBlocks).toBe(64);
  const got = await collect(second.engine, request(words(1, 200), 9));
  expect([got.reusedTokens, got.tokens]).toEqual([0, continuation(words(1, 200), 9, 97)]);
});

test("a block that somebody goes on in the middle of stays where it is until they have their own", () => {
  const plan = tieredPlan(8, 6, 0);
  const pool = new BlockPool(plan.tiers);
  const [first, second] = [new Residence(pool, plan, null), new Residence(pool, plan, null)];
  first.reserve(40);
  first.append(words(4, 40));
  expect(second.adopt([...words(4, 20), 1, 2])).toBe(20);
  expect(first.dueBlocks).toBe(0);
  const [moved] = second.reserve(2);
  expect(moved).toEqual({ from: first.blocks[0], to: second.blocks[0] });
  expect(first.dueBlocks).toBe(1);
});

test("saved holdings come back into private pages of their own", () => {
  const plan = retainingPlan(20, 40, 4);
  const make = () => new Residence(pool, plan, pages);
  const [pool, pages] = [new BlockPool(plan.tiers), new PagePool(plan.privatePages!)];
  const residence = make();
  residence.reserve(100);
  residence.append(words(5, 100));
  residence.keep(0);
  residence.takeEdits();
  const [saved, restored] = [holdingsOf(residence, pool), make()];
  const holdings = restoreHoldings(restored, pool, saved);
  expect(holdings).toMatchObject({ tokens: saved.tokens, tiers: saved.tiers, reply: saved.reply });
  expect(restored.takeEdits()).toMatchObject({ kept: holdings.kept, pages: [{ index: 3 }] });
  expect(new Set([...holdings.kept!.pages[0]!, ...saved.kept!.pages[0]!]).size).toBe(4);
  for (const each of [residence, restored]) each.dispose();
  expect([pages.taken, pool.idle]).toEqual([0, 20]);
});
