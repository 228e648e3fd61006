// Regions for what stands for prompts: against a map of blocks that is filled and cleared at random.
import { expect, test } from "playwright/test";
import { BlockPool } from "../../src/kv/blocks.ts";
import { PagePool } from "../../src/kv/pages.ts";
import { Regions } from "../../src/kv/regions.ts";
import { plainPlan } from "../../src/kv/plan.ts";
import { Residence } from "../../src/kv/residence.ts";
import { random } from "../kernels/spec.ts";

test("no two regions overlap, each begins on an even block, the largest gap is found, and what is free can be grown into", () => {
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
        expect(first !== null, `seed ${seed} step ${step}`).toBe(largestGap(owner) >= even);
        if (first === null) continue;
        expect(owner.slice(first, first + even).every((by) => by < 0) && first % 2 === 0).toBe(true);
        owner.fill(step, first, first + even);
        held.push({ first, users: 1 });
      } else if (held.length > 0) {
        const at = Math.floor(uniform() * held.length);
        const region = held[at]!;
        const [by, end] = [owner[region.first]!, owner.lastIndexOf(owner[region.first]!) + 1];
        if (uniform() < 0.3) {
          const to = end - region.first + 1 + Math.floor(uniform() * 3);
          const more = to + (to % 2);
          const fits = region.first + more <= count && owner.slice(end, region.first + more).every((each) => each < 0);
          expect(regions.resize(region.first, to), `seed ${seed} step ${step}`).toBe(fits);
          if (fits) owner.fill(by, region.first, region.first + more);
          continue;
        }
        if (uniform() < 0.3) {
          regions.share(region.first);
          region.users++;
          continue;
        }
        regions.release(region.first);
        if (--region.users > 0) continue;
        held.splice(at, 1);
        for (let i = 0; i < count; i++) if (owner[i] === by) owner[i] = -1;
      }
      expect(regions.taken).toBe(owner.filter((by) => by >= 0).length);
    }
  }
});

test("10,000 tokens after such a prompt: each page is stood for before it goes, in its turn, and few stay", () => {
  const privatePages = { stores: [3], kvHeads: 1, stateBlocks: 340 };
  const retiring = { after: 40, within: 3 };
  const plan = { ...plainPlan(340), privatePages, retain: () => ({ tokens: [20], liveFrom: 3 }), retiring };
  const pool = new BlockPool(plan.tiers);
  const residence = new Residence(pool, plan, new PagePool(privatePages));
  residence.reserve(100);
  residence.append(Array.from({ length: 100 }, (_, i) => i));
  let [liveFrom, made, most] = [residence.keep(0)!.liveFrom, 3, 0];
  for (let position = 100; position < 10_100; position++) {
    residence.reserve(1);
    const { kept } = residence.takeEdits(position);
    if (kept) {
      expect(kept.liveFrom).toBeLessThanOrEqual(made);
      if (kept.liveFrom > liveFrom) expect(position).toBe(32 * kept.liveFrom + retiring.after + retiring.within);
      liveFrom = kept.liveFrom;
    }
    if (residence.overdue(position) >= 0) expect(residence.retire(position)).toEqual({ index: made++, region: 0 });
    residence.append([position]);
    most = Math.max(most, 340 - pool.free(0));
  }
  expect(most).toBeLessThan(5);
  expect(liveFrom).toBe(Math.floor((10_099 - 43) / 32));
});

/** Blocks of the longest stretch that nobody owns. */
function largestGap(owner: readonly number[]): number {
  let [best, run] = [0, 0];
  for (const by of owner) best = Math.max(best, (run = by < 0 ? run + 1 : 0));
  return best;
}

test("a page more needs the next blocks, and that nobody has gone further; what rests keeps its place until it is dropped", () => {
  const regions = new Regions(8);
  const [a, b] = [regions.take(3)!, regions.take(2)!];
  expect([a, b]).toEqual([0, 4]);
  expect([regions.isFilled(a, 3), regions.resize(a, 4), regions.isFilled(a, 3)]).toEqual([true, true, false]);
  expect([regions.resize(a, 5), regions.restingBehind(a)]).toEqual([false, null]);
  expect(regions.resize(b, 3)).toBe(true);
  expect([regions.rest(b, 2), regions.taken, regions.count]).toEqual([true, 4, 1]);
  expect([regions.resize(a, 5), regions.restingBehind(a)]).toEqual([false, b]); // it is still there
  regions.release(b);
  expect([regions.resize(a, 5), regions.take(2)]).toEqual([true, 6]);
  regions.share(a);
  expect([regions.rest(a, 5), regions.rest(a, 0), regions.taken]).toEqual([false, false, 2]);
});

