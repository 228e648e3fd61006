// Students by least squares: against numpy in float64, what goes wrong, aborting, and students as files.
import { readFileSync } from "node:fs";
import { expect } from "playwright/test";
import type { SwiftKv } from "../src/index.ts";
import { makeCheckpoint, readGolden, readSafetensors, toSafetensors } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { job, source, testWith, worst } from "./golden/serve.ts";
import { logSoftmax } from "./reference.ts";

interface Case {
  variant: string;
  layers: number;
  group: number;
  tokens: number;
  lambda: number;
  r2: number[];
  /** Mean KL(ordinary ‖ student) after each token of the held-out text. */
  kl: number;
  logprobs: number[];
  /** Every step-th entry of each store's [D + 1, 2·G·E]. */
  maps: number[][];
}

const fixture = JSON.parse(readFileSync("test/golden/calibration.json", "utf8")) as {
  step: number;
  window: number;
  heldOut: number;
  cases: Case[];
};

/** Files of students that tests made, by the name under which they are served. */
const students = new Map<string, Uint8Array>();

function filesOf(name: string): Map<string, Uint8Array> {
  const student = students.get(name);
  if (student) return new Map([["student.safetensors", student]]);
  if (name === "nothing-there") return new Map();
  const [variant, change] = name.split("@");
  const checkpoint = makeCheckpoint(variant!);
  // One weight of another layer differs: another model of the same shape.
  if (change) checkpoint.tensors.get("model.layers.0.mlp.up_proj.weight")!.data[0]! += 1;
  return toFiles(checkpoint, readGolden(variant!).dtype);
}

const test = testWith(filesOf);

/** The text of calibrate.py: tokens from 3 up. */
function textOf(variant: string, count: number): number[] {
  const vocabulary = Number(makeCheckpoint(variant).config.vocab_size);
  let x = 0x811c9dc5;
  for (const byte of new TextEncoder().encode("text")) x = Math.imul(x ^ byte, 0x01000193) >>> 0;
  return Array.from({ length: count }, () => {
    x = (Math.imul(x, 1664525) + 1013904223) >>> 0;
    return 3 + Math.floor((x / 2 ** 32) * (vocabulary - 3));
  });
}

const bytesOf = (base64: string): Uint8Array => new Uint8Array(Buffer.from(base64, "base64"));

/** [D + 1, 2·G·E] of each store, as calibrate.py has them. */
function mapsOf(file: Uint8Array): Float64Array[] {
  const tensors = readSafetensors(file);
  const owners = [...tensors.keys()].filter((name) => name.endsWith("k_proj_swiftkv.weight"));
  return owners.map((keys) => {
    const parts = ["k_proj", "v_proj"].map((kind) => keys.replace("k_proj", kind));
    const [width, D] = tensors.get(keys)!.shape as [number, number];
    const map = new Float64Array((D + 1) * 2 * width);
    for (const [i, part] of parts.entries()) {
      const weight = tensors.get(part)!.data;
      const bias = tensors.get(part.replace(/weight$/, "bias"))!.data;
      for (let n = 0; n < width; n++) {
        const column = i * width + n;
        for (let k = 0; k < D; k++) map[k * 2 * width + column] = weight[n * D + k]!;
        map[D * 2 * width + column] = bias[n]!;
      }
    }
    return map;
  });
}

/** |got − want| / |want| of the sampled entries. */
function relativeError(got: Float64Array, want: readonly number[], step: number): number {
  let [error, size] = [0, 0];
  for (const [i, value] of want.entries()) {
    error += (got[i * step]! - value) ** 2;
    size += value ** 2;
  }
  return Math.sqrt(error / size);
}

// ---- against numpy ----

