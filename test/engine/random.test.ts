// Random requests with too little memory: arrivals, aborts, common beginnings, penalties; conversations that go on and branch.
import { expect, test } from "playwright/test";
import { GREEDY, type RowSampling, type Sampled } from "../../src/model/model.ts";
import { pick, random } from "../kernels/spec.ts";
import { collect, make, request, words } from "./drive.ts";
import { type CachePlan, plainPlan } from "../../src/kv/plan.ts";
import {
  chunkedPlan,
  continuation,
  type FakeModel,
  recallingPlan,
  retainingPlan,
  streamingPlan,
  tieredPlan,
} from "./fake.ts";

interface Job {
  prompt: number[];
  count: number;
  sampling: RowSampling;
  /** Step at which it arrives, and at which it is aborted. */
  at: number;
  abortAt: number;
}

const SAMPLINGS: readonly RowSampling[] = [
  GREEDY,
  { ...GREEDY, temperature: 1, seed: 5 },
  { ...GREEDY, repetitionPenalty: 1.3, logitBias: [[7, 2]] },
];

/** Caches that keep everything, that move older blocks to a second tier, that keep a part of longer prompts, and that do both. */
function cacheOf(
  seed: number,
  { blocks, sequences, rows }: { blocks: number; sequences: number; rows: number },
): CachePlan {
  const recent = (seed * 7) % 40;
  const plan = seed % 16 === 3 ? streamingPlan : seed % 16 === 11 ? chunkedPlan : retainingPlan;
  const retaining = plan(blocks, 3 + (seed % 20), sequences);
  if (seed % 4 === 2)
    return tieredPlan(blocks, 2 * Math.ceil(rows / 32) + 1 + sequences * (Math.ceil(recent / 32) + 2), recent);
  if (seed % 8 === 7) return { ...retaining, tiers: [blocks, blocks], recent }; // both: prompts are selected from, then sealed
  return seed % 4 === 3 ? retaining : plainPlan(blocks);
}

/** Requests that fit alone, and not together. */
function draw(seed: number) {
  const uniform = random(9000 + seed);
  const upTo = (most: number) => Math.floor(uniform() * most);
  const blocks = 4 + upTo(2);
  const shared = words(seed, 80);
  const least = seed % 4 === 3 ? 40 : 0; // long enough to lose a part
  const jobs = Array.from({ length: 4 }, (_, i): Job => {
    const prompt = [...shared.slice(0, least + upTo(40)), ...words(seed * 50 + i, 1 + upTo(10))];
    const room = blocks * 32 - prompt.length;
    const at = upTo(30);
    const abortAt = uniform() < 0.2 ? at + upTo(80) : -1;
    return { prompt, count: room - upTo(room / 2), sampling: pick(uniform, SAMPLINGS), at, abortAt };
  });
  const options = { blocks, sequences: 2 + upTo(3), rows: 8 + upTo(20), depth: seed % 4 === 1 ? 3 : 2 } as const;
  const cache = cacheOf(seed, options);
  return { options: { ...options, rows: options.rows + cache.chunkTokens, cache }, jobs };
}

/** Starts and aborts the jobs at their steps; the next one at once where nothing runs. */
async function drive(model: FakeModel, jobs: readonly Job[], run: (job: Job, signal: AbortSignal) => Promise<void>) {
  const pending = [...jobs].sort((a, b) => a.at - b.at);
  const controllers = new Map(jobs.map((job) => [job, new AbortController()]));
  const started: Promise<void>[] = [];
  const start = (step: number) => {
    while (pending.length > 0 && pending[0]!.at <= step) {
      const job = pending.shift()!;
      started.push(run(job, controllers.get(job)!.signal));
    }
  };
  model.onStep = (step) => {
    start(step);
    for (const job of jobs) if (job.abortAt === step) controllers.get(job)!.abort();
  };
  for (let awaited = 0; awaited < jobs.length; awaited++) {
    if (awaited === started.length) start(pending[0]!.at);
    await started[awaited];
  }
}

/** Nothing is held any more, in any tier, in private pages or regions. */
function expectAllFree({ model, engine }: ReturnType<typeof make>, { tiers, privatePages }: CachePlan, label: string) {
  expect(engine.freeBlocks, label).toBe(tiers.reduce((sum, count) => sum + count, 0));
  expect(engine.freePages, label).toBe(privatePages?.stores[0] ?? 0);
  expect([engine.takenRegions, engine.takenLater], label).toEqual([0, 0]);
  expect(model.underWay, label).toBe(0);
}

/** Steps launched before the last abort are read. */
const settled = async () => {
  for (let turn = 0; turn < 4; turn++) await new Promise((resolve) => setImmediate(resolve));
};

