// Regions for what stands for prompts: against a map of blocks that is filled and cleared at random.
import { expect, test } from "playwright/test";
import { BlockPool } from "../../src/kv/blocks.ts";
import { PagePool } from "../../src/kv/pages.ts";
import { Regions } from "../../src/kv/regions.ts";
import { plainPlan } from "../../src/kv/plan.ts";
import { Residence } from "../../src/kv/residence.ts";
import { random } from "../kernels/spec.ts";

test("no two regions overlap, each begins on an even block, and room that is free is found", () => {
  for (let seed = 0; seed < 12; seed++) {
    const uniform = random(seed);
    const count = 2 * (1 + Math.floor(uniform() * 20));
    const regions = new Regions(count);
    const owner = Array<number>(count).fill(-1);
    const held: { first: number; users: number }[] = [];
    for (let step = 0; step < 100; step++) {
      if (uniform() < 0.6) {
        const blocks = 1 + Math.floor(uniform() * 9);
        const first = regions.take(blocks);
        const even = blocks + (blocks % 2);
        const fits = owner.findIndex((_, i) => i % 2 === 0 && i + even <= count && owner.slice(i, i + even).every((by) => by < 0)); // prettier-ignore
        expect(first, `seed ${seed} step ${step}`).toBe(fits < 0 ? null : fits);
        if (first === null) continue;
        owner.fill(step, first, first + even);
        held.push({ first, users: 1 });
      } else if (held.length > 0) {
        const at = Math.floor(uniform() * held.length);
        const region = held[at]!;
        if (uniform() < 0.3) {
          regions.share(region.first);
          region.users++;
          continue;
        }
        regions.release(region.first);
        if (--region.users > 0) continue;
        held.splice(at, 1);
        const by = owner[region.first]!;
        for (let i = 0; i < count; i++) if (owner[i] === by) owner[i] = -1;
      }
      expect(regions.taken).toBe(owner.filter((by) => by >= 0).length);
    }
  }
});

test("without room for what stands for it a prompt stays whole; a region comes back with its sequence", () => {
  const privatePages = { stores: [3], kvHeads: 1, stateBlocks: 4 };
  const plan = { ...plainPlan(12), privatePages, retain: () => ({ tokens: [20], liveFrom: 3 }) };
  const [pool, pages] = [new BlockPool(plan.tiers), new PagePool(privatePages)];
  const prompt = (first: number) => {
    const residence = new Residence(pool, plan, pages);
    residence.reserve(100);
    residence.append(Array.from({ length: 100 }, (_, i) => first + i));
    return residence;
  };
  const [one, two] = [prompt(0), prompt(1000)];
  expect(one.keep()).toMatchObject({ region: 0, liveFrom: 3 });
  expect(two.keep()).toBeNull();
  two.takeEdits();
  expect(two.blocks.every((block) => block >= 0)).toBe(true);
  expect(pages.regions!.taken).toBe(4);
  one.dispose();
  expect([pages.regions!.taken, pages.taken]).toEqual([0, 0]);
  two.dispose();
  expect(prompt(2000).keep()).toMatchObject({ region: 0 });
});

test("10,000 tokens written after a prompt of which a part was given up all keep their places", () => {
  const privatePages = { stores: [3], kvHeads: 1, stateBlocks: 4 };
  const plan = { ...plainPlan(400), privatePages, retain: () => ({ tokens: [20], liveFrom: 3 }) };
  const residence = new Residence(new BlockPool(plan.tiers), plan, new PagePool(privatePages));
  residence.reserve(100);
  residence.append(Array.from({ length: 100 }, (_, i) => i));
  residence.keep();
  const listed = new Map<number, number>();
  for (let i = 0; i < 10_000; i++) {
    residence.reserve(1);
    for (const { index, block } of residence.takeEdits().pages) listed.set(index, block);
    residence.append([i]);
  }
  const live = Math.ceil(10_100 / 32) - 3;
  expect(residence.tokens.length).toBe(10_100);
  expect([...listed.keys()].filter((index) => index >= 3).length).toBe(live);
  expect(new Set(residence.blocks.slice(3)).size).toBe(live);
  for (const [index, block] of listed) if (index >= 3) expect(residence.blocks[index]).toBe(block);
});
