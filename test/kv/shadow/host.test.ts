// ShadowKV with the values of prompts in JavaScript's memory: what comes at once (host-sync), and what comes one token late.
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "../../golden/checkpoint.ts";
import { toFiles } from "../../golden/folder.ts";
import { job, source, testWith, tolerance, worst } from "../../golden/serve.ts";
import { HostValues } from "../../../src/kv/systems/shadow/host.ts";
import { givenUp, type ShadowReply } from "./rule.ts";
import { expected, toy } from "./toy.ts";

const VARIANT = "llama-gqa-tied";
/** Its queries are 0: of chunks that all weigh the same each token wants the first. */
const STILL = "still";

const test = testWith((name) =>
  name === STILL ? stillFiles() : toFiles(makeCheckpoint(name), readGolden(name).dtype),
);

function stillFiles() {
  const checkpoint = makeCheckpoint(VARIANT);
  for (const [name, { data }] of checkpoint.tensors) if (name.includes("q_proj")) data.fill(0);
  return toFiles(checkpoint, readGolden(VARIANT).dtype);
}

const SETTINGS = { chunk: 4, outliers: 3, selected: 4, local: 16, rank: 1024, select: "group" } as const;
const recipe = (values: string, budget = 16) =>
  `f32+shadow:chunk=4,outliers=3,budget=${budget},local=16,rank=full,select=group,values=${values}`;
const PLACE = { context: 256, chunk: 64, sequences: 1 } as const;
const TOKENS = 12;

/** Tokens of the reply that are computed after the prompt: all but the first. */
const STEPS = TOKENS - 1;

/** [layers] of the chunks wanted, the share that was there; null where a layer does not choose. */
function hitRates({ choices }: ShadowReply, layers: number): (number | null)[] {
  return Array.from({ length: layers }, (_, layer) => {
    const own = choices.filter((each) => each.layer === layer && each.step < STEPS);
    const sum = (count: "wanted" | "missing") => own.reduce((all, each) => all + each[count], 0);
    return own.length > 0 ? 1 - sum("missing") / sum("wanted") : null;
  });
}

/** Of the first `steps` of them. */
const missed = ({ choices }: ShadowReply, steps: number): number =>
  choices.filter(({ step }) => step < steps).reduce((sum, { missing }) => sum + missing, 0);

for (const variant of ["llama-gqa-tied", "llama-swiftkv-g3"] as const) {
  test(`${variant}: at once is what the GPU's own values give; late is what the reference gives`, async ({ call }) => {
    const one = toy(variant);
    const { L, E } = one.model.shape;
    const chunkBytes = SETTINGS.chunk * E * 2;
    const [{ prompt, ...want }] = expected(one, TOKENS, SETTINGS, { wanted: 1 }) as [ReturnType<typeof expected>[0]];
    await call("open", "gpu", source(variant), { kv: recipe("f16"), ...PLACE });
    const gpu = await call("answer", "gpu", job(prompt, TOKENS));
    expect(gpu.tokens).toEqual(want.tokens);
    const counted = (await call("stats", "gpu")).recall!;
    expect([counted.late, counted.tokens, counted.hostBytes, counted.uploadedBytes]).toEqual([false, STEPS, 0, 0]);
    expect(worst(counted.hitRates.map(Number), hitRates(want, L).map(Number))).toBeLessThan(1e-12);

    await call("open", "sync", source(variant), { kv: recipe("host-sync"), ...PLACE });
    const sync = await call("answer", "sync", job(prompt, TOKENS));
    expect([sync.tokens, sync.logprobs]).toEqual([gpu.tokens, gpu.logprobs]);
    const synced = (await call("stats", "sync")).recall!;
    expect(synced.uploadedBytes).toBe(missed(want, STEPS) * chunkBytes);
    expect(synced.hitRates).toEqual(counted.hitRates);

    const [late] = expected(one, TOKENS, { ...SETTINGS, late: true }, { wanted: 1 }) as [
      ReturnType<typeof expected>[0],
    ];
    await call("open", "late", source(variant), { kv: recipe("host"), ...PLACE });
    const got = await call("answer", "late", job(late.prompt, TOKENS));
    expect(got.tokens).toEqual(late.tokens);
    expect(worst(got.logprobs, late.logprobs)).toBeLessThan(late.allowed);
    const brought = (await call("stats", "late")).recall!;
    expect([brought.late, brought.tokens]).toEqual([true, STEPS]);
    expect(worst(brought.hitRates.map(Number), hitRates(late, L).map(Number))).toBeLessThan(1e-12);
    expect(brought.uploadedBytes).toBe(missed(late, STEPS - 1) * chunkBytes); // the last token's would be the next one's
    for (const name of ["gpu", "sync", "late"]) await call("close", name);
  });
}

test("where a reply wants what is there, nothing goes up, and late is at once", async ({ call }) => {
  const { tokens: prompt } = toy(VARIANT);
  const replies = [];
  for (const values of ["f16", "host-sync", "host"]) {
    await call("open", "still", source(STILL), { kv: recipe(values), ...PLACE });
    const { tokens, logprobs } = await call("answer", "still", job(prompt, TOKENS));
    replies.push({ tokens, logprobs });
    const { uploadedBytes, hitRates: rates } = (await call("stats", "still")).recall!;
    expect([uploadedBytes, ...rates]).toEqual([0, ...rates.map(() => 1)]);
  }
  expect(replies[1]).toEqual(replies[0]);
  expect(replies[2]).toEqual(replies[0]);
  await call("close", "still");
});