test("regions lie low, each with room to become twice as long before another; what rests keeps none", () => {
  const regions = new Regions(100);
  const firsts = [10, 4, 6].map((blocks) => regions.take(blocks)!);
  expect(firsts).toEqual([0, 20, 28]);
  expect([regions.resize(0, 20), regions.resize(0, 21), regions.resize(20, 8)]).toEqual([true, false, true]);
  regions.rest(28, 6);
  expect(regions.take(5)).toBe(34); // nobody goes on there
  regions.release(20);
  expect(regions.take(2)).toBe(46); // a gap of 8 blocks leaves nothing for the region of 20 before it
  for (let taken = 0; taken < 20; taken++) regions.take(2); // where there is no such place, the largest gap is shared
  expect(regions.take(2)).not.toBeNull();
});

test("a reply that grows takes the place of what rests behind it, not of what is used", () => {
  const privatePages = { stores: [9], kvHeads: 1, stateBlocks: 16 };
  const retain = (tokens: number) => ({ tokens: [20], liveFrom: Math.floor(tokens / 32) });
  const plan = { ...plainPlan(40), privatePages, retain, retiring: { after: 1, within: 1 } };
  const [pool, pages] = [new BlockPool(plan.tiers), new PagePool(privatePages)];
  const start = (first: number, number: number) => {
    const residence = new Residence(pool, plan, pages);
    residence.reserve(64);
    residence.append(Array.from({ length: 64 }, (_, i) => first + i));
    expect(residence.keep(number)).toMatchObject({ liveFrom: 2 });
    residence.takeEdits();
    return residence;
  };
  const [a, b] = [start(0, 0), start(1000, 1)];
  let retired = 0;
  const go = (position: number) => {
    a.reserve(1);
    a.takeEdits(position);
    if (a.overdue(position) >= 0 && a.retire(position)) retired++;
    a.append([position]);
  };
  for (let position = 64; position < 64 + 5 * 32; position++) go(position);
  expect(retired).toBe(2); // the next region begins at block 4
  b.dispose(1);
  expect(pages.standing!.numbers).toEqual([1]);
  for (let position = 64 + 5 * 32; position < 64 + 7 * 32; position++) go(position);
  expect(retired).toBe(6);
  expect(pages.standing!.numbers).toEqual([]);
});

test("what stands for a prompt is gone on from where its base is shared, and gives way where room is short", () => {
  const privatePages = { stores: [6], kvHeads: 1, stateBlocks: 8 };
  const liveFrom = (tokens: number) => Math.floor((tokens - 1) / 32);
  const retain = (tokens: number) => ({ tokens: [20], liveFrom: liveFrom(tokens) });
  const plan = { ...plainPlan(24), privatePages, retain, baseBlocks: (blocks: number) => 2 * Math.floor(blocks / 2) };
  const [pool, pages] = [new BlockPool(plan.tiers), new PagePool(privatePages)];
  const run = (tokens: number[], number: number) => {
    const residence = new Residence(pool, plan, pages);
    residence.reserve(tokens.length);
    residence.append(tokens);
    const kept = residence.keep(number);
    residence.takeEdits();
    residence.dispose(number);
    return kept;
  };
  const text = Array.from({ length: 300 }, (_, i) => i);
  const other = text.map((token) => 1000 + token);
  expect(run(text.slice(0, 140), 0)).toMatchObject({ region: 0, standing: 0 });
  expect(pages.regions!.taken).toBe(0);
  expect(pages.standing!.best(text, [1, 0])).toBe(0);
  expect(pages.standing!.best(other, [0, 1])).toBe(1);
  expect(run(text.slice(0, 170), 0)).toMatchObject({ region: 0, standing: 4 });
  expect(run(text.slice(0, 200), 0)).toMatchObject({ standing: 0 }); // six blocks count
  expect(run([...text.slice(0, 192), ...other.slice(0, 33)], 0)).toMatchObject({ region: 0, standing: 6 });
  expect(run([...text.slice(0, 100), ...other.slice(0, 100)], 0)).toMatchObject({ standing: 0 });
  expect(run(other.slice(0, 100), 1)).toMatchObject({ region: 0, standing: 0 }); // four blocks beside six: the older gives way
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
  expect(one.keep(0)).toMatchObject({ region: 0, liveFrom: 3 });
  expect(two.keep(0)).toBeNull();
  two.takeEdits();
  expect(two.blocks.every((block) => block >= 0)).toBe(true);
  expect(pages.regions!.taken).toBe(4);
  one.dispose();
  expect([pages.regions!.taken, pages.taken]).toEqual([0, 0]);
  two.dispose();
  expect(prompt(2000).keep(0)).toMatchObject({ region: 0 });
});

test("10,000 tokens written after a prompt of which a part was given up all keep their places", () => {
  const privatePages = { stores: [3], kvHeads: 1, stateBlocks: 4 };
  const plan = { ...plainPlan(400), privatePages, retain: () => ({ tokens: [20], liveFrom: 3 }) };
  const residence = new Residence(new BlockPool(plan.tiers), plan, new PagePool(privatePages));
  residence.reserve(100);
  residence.append(Array.from({ length: 100 }, (_, i) => i));
  residence.keep(0);
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
