// What a sequence holds, saved, put back, and copied.
import { expect, test } from "playwright/test";
import { BlockPool } from "../../src/kv/blocks.ts";
import { PagePool } from "../../src/kv/pages.ts";
import { plainPlan } from "../../src/kv/plan.ts";
import { Residence } from "../../src/kv/residence.ts";
import { collect, make, request, words } from "./drive.ts";
import { continuation, retainingPlan, tieredPlan } from "./fake.ts";

for (const [name, cache] of [
  ["one tier", plainPlan(40)],
  ["two tiers", tieredPlan(40, 12, 20)],
] as const) {
  test(`${name}: what one engine saved another one finds, without computing it`, async () => {
    const prompt = words(1, 150);
    const first = make({ cache });
    await collect(first.engine, request(prompt, 30));
    const saved = await first.engine.save(prompt);
    const second = make({ cache });
    await collect(second.engine, request(words(2, 200), 10)); // its blocks lie elsewhere
    expect(await second.engine.restore(saved)).toBe(true);
    const longer = [...prompt, ...words(3, 9)];
    const got = await collect(second.engine, request(longer, 40));
    expect(got.reusedTokens).toBeGreaterThanOrEqual(128);
    expect(got.tokens).toEqual(continuation(longer, 40, 97));
    expect(second.engine.freeBlocks).toBe(cache.tiers.reduce((sum, count) => sum + count, 0));
  });
}

test("what does not fit is not put back, and nothing changes", async () => {
  const first = make();
  await collect(first.engine, request(words(1, 200), 5));
  const saved = await first.engine.save(words(1, 200));
  const small = make({ blocks: 4 });
  expect(await small.engine.restore(saved)).toBe(false);
  expect(small.engine.freeBlocks).toBe(4);
  const got = await collect(small.engine, request(words(1, 90), 9));
  expect([got.reusedTokens, got.tokens]).toEqual([0, continuation(words(1, 90), 9, 97)]);
});

test("a copy shares blocks and private pages until one of the two writes, and the last one gives them back", () => {
  const plan = retainingPlan(20, 40, 4);
  const [pool, pages] = [new BlockPool(plan.tiers), new PagePool(plan.privatePages!)];
  const residence = new Residence(pool, plan, pages);
  residence.reserve(170);
  residence.append(words(4, 170));
  expect(residence.keep()!.pages[0]!.length).toBe(2);
  residence.takeEdits();
  const copy = residence.copy();
  expect(copy.holdings).toEqual(residence.holdings);
  expect(copy.takeEdits()).toMatchObject({ kept: residence.holdings.kept, pages: [{ index: 5 }] });
  expect(pages.taken).toBe(2);
  const [moved] = copy.reserve(3);
  expect(moved!.from).toBe(residence.blocks[5]);
  expect(copy.blocks[5]).toBe(moved!.to);
  copy.append([1, 2, 3]);
  expect([residence.length, copy.length]).toEqual([170, 173]);
  residence.dispose();
  expect(pages.taken).toBe(2);
  copy.dispose();
  expect([pages.taken, pool.idle]).toEqual([0, 20]);
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
  residence.keep();
  residence.takeEdits();
  const restored = make();
  const holdings = restored.restore(residence.holdings);
  expect(holdings).toMatchObject({ tokens: residence.holdings.tokens, tiers: residence.holdings.tiers });
  expect(new Set([...holdings.kept!.pages[0]!, ...residence.holdings.kept!.pages[0]!]).size).toBe(4);
  for (const each of [residence, restored]) each.dispose();
  expect([pages.taken, pool.idle]).toEqual([0, 20]);
});