/** Mean KL of the rows, in float64. */
function meanKl(dense: readonly number[][], student: readonly number[][]): number {
  const sums = dense.map((row, i) => {
    const [p, q] = [logSoftmax(Float64Array.from(row)), logSoftmax(Float64Array.from(student[i]!))];
    return p.reduce((sum, value, v) => sum + Math.exp(value) * (value - q[v]!), 0);
  });
  return sums.reduce((sum, value) => sum + value, 0) / sums.length;
}

for (const { variant, layers, group, tokens, lambda, r2, kl, logprobs, maps } of fixture.cases) {
  test(`${variant}, K ${layers}, G ${group}, ${tokens} tokens: maps, R², log-probabilities and KL of numpy in float64`, async ({
    call,
  }) => {
    const shape = { layers, group };
    const text = textOf(variant, tokens + fixture.heldOut);
    const calibrate = text.slice(0, tokens);
    // Windows of one chunk and of several.
    for (const chunk of tokens > 4096 ? [fixture.window] : [fixture.window, 24]) {
      await call("open", "dense", source(variant), { kv: "f32", context: 128, chunk });
      await call("twin", "student", "dense", shape, { calibrate, window: fixture.window });
      const { calibration, undistilled, swiftkv } = await call("model", "student");
      expect({ undistilled, swiftkv }).toEqual({ undistilled: true, swiftkv: shape });
      expect(calibration).toMatchObject({ tokens, window: fixture.window, ridge: 1e-4 });
      expect(Math.abs(calibration!.lambda / lambda - 1)).toBeLessThan(1e-5);
      expect(worst([...calibration!.r2], r2)).toBeLessThan(1e-4);
      const got = mapsOf(bytesOf(await call("studentOf", "student")));
      expect(got.length).toBe(maps.length);
      for (const [store, want] of maps.entries())
        expect(relativeError(got[store]!, want, fixture.step), `store ${store}`).toBeLessThan(1e-3);
      const held = text.slice(tokens);
      // f16 rounds each weight by 2⁻¹² of itself; sums of D of them, in later layers, move log-probabilities of about 5.
      const scores = (await call("score", "student", held)).slice(1);
      expect(worst(scores, logprobs)).toBeLessThan(5e-3);
      // The logits after the last token too: what would follow does not matter.
      const after = [...held.slice(1), held[0]!];
      const rows = async (name: string) => (await call("evaluate", name, held.slice(0, 1), after, true)).logits;
      expect(Math.abs(meanKl(await rows("dense"), await rows("student")) / kl - 1)).toBeLessThan(0.02);
    }
    for (const name of ["dense", "student"]) await call("close", name);
  });
}

test("a SwiftKV checkpoint with its ordinary projections calibrates as the ordinary model", async ({ call }) => {
  const calibrate = textOf("llama-swiftkv", 600);
  await call("open", "own", source("llama-swiftkv"), { kv: "f32", context: 128, teacher: true });
  await call("twin", "ordinary", "own", false);
  const shape: SwiftKv = { layers: 4, group: 2 };
  for (const name of ["own", "ordinary"]) await call("twin", `${name} student`, name, shape, { calibrate, window: 50 });
  const [first, second] = [await call("studentOf", "own student"), await call("studentOf", "ordinary student")];
  // The first reads with a cache in f16.
  expect(relativeError(mapsOf(bytesOf(first))[0]!, [...mapsOf(bytesOf(second))[0]!], 1)).toBeLessThan(2e-2);
  for (const name of ["own", "ordinary", "own student", "ordinary student"]) await call("close", name);
});

// ---- what goes wrong ----

