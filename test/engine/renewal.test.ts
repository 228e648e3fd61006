// Devices that are lost: engines go on with the same tokens on the next one, or end with an error that says why not.
import { expect, test } from "playwright/test";
import type { EngineEvent } from "../../src/api.ts";
import { TokenEngine } from "../../src/engine/engine.ts";
import { evaluate } from "../../src/engine/evaluate.ts";
import { DeviceLostError, UnsupportedError } from "../../src/errors.ts";
import { type CachePlan, plainPlan } from "../../src/kv/plan.ts";
import { Renewal, type Survivor } from "../../src/load/renewal.ts";
import { GREEDY, type RowSampling } from "../../src/model/model.ts";
import { pick, random } from "../kernels/spec.ts";
import { collect, request, stepReached, words } from "./drive.ts";
import {
  continuation,
  FakeModel,
  type FakeOptions,
  recallingPlan,
  retainingPlan,
  streamingPlan,
  tieredPlan,
} from "./fake.ts";

/** A model on a device that can be lost. */
class Placed {
  readonly model: FakeModel;
  disposed = 0;
  #calls: ((error: DeviceLostError) => void)[] = [];

  constructor(options: FakeOptions) {
    this.model = new FakeModel(options);
  }

  readonly gpu = {
    whenLost: (call: (error: DeviceLostError) => void) => void this.#calls.push(call),
    dispose: () => void this.disposed++,
  };

  lose(): void {
    const error = new DeviceLostError("GPU: the device was told to go away");
    this.model.lost = error;
    for (const call of this.#calls.splice(0)) call(error);
  }
}

/** An engine on fake devices. */
class Survived implements Survivor<Placed> {
  readonly engine: TokenEngine;
  placed: Placed;

  constructor(placed: Placed) {
    this.placed = placed;
    this.engine = new TokenEngine(placed.model);
  }

  remake = (base: Placed) => Promise.resolve(base);