test("200 random conversations that go on, branch and are aborted: tokens of an engine that never branched", async () => {
  const seen = { followed: 0, aborted: 0, kept: 0, retired: 0, stood: 0 };
  for (let seed = 0; seed < 200; seed++) {
    const uniform = random(70_000 + seed);
    const upTo = (most: number) => Math.floor(uniform() * most);
    const [blocks, sequences] = [12, 2 + upTo(3)];
    const plans = [recallingPlan, retainingPlan, streamingPlan, () => plainPlan(blocks), chunkedPlan];
    const cache = plans[seed % 5]!(blocks, 3 + (seed % 20), sequences);
    const made = make({ blocks, sequences, rows: 8 + upTo(20) + cache.chunkTokens, cache });
    const texts = [words(seed, 1 + upTo(60))];
    for (let turn = 0; turn < 3; turn++) {
      const replies = Array.from({ length: 1 + upTo(3) }, async (_, i) => {
        const prompt = [...pick(uniform, texts), ...words(seed * 100 + turn * 10 + i, 1 + upTo(30))];
        const most = 1 + upTo(60);
        const stop = new AbortController();
        const run = made.engine.generate(request(prompt, most), stop.signal);
        const cut = uniform() < 0.3 ? upTo(most) : -1;
        const tokens: number[] = [];
        for await (const { token } of run) if (tokens.push(token) === cut) stop.abort();
        const want = continuation(prompt, most, 97, undefined, cache);
        expect(tokens, `seed ${seed}`).toEqual(run.finish === "length" ? want : want.slice(0, tokens.length));
        seen.aborted += run.finish === "abort" ? 1 : 0;
        seen.followed += turn > 0 && run.reusedTokens > 0 ? 1 : 0;
        return [...prompt, ...tokens];
      });
      texts.push(...(await Promise.all(replies)));
    }
    await settled();
    expectAllFree(made, cache, `seed ${seed}`);
    const { batches } = made.model;
    seen.kept += batches.some(({ promptEnd }) => promptEnd) ? 1 : 0;
    seen.retired += batches.filter(({ retiring }) => retiring).length;
    seen.stood += batches.filter(({ promptEnd }) => promptEnd && promptEnd.kept.standing > 0).length;
  }
  expect(seen.retired).toBeGreaterThan(40);
  expect(seen.stood).toBeGreaterThan(20);
  expect(seen.followed).toBeGreaterThan(200);
  expect(seen.aborted).toBeGreaterThan(80);
  expect(seen.kept).toBeGreaterThan(100);
});

test("random requests with too little memory: tokens as alone, every block given back", async () => {
  let crowded = 0;
  let aborted = 0;
  let sealed = 0;
  let kept = 0;
  let both = 0;
  for (let seed = 0; seed < 200; seed++) {
    const { options, jobs } = draw(seed);
    const { model, engine } = make(options);
    await drive(model, jobs, async ({ prompt, count, sampling }, signal) => {
      const got = await collect(engine, request(prompt, count, { sampling }), signal);
      const want = continuation(prompt, count, 97, sampling, options.cache);
      const isWhole = got.finish === "length";
      expect(got.tokens, `seed ${seed}`).toEqual(isWhole ? want : want.slice(0, got.tokens.length));
      aborted += isWhole ? 0 : 1;
    });
    await settled();
    expectAllFree({ model, engine }, options.cache, `seed ${seed}`);
    const { tiers } = options.cache;
    crowded += engine.preemptions > 0 ? 1 : 0;
    const seals = model.batches.some(({ moves }) => moves.some(({ to }) => to >= tiers[0]!));
    const keeps = model.batches.some(({ promptEnd }) => promptEnd);
    sealed += seals ? 1 : 0;
    kept += keeps ? 1 : 0;
    both += seals && keeps ? 1 : 0;
  }
  expect(crowded).toBeGreaterThan(70);
  expect(sealed).toBeGreaterThan(30);
  expect(kept).toBeGreaterThan(30);
  expect(both).toBeGreaterThan(10);
  expect(aborted).toBeGreaterThan(50);
});

/** A reply in several runs, each cut after a few tokens, by its limit or by whoever reads it. Returns its tokens, and how often what rested was there. */
async function inParts(
  { engine }: ReturnType<typeof make>,
  { prompt, count, sampling }: Job,
  uniform: () => number,
): Promise<{ tokens: number[]; rests: number }> {
  let begun: Sampled[] = [];
  let rested: ReturnType<typeof engine.generate>["rested"] = null;
  let rests = 0;
  while (begun.length < count) {
    const more = Math.min(count - begun.length, 1 + Math.floor(uniform() * 30));
    const byLimit = uniform() < 0.6;
    const most = byLimit ? begun.length + more : count;
    const run = engine.generate(request(prompt, most, { sampling, begun, rests: true }), undefined, rested);
    const seen: Sampled[] = [];
    for await (const sampled of run) if (seen.push(sampled) === begun.length + more && !byLimit) break;
    begun = seen;
    rested = run.rested;
    rests += rested ? 1 : 0;
  }
  engine.release(rested);
  return { tokens: begun.map(({ token }) => token), rests };
}

test("80 times random replies that are cut and go on, beside others and with too little memory: tokens as in one go", async () => {
  let [rests, crowded] = [0, 0];
  for (let seed = 0; seed < 80; seed++) {
    const { options, jobs } = draw(seed);
    const plans = [recallingPlan, retainingPlan, streamingPlan];
    const retaining = plans[seed % 3]!(options.blocks, 3 + (seed % 20), options.sequences);
    const cache = seed % 2 === 0 ? options.cache : retaining;
    const made = make({ ...options, cache });
    const uniform = random(30_000 + seed);
    const whole = jobs.map((job) => ({ ...job, abortAt: -1 }));
    await drive(made.model, whole, async (job) => {
      const got = await inParts(made, job, uniform);
      const want = continuation(job.prompt, job.count, 97, job.sampling, cache);
      expect(got.tokens, `seed ${seed}`).toEqual(want);
      rests += got.rests;
    });
    await settled();
    expectAllFree(made, cache, `seed ${seed}`);
    crowded += made.engine.preemptions > 0 ? 1 : 0;
  }
  expect(rests).toBeGreaterThan(20);
  expect(crowded).toBeGreaterThan(10);
});