test("texts that cannot be used, and shapes that leave nothing to fit, are refused", async ({ call }) => {
  await call("open", "dense", source("qwen2"), { context: 128 });
  const shape = { layers: 1, group: 2 };
  const refuse = async (options: object, message: RegExp, swiftkv: SwiftKv | boolean = shape) =>
    expect(call("twin", "bad", "dense", swiftkv, options)).rejects.toThrow(message);
  const least = 4 * 73;
  await refuse(
    { calibrate: "ĀāĂ" },
    new RegExp(`InputError: calibrate: too short; got \\d+ tokens, want at least ${least} `),
  );
  await refuse({ calibrate: [] }, /InputError: calibrate: too short; got 0 tokens/);
  await refuse({ calibrate: "  \n" }, /InputError: calibrate: text 1; got nothing, want a text/);
  await refuse({ calibrate: ["ĀāĂ", ""] }, /InputError: calibrate: text 2; got nothing/);
  await refuse({ calibrate: "ab\0cd" }, /InputError: calibrate: text 1; got bytes that are no text/);
  await refuse({ calibrate: "\uFFFDx".repeat(500) }, /text 1; got bytes that are no text/);
  await refuse(
    { calibrate: [...Array(400).fill(5), 151] },
    /calibrate: got token id 151, want a whole number from 0 to 150/,
  );
  const calibrate = textOf("qwen2", least);
  await refuse({ calibrate, window: 1 }, /InputError: window: got 1/);
  await refuse({ calibrate, ridge: 0 }, /InputError: ridge: got 0, want a number between 0 and 1/);
  await refuse({ calibrate }, /InputError: calibrate: got a shape in which every layer is ordinary/, false);
  await refuse({ calibrate }, /calibrate: got a shape in which every layer/, { layers: 3, group: 1 });
  await refuse({}, /InputError: convert: got swiftkv true without a student, want a shape/, true);
  await refuse({ calibrate, student: "/nowhere/" }, /InputError: convert: got calibrate and student, want one of them/);
  await expect(call("studentOf", "dense")).rejects.toThrow(
    /InputError: saveStudent: got a model that was not calibrated/,
  );
  await call("close", "dense");
});

test("where workers are not to be had, the main thread solves in slices: the same numbers", async ({
  call,
  harness,
}) => {
  await call("open", "dense", source("qwen2"), { kv: "f32", context: 128 });
  const options = { calibrate: textOf("qwen2", 640), window: 64 };
  const made: string[] = [];
  const twin = async () => {
    await call("twin", "student", "dense", { layers: 1, group: 1 }, options);
    made.push(await call("studentOf", "student"));
  };
  await twin();
  // None at all; then one that a content security policy refuses: it fails after it was made.
  for (const body of [
    "throw new Error()",
    "this.onerror = null; return new original('data:text/javascript,throw 1')",
  ]) {
    await harness.evaluate((body) => {
      const page = globalThis as unknown as { Worker: unknown; original: unknown };
      page.original = page.Worker;
      page.Worker = new Function("original", `return function () { ${body} }`)(page.original);
    }, body);
    await twin();
    await harness.evaluate(() => {
      const page = globalThis as unknown as { Worker: unknown; original: unknown };
      page.Worker = page.original;
    });
  }
  expect(made[1]).toBe(made[0]);
  expect(made[2]).toBe(made[0]);
  for (const name of ["dense", "student"]) await call("close", name);
});

test("progress rises and tells the time left; an abort at any report leaves no buffer behind", async ({ call }) => {
  await call("open", "dense", source("qwen2"), { kv: "f32", context: 128, chunk: 32 });
  const options = { calibrate: textOf("qwen2", 640), window: 64 };
  const shape = { layers: 1, group: 1 };
  const whole = await call("calibration", "dense", shape, options, 0);
  expect(whole).toMatchObject({ outcome: "made", left: 0 });
  const reading = whole.reports.filter(({ phase }) => phase === "read");
  expect(reading.map(({ tokens }) => tokens)).toEqual(Array.from({ length: 20 }, (_, i) => 32 * (i + 1)));
  expect(reading.at(-1)!.secondsLeft).toBe(0);
  expect(reading.every(({ totalTokens, secondsLeft }) => totalTokens === 640 && secondsLeft! >= 0)).toBe(true);
  expect(whole.reports.at(-1)!.phase).toBe("solve");
  const answer = await call("answer", "dense", job(readGolden("qwen2").prompt, 12));
  for (const abortAt of [1, 2, 13, 20, 21]) {
    const { outcome, left } = await call("calibration", "dense", shape, options, abortAt);
    expect({ outcome, left }, `at ${abortAt}`).toEqual({
      outcome: expect.stringContaining("AbortError") as unknown,
      left: 0,
    });
  }
  // The engine goes on as before.
  expect((await call("answer", "dense", job(readGolden("qwen2").prompt, 12))).tokens).toEqual(answer.tokens);
  await call("close", "dense");
});

