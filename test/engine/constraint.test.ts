// Replies under a constraint, beside others: what may come next follows from what has been read.
import { expect, test } from "playwright/test";
import type { TokenConstraint } from "../../src/engine/sequence.ts";
import type { Allowed } from "../../src/model/model.ts";
import { collect, make, request, stepReached, words } from "./drive.ts";
import { continuation } from "./fake.ts";

const VOCABULARY = 97;

const only = (ids: readonly number[]): Allowed => {
  const words = new Uint32Array(Math.ceil(VOCABULARY / 32));
  for (const id of ids) words[id >>> 5]! |= 1 << (id & 31);
  return words;
};

/** Each token is the one before it plus 1 to 3: a rule that cannot be kept without knowing what was sampled. */
class Rising implements TokenConstraint {
  readonly log: string[] = [];
  #last = 0;
  readonly #longest: number;

  constructor(longest = Infinity) {
    this.#longest = longest;
  }

  async allowed(): Promise<Allowed> {
    await Promise.resolve();
    this.log.push("allowed");
    return only([1, 2, 3].map((step) => (this.#last + step) % VOCABULARY));
  }

  accept(token: number): boolean {
    this.log.push("accept");
    this.#last = token;
    return this.log.length >= 2 * this.#longest;
  }

  dispose(): void {
    this.log.push("dispose");
  }
}

const rises = (tokens: readonly number[]): boolean =>
  tokens.every((token, i) => [1, 2, 3].includes((token - (tokens[i - 1] ?? 0) + VOCABULARY) % VOCABULARY));

test("every token is allowed by those before it, and the rows of a step run while the token before is read", async () => {
  const { model, engine } = make();
  const constraint = new Rising();
  const { tokens } = await collect(engine, request(words(1, 20), 30, { constraint }));
  expect(tokens.length).toBe(30);
  expect(rises(tokens)).toBe(true);
  expect(constraint.log).toEqual([...tokens.flatMap(() => ["allowed", "accept"]), "dispose"]);
  expect(model.mostUnderWay).toBe(2);
  expect(engine.freeBlocks).toBe(64);
});

test("replies beside it are what they are alone, with as many steps", async () => {
  const { model, engine } = make({ rows: 16, sequences: 3 });
  const [a, b] = [words(2, 40), words(3, 9)];
  const [bound, first, second] = await Promise.all([
    collect(engine, request(words(1, 20), 40, { constraint: new Rising() })),
    collect(engine, request(a, 25)),
    collect(engine, request(b, 60)),
  ]);
  expect(rises(bound.tokens)).toBe(true);
  expect(first.tokens).toEqual(continuation(a, 25, VOCABULARY));
  expect(second.tokens).toEqual(continuation(b, 60, VOCABULARY));
  const decoding = model.batches.filter(({ decodeRows }) => decodeRows > 1);
  expect(decoding.length).toBeGreaterThan(20);
});

test("a constraint may end a reply", async () => {
  const { engine } = make();
  const got = await collect(engine, request(words(1, 20), 30, { constraint: new Rising(7) }));
  expect(got).toMatchObject({ finish: "stop" });
  expect(got.tokens.length).toBe(7);
});

test("a reply that is recomputed after giving up its room goes on under its constraint", async () => {
  const { engine } = make({ blocks: 6, sequences: 3 });
  const jobs = [5, 6, 7].map((seed) => request(words(seed, 40), 60, { constraint: new Rising() }));
  const got = await Promise.all(jobs.map((job) => collect(engine, job)));
  expect(engine.preemptions).toBeGreaterThan(0);
  for (const { tokens } of got)
    expect({ length: tokens.length, rises: rises(tokens) }).toEqual({ length: 60, rises: true });
});

for (const method of ["allowed", "accept"] as const) {
  test(`a constraint whose ${method} fails ends its own reply and no other`, async () => {
    const { engine } = make();
    const constraint = new Rising();
    let calls = 0;
    const check = (name: string): void => {
      if (name === method && ++calls === 5) throw new Error("no");
    };
    const failing: TokenConstraint = {
      allowed: async () => {
        check("allowed");
        return constraint.allowed();
      },
      accept: (token) => {
        check("accept");
        return constraint.accept(token);
      },
      dispose: () => constraint.dispose(),
    };
    const other = words(2, 30);
    const [bound, free] = await Promise.allSettled([
      collect(engine, request(words(1, 20), 30, { constraint: failing })),
      collect(engine, request(other, 30)),
    ]);
    expect(bound).toMatchObject({ status: "rejected", reason: { message: "no" } });
    expect(free).toMatchObject({ value: { tokens: continuation(other, 30, VOCABULARY) } });
    expect(constraint.log.at(-1)).toBe("dispose");
    expect(engine.freeBlocks).toBe(64);
  });
}

test("a failed step ends constrained replies too, and the engine goes on", async () => {
  for (const failure of ["failAt", "failLaunchAt"] as const) {
    const { model, engine } = make();
    model[failure] = 9;
    const failed = collect(engine, request(words(1, 20), 30, { constraint: new Rising() }));
    await expect(failed).rejects.toThrow("the fake was told to fail");
    const { tokens } = await collect(engine, request(words(1, 20), 10, { constraint: new Rising() }));
    expect(rises(tokens)).toBe(true);
  }
});

test("an abort between a step's launch and its sampling gives everything back", async () => {
  const { model, engine } = make();
  const stop = new AbortController();
  const constraint = new Rising();
  const running = collect(engine, request(words(1, 20), 90, { constraint }), stop.signal);
  await stepReached(model, 12);
  stop.abort();
  expect(await running).toMatchObject({ finish: "abort" });
  expect(constraint.log.at(-1)).toBe("dispose");
  await expect.poll(() => model.underWay).toBe(0);
  expect(engine.freeBlocks).toBe(64);
});

test("the likeliest tokens come with each token that asks for them", async () => {
  const { engine } = make();
  const run = engine.generate(request(words(1, 20), 3, { top: 2 }));
  for await (const { token, top } of run) expect(top?.map((each) => each.token)).toEqual([token, token + 1]);
});