  goOn(next: Promise<Placed | undefined>): void {
    this.engine.renew(next.then((placed) => (this.placed = placed!).model));
  }
}

interface World {
  /** Milliseconds. */
  now: number;
  /** All devices so far; the last one is in use. */
  devices: Placed[];
  events: EngineEvent[];
  renewal: Renewal<Placed>;
}

/** `load` is called with the number of loads before, and may fail. */
function world(options: FakeOptions = {}, load: (before: number) => Promise<void> | void = () => {}): World {
  const it: World = { now: 0, devices: [], events: [], renewal: null! };
  let loads = 0;
  it.renewal = new Renewal<Placed>({
    load: async () => {
      await load(loads++);
      const placed = new Placed(options);
      it.devices.push(placed);
      return placed;
    },
    onEvent: (event) => void it.events.push(structuredClone(event)),
    clock: () => it.now,
  });
  return it;
}

const never = new AbortController().signal;

async function open(it: World): Promise<Survived> {
  const survived = new Survived(await it.renewal.begin(never));
  it.renewal.add(survived);
  return survived;
}

const types = ({ events }: World) => events.map(({ type }) => type);

/** Everything that a loss could take: noise by step, counts of prompt and reply, biases. */
const SAMPLINGS: readonly RowSampling[] = [
  GREEDY,
  { ...GREEDY, temperature: 1, seed: 5 },
  { ...GREEDY, temperature: 0.8, repetitionPenalty: 1.2, presencePenalty: 0.3, logitBias: [[5, 1.5]], seed: 11 },
];

const plans: readonly ((blocks: number, budget: number, sequences: number) => CachePlan)[] = [
  plainPlan,
  (blocks) => tieredPlan(blocks, 8, 20),
  retainingPlan,
  recallingPlan,
  streamingPlan,
];

test("25 random runs with losses at random steps: the tokens of an undisturbed engine, whatever the cache", async () => {
  const seen = { losses: 0, inPrompt: 0, inReply: 0 };
  for (let seed = 0; seed < 25; seed++) {
    const uniform = random(300_000 + seed);
    const upTo = (most: number) => Math.floor(uniform() * most);
    const sequences = 2 + upTo(3);
    const cache = plans[seed % plans.length]!(12, 3 + (seed % 20), sequences);
    const it = world({ blocks: 12, sequences, rows: 8 + upTo(20), cache });
    const { engine } = await open(it);
    const schedule = (placed: Placed) => {
      const at = upTo(25);
      placed.model.onStep = (step) => {
        if (step !== at || it.devices.length > 4) return;
        it.now += 31_000;
        seen.losses++;
        if (placed.model.batches.at(-1)!.logitRows.length > 0) seen.inReply++;
        else seen.inPrompt++;
        setImmediate(() => placed.lose());
      };
    };
    schedule(it.devices[0]!);
    const push = it.devices.push.bind(it.devices);
    it.devices.push = (placed) => (schedule(placed!), push(placed!));
    const jobs = Array.from({ length: 4 }, async (_, i) => {
      const prompt = words(seed * 10 + i, 1 + upTo(70));
      const count = 1 + upTo(50);
      const sampling = pick(uniform, SAMPLINGS);
      const done: number[] = [];
      const wanted = request(prompt, count, { sampling, onPrefill: (tokens) => void done.push(tokens) });
      const { tokens, finish } = await collect(engine, wanted);
      expect(tokens, `seed ${seed}`).toEqual(continuation(prompt, count, 97, sampling, cache));
      expect(finish).toBe("length");
      expect(done, `seed ${seed}`).toEqual([...new Set(done)].sort((a, b) => a - b)); // progress never falls
    });
    await Promise.all(jobs);
    await engine.overwriting(async () => {}); // a device that was lost at the end is replaced too
    expect(engine.freeBlocks, `seed ${seed}`).toBe(cache.tiers.reduce((sum, count) => sum + count, 0));
    expect([engine.takenRegions, engine.takenLater], `seed ${seed}`).toEqual([0, 0]);
  }
  expect(Math.min(seen.inPrompt, seen.inReply)).toBeGreaterThan(10);
  expect(seen.losses).toBeGreaterThan(40);
});

test("a score and an evaluation go on; work that writes over the cache ends, and what waits behind it does not", async () => {
  const it = world();
  const survived = await open(it);
  const { engine } = survived;
  const [prompt, given] = [words(1, 40), words(2, 20)];
  const [score, judged] = [await engine.score(prompt), await evaluate(engine, prompt, given, {})];
  it.devices[0]!.model.onStep = () => setImmediate(() => it.devices[0]!.lose());
  const again = engine.score(prompt);
  const judgedAgain = evaluate(engine, prompt, given, {});
  expect([...(await again)].slice(1)).toEqual([...score].slice(1));
  expect([...(await judgedAgain).logprobs]).toEqual([...judged.logprobs]);
  const work = engine.overwriting(async () => {
    it.devices[1]!.lose();
    throw it.devices[1]!.model.lost!;
  });
  const behind = collect(engine, request(prompt, 5));
  await expect(work).rejects.toThrow(DeviceLostError);
  expect((await behind).tokens).toEqual(continuation(prompt, 5, 97));
  expect(it.renewal.losses).toBe(2);
});

test("an idle engine is renewed at once; its cache is empty", async () => {
  const it = world();
  const { engine } = await open(it);
  const prompt = words(3, 70);
  await collect(engine, request(prompt, 3));
  expect((await collect(engine, request(prompt, 1))).reusedTokens).toBe(69);
  it.devices[0]!.lose();
  const { tokens, reusedTokens } = await collect(engine, request(prompt, 3));
  expect([tokens, reusedTokens]).toEqual([continuation(prompt, 3, 97), 0]);
  expect(it.devices.length).toBe(2);
  expect(types(it)).toEqual(["device-lost", "device-renewed"]);
  expect(it.events[0]).toEqual({ type: "device-lost", losses: 1, message: "GPU: the device was told to go away" });
});

test("the third loss within a minute is the last: all end with DeviceLostError, also what comes later", async () => {
  const it = world({ sequences: 1 });
  const { engine } = await open(it);
  const loseOne = async () => {
    while (it.devices.at(-1)!.model.lost) await new Promise((resolve) => setImmediate(resolve));
    const last = it.devices.at(-1)!;
    await stepReached(last.model, last.model.batches.length + 6);
    last.lose();
  };
  const runs = () => [0, 1].map((i) => collect(engine, request(words(10 + i, 20), 30)));
  const calm = runs();
  for (const pause of [0, 35_000, 35_000, 35_000]) {
    it.now += pause; // never three within a minute
    await loseOne();
  }
  expect(engine.preemptions).toBe(0);
  expect((await Promise.all(calm)).map(({ tokens }) => tokens)).toEqual(
    [0, 1].map((i) => continuation(words(10 + i, 20), 30, 97)),
  );
  it.now += 35_000;
  const ended = runs().map((run) => run.catch((error: unknown) => error));
  for (let i = 0; i < 2; i++) await loseOne();
  const errors = await Promise.all(ended);
  for (const error of errors)
    expect(String(error)).toMatch(/^DeviceLostError: GPU: got 3 devices lost within a minute/);
  await expect(collect(engine, request(words(12, 5), 2))).rejects.toThrow(DeviceLostError);
  await expect(engine.score(words(12, 5))).rejects.toThrow(DeviceLostError);
  expect(it.renewal.losses).toBe(6);
  expect(it.events.at(-1)).toMatchObject({ type: "device-failed", code: "device-lost" });
  expect(engine.freeBlocks).toBe(64);
});

test("while the next device is on its way: requests wait, aborts work", async () => {
  let arrive = () => {};
  const it = world({}, (before) => (before === 0 ? undefined : new Promise<void>((resolve) => (arrive = resolve))));
  const { engine } = await open(it);
  const [first] = it.devices;
  const prompt = words(20, 40);
  const stop = new AbortController();
  const aborted = collect(engine, request(words(21, 10), 60), stop.signal);
  const running = collect(engine, request(prompt, 60));
  await stepReached(first!.model, 6);
  first!.lose();
  const late = collect(engine, request(words(22, 10), 10));
  const scoreStop = new AbortController();
  const score = engine.score(prompt, scoreStop.signal);
  await expect.poll(() => first!.model.underWay).toBe(0);
  stop.abort();
  scoreStop.abort(new Error("not any more"));
  const { tokens, finish } = await aborted;
  expect(finish).toBe("abort");
  expect(tokens.length).toBeGreaterThan(0);
  expect(tokens).toEqual(continuation(words(21, 10), 60, 97).slice(0, tokens.length));
  await expect(score).rejects.toThrow("not any more");
  expect(it.devices.length).toBe(1);
  arrive();
  expect((await running).tokens).toEqual(continuation(prompt, 60, 97));
  expect((await late).tokens).toEqual(continuation(words(22, 10), 10, 97));
  expect(engine.freeBlocks).toBe(64);
});

test("no memory on the next device: requests end with that error, and none is left without an end", async () => {
  const full = () => new UnsupportedError("GPU memory: it was told to be full", { code: "out-of-memory" });
  const it = world({ sequences: 1 }, (before) => {
    if (before > 0) throw full();
  });
  const { engine } = await open(it);
  const runs = [0, 1].map((i) => collect(engine, request(words(30 + i, 20), 30)).catch((error: unknown) => error));
  const score = engine.score(words(32, 20)).catch((error: unknown) => error);
  await stepReached(it.devices[0]!.model, 4);
  it.devices[0]!.lose();
  for (const error of await Promise.all([...runs, score])) expect(error).toMatchObject({ code: "out-of-memory" });
  expect(types(it)).toEqual(["device-lost", "device-failed"]);
  await expect(collect(engine, request(words(33, 5), 2))).rejects.toThrow(DeviceLostError);
  expect(engine.freeBlocks).toBe(64);
});

test("a load whose device is lost goes on on the next; after a loss a missing adapter is waited for, but not for ever", async () => {
  const missing = new UnsupportedError("WebGPU: no adapter", { code: "no-adapter" });
  const outcomes = [new DeviceLostError("GPU: lost while loading"), missing, missing];
  const it = world({}, () => {
    const next = outcomes.shift();
    if (next) throw next;
  });
  const { engine } = await open(it);
  expect((await collect(engine, request(words(40, 9), 9))).tokens).toEqual(continuation(words(40, 9), 9, 97));
  expect([it.renewal.losses, it.devices.length]).toEqual([1, 1]);
  outcomes.push(...Array.from({ length: 9 }, () => missing));
  const wait = setInterval(() => (it.now += 10_000), 20);
  it.devices[0]!.lose();
  await expect(collect(engine, request(words(41, 5), 2))).rejects.toThrow("no adapter");
  clearInterval(wait);
  await expect(world({}, () => Promise.reject(missing)).renewal.begin(never)).rejects.toThrow("no adapter"); // at once
});

test("engines of one load go on together, without those that are gone by then", async () => {
  let arrive = () => {};
  const it = world({}, (before) => (before === 0 ? undefined : new Promise<void>((resolve) => (arrive = resolve))));
  const one = await open(it);
  const beside = new Placed({});
  const two = new Survived(beside);
  const three = new Survived(beside);
  const remade: string[] = [];
  for (const [name, each] of Object.entries({ two, three })) {
    each.remake = async () => (remade.push(name), new Placed({}));
    it.renewal.add(each);
  }
  const prompt = words(50, 30);
  const runs = [one, two].map(({ engine }) => collect(engine, request(prompt, 40)));
  await stepReached(beside.model, 5);
  beside.model.lost = new DeviceLostError("GPU: the same device");
  it.devices[0]!.lose();
  it.renewal.remove(three);
  arrive();
  for (const { tokens } of await Promise.all(runs)) expect(tokens).toEqual(continuation(prompt, 40, 97));
  expect(remade).toEqual(["two"]);
  it.renewal.remove(one);
  it.devices[1]!.lose(); // weights of it are still in use
  arrive();
  expect((await collect(two.engine, request(prompt, 4))).tokens).toEqual(continuation(prompt, 4, 97));
  expect(it.devices.map(({ disposed }) => disposed)).toEqual([0, 0, 1]); // nobody's model is freed, its weights stay
  expect(types(it)).toEqual(["device-lost", "device-renewed", "device-lost", "device-renewed"]);
});