// ---- students as files ----

/** Calibrates, and serves the file as `name`. */
async function madeStudent(
  call: Parameters<Parameters<typeof test>[2]>[0]["call"],
  variant: string,
  shape: SwiftKv,
  name: string,
): Promise<Uint8Array> {
  await call("open", "dense", source(variant), { kv: "f32", context: 128 });
  await call("twin", "student", "dense", shape, { calibrate: textOf(variant, 900), window: 64 });
  const file = bytesOf(await call("studentOf", "student"));
  students.set(name, file);
  return file;
}

for (const [variant, shape] of [
  ["llama-blocks", { layers: 1, group: 1 }],
  ["qwen2", { layers: 1, group: 2 }],
  ["qwen3", { layers: 0, group: 1 }],
] as const) {
  test(`${variant}: the student made from its file is the one made in place, bit for bit`, async ({ call }) => {
    const file = await madeStudent(call, variant, shape, `${variant}-own`);
    const { prompt } = readGolden(variant);
    const want = await call("answer", "student", job(prompt, 12));
    const options = {
      kv: "f32",
      context: 128,
      student: new URL(source(`${variant}-own`), "http://localhost").pathname,
    } as const;
    await call("open", "loaded", source(variant), options);
    await call("twin", "put on", "dense", true, { student: options.student });
    for (const name of ["loaded", "put on"]) {
      const got = await call("answer", name, job(prompt, 12));
      expect({ tokens: got.tokens, logprobs: got.logprobs }).toEqual({ tokens: want.tokens, logprobs: want.logprobs });
    }
    await call("close", "put on");
    const made = await call("model", "student");
    expect(await call("model", "loaded")).toMatchObject({
      swiftkv: shape,
      calibration: made.calibration,
      hash: made.hash,
      undistilled: true,
      convertible: true,
    });
    // It can be saved again, and switched off.
    expect(bytesOf(await call("studentOf", "loaded"))).toEqual(file);
    await call("twin", "off", "loaded", false);
    const dense = await call("answer", "dense", job(prompt, 12));
    expect((await call("answer", "off", job(prompt, 12))).logprobs).toEqual(dense.logprobs);
    for (const name of ["dense", "student", "loaded", "off"]) await call("close", name);
  });
}

interface Card {
  version: number;
  swiftkv: SwiftKv;
}

/** The file with another card. */
function withCard(file: Uint8Array, change: (card: Card) => void): Uint8Array {
  const view = new DataView(file.buffer, file.byteOffset);
  const start = 8 + Number(view.getBigUint64(0, true));
  const header = JSON.parse(new TextDecoder().decode(file.subarray(8, start))) as {
    __metadata__: { longprompt: string };
  };
  const card = JSON.parse(header.__metadata__.longprompt) as Card;
  change(card);
  header.__metadata__.longprompt = JSON.stringify(card);
  const text = new TextEncoder().encode(JSON.stringify(header));
  const out = new Uint8Array(8 + text.length + file.length - start);
  new DataView(out.buffer).setBigUint64(0, BigInt(text.length), true);
  out.set(text, 8);
  out.set(file.subarray(start), 8 + text.length);
  return out;
}