test("batches, aborts and preemptions leave nothing behind; a reply is what it is alone", async ({ call }) => {
  const one = toy(VARIANT);
  const options = { ...SETTINGS, late: true };
  const [a, b] = expected(one, TOKENS, options);
  const jobs = [a!, b!, a!].map(({ prompt }) => job(prompt, TOKENS));
  const place = { kv: recipe("host"), context: 448, sequences: 3, chunk: 64 };
  await call("open", "many", source(VARIANT), place);
  const check = (replies: { tokens: number[] }[]) =>
    expect(replies.map(({ tokens }) => tokens)).toEqual([a, b, a].map((each) => each!.tokens));
  check(await call("answers", "many", jobs));
  for (const abortAfter of [-1, 1, 5])
    expect((await call("answer", "many", { ...jobs[0]!, abortAfter })).finish).toBe("abort");
  await call("answers", "many", [{ ...jobs[0]!, abortAfter: 3 }, { ...jobs[1]!, abortAfter: 7 }, { ...jobs[2]!, abortAfter: 5 }]); // prettier-ignore
  check(await call("answers", "many", jobs));
  const { objectsCreated } = await call("stats", "many");
  check(await call("answers", "many", jobs));
  expect((await call("stats", "many")).objectsCreated).toBe(objectsCreated);
  await call("answer", "many", job(one.tokens.slice(0, 20), 2)); // short, kept whole: what stands for the others stays
  const { L, G, E } = one.model.shape;
  const tokens = [a!, b!, a!].reduce((sum, { prompt }) => sum + givenUp(prompt.length, SETTINGS), 0);
  expect((await call("stats", "many")).recall!.hostBytes).toBe(tokens * L * G * E * 2);
  await call("close", "many");
});

test("the order of places is of no consequence, the record of them is", async ({ harness }) => {
  const { tokens, golden } = toy(VARIANT);
  const setting = [source(VARIANT), tokens] as const;
  const [as, exchanged, wrong] = (await harness.evaluate(async ([address, prompt]) => {
    const { permuted } = (await import("/test/kv/shadow/permuted.ts" as string)) as typeof import("./permuted.ts");
    return permuted(address, prompt);
  }, setting)) as [number[], number[], number[]];
  expect(worst(exchanged, as)).toBeLessThan(tolerance(golden));
  expect(worst(wrong, as)).toBeGreaterThan(100 * tolerance(golden));
});

test("what does not fit goes up in rounds, each with the words at which the values of its lists begin", () => {
  const host = new HostValues({ stores: 4, kvHeads: 2, words: 3, chunk: 2, selected: 5 });
  const number = (store: number, head: number, token: number, word: number) => 1000 * store + 100 * head + 3 * token + word; // prettier-ignore
  const valuesOf = (store: number, head: number, tokens: number[]) =>
    tokens.flatMap((token) => [0, 1, 2].map((word) => number(store, head, token, word)));
  host.open(7, 12, 0);
  for (let store = 0; store < 4; store++) {
    for (const [begin, tokens] of [
      [0, [0, 1, 2, 3, 4]],
      [5, [5, 6, 7, 8, 9, 10, 11]],
    ] as const)
      // prettier-ignore
      host.fill(7, store, begin, Uint32Array.from([0, 1].flatMap((head) => valuesOf(store, head, [...tokens]))));
  }
  const chunks = [[[5, 0], [3]], [[], []], [[1], []], [[], [2, 4]]]; // prettier-ignore
  const moves = (lists: number[][]) =>
    Uint32Array.from(lists.flatMap((list) => Array.from({ length: 11 }, (_, i) => i === 0 ? list.length : i % 2 === 0 ? list[i / 2 - 1] ?? 99 : 99))); // prettier-ignore
  const upload = new Uint32Array(29);
  const rounds = [];
  for (const { lists, words } of host.rounds(
    chunks.map((each) => host.missing(moves(each), [7])),
    upload,
  )) {
    // prettier-ignore
    rounds.push([...lists.keys()]);
    expect(words).toBeLessThanOrEqual(upload.length);
    for (const [store, at] of lists) {
      for (const [head, list] of chunks[store]!.entries()) {
        const want = list.flatMap((chunk) => valuesOf(store, head, [2 * chunk, 2 * chunk + 1]));
        expect([...upload.subarray(upload[at + head]!, upload[at + head]! + want.length)]).toEqual(want);
      }
    }
  }
  expect(rounds).toEqual([[0, 2], [3]]); // 20 and 8 words, then 14
  expect(host.bytes).toBe(4 * 4 * 2 * 12 * 3);
  host.keepOnly(new Set([1]));
  expect(host.bytes).toBe(0);
});

test("a choice for each layer is refused where it comes late", async ({ call }) => {
  const kv = recipe("host").replace("group", "layer");
  await expect(call("open", "bad", source(VARIANT), { kv, ...PLACE })).rejects.toThrow(
    /kv: shadow:select; got layer with values=host, want group/,
  );
});