test("a student of another model, a damaged one, and one of another shape are refused by name", async ({ call }) => {
  const file = await madeStudent(call, "qwen2", { layers: 1, group: 2 }, "student-of-qwen2");
  for (const name of ["dense", "student"]) await call("close", name);
  const key = "model.layers.1.self_attn.k_proj_swiftkv.weight";
  const refuse = async (bytes: Uint8Array, message: RegExp, base = "qwen2", options: object = {}) => {
    const name = `bad-${students.size}`;
    students.set(name, bytes);
    await expect(
      call("open", "bad", source(base), { context: 128, student: source(name), ...options }),
    ).rejects.toThrow(message);
  };
  await refuse(
    file,
    /ModelError: .*student of another model; got qwen2@other with weights [0-9a-f]{12}, want qwen2 with weights [0-9a-f]{12}/,
    "qwen2@other",
  );
  await refuse(file, /ModelError: .*k_proj_swiftkv.weight; got F16 \[24,72\], want F16 \[48,48\]/, "llama");
  for (const length of [0, 4, 100, file.length - 1])
    await refuse(file.slice(0, length), /ModelError: .*student.safetensors/);
  await refuse(Uint8Array.from([...file, 0]), /bytes behind the last tensor/);
  await refuse(new TextEncoder().encode("not a student at all, but text"), /ModelError: .*header length out of range/);
  await refuse(
    toSafetensors(new Map([[key, { shape: [2], data: new Float32Array(2) }]]), "F16"),
    /no student; got a file without the entry "longprompt"/,
  );
  await refuse(
    withCard(file, (card) => delete (card as Partial<Card>).swiftkv),
    /ModelError: .*damaged card; got .*, want name, base, swiftkv and made/,
  );
  await refuse(
    withCard(file, (card) => (card.version = 2)),
    /student of another version; got 2, want 1/,
  );
  await refuse(
    withCard(file, (card) => (card.swiftkv.layers = 0)),
    /unknown tensor|tensor missing|divisor|another model/,
  );
  await refuse(
    withCard(file, (card) => (card.swiftkv = { layers: 2, group: 1 })),
    /unknown tensor; got model.layers.1.*, want those of layers 2 only/,
  );
  await refuse(
    withCard(file, (card) => (card.swiftkv = { layers: 1, group: 1 })),
    /tensor missing; got no model.layers.2.*k_proj_swiftkv.weight/,
  );
  await refuse(
    withCard(file, (card) => (card.swiftkv = { layers: 7, group: 1 })),
    /student of another model; got K 7, G 1, want a shape for 3 layers/,
  );
  await refuse(file, /InputError: student: .* has another shape; got swiftkv K 2, G 1, want K 1, G 2/, "qwen2", {
    swiftkv: { layers: 2, group: 1 },
  });
  await refuse(file, /InputError: student: .* got swiftkv off, want K 1, G 2/, "qwen2", { swiftkv: false });
  await call("open", "other", source("qwen2@other"), { context: 128 });
  const put = (swiftkv: SwiftKv | boolean) =>
    call("twin", "bad", "other", swiftkv, { student: source("student-of-qwen2") });
  await expect(put(true)).rejects.toThrow(/ModelError: .*student of another model; got qwen2@other with weights/);
  await expect(put({ layers: 2, group: 1 })).rejects.toThrow(
    /InputError: student: .* got swiftkv K 2, G 1, want K 1, G 2/,
  );
  await expect(put(false)).rejects.toThrow(/InputError: student: .* got swiftkv off, want K 1, G 2/);
  await call("close", "other");
  await expect(
    call("open", "bad", source("qwen2"), { context: 128, student: source("nothing-there") }),
  ).rejects.toThrow(/ModelError: student: not found; got no student.safetensors in .*nothing-there/);
  await call("open", "good", source("qwen2"), {
    context: 128,
    student: `${source("student-of-qwen2")}student.safetensors`,
    swiftkv: { layers: 1, group: 2 },
  });
  await call("close", "good");
});
