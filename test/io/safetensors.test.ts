import { expect, test } from "playwright/test";
import { ModelError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { expectError } from "./failure.ts";
import {
  asFiles,
  concat,
  encode,
  number,
  pattern,
  safetensors,
  shardedFolder,
  smallFolder,
  smallHeader,
} from "./formats.ts";

/** Opens smallFolder with `bytes` in place of its model.safetensors. */
async function openWith(bytes: Uint8Array<ArrayBuffer>) {
  const files = smallFolder();
  files.set("model.safetensors", bytes);
  return openCheckpoint(asFiles(files));
}

const expectModelError = (work: Promise<unknown>, ...parts: string[]) => expectError(work, ModelError, ...parts);

test("a single file: names, shapes, types, bytes, in file order", async () => {
  const checkpoint = await openCheckpoint(asFiles(smallFolder()));
  expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
  expect(checkpoint.tensors.get("a")).toMatchObject({
    shape: [4, 2],
    type: "F32",
    byteLength: 32,
    interleavedHeads: 0,
  });
  expect(checkpoint.tensors.get("b")).toMatchObject({ shape: [3], type: "F16", byteLength: 6 });
  expect(checkpoint.tensors.get("c")).toMatchObject({ shape: [2], type: "BF16", byteLength: 4 });
  expect(checkpoint.totalBytes).toBe(42);
  expect(await checkpoint.read("b")).toEqual(pattern(42, 5).slice(32, 38));
  expect(await checkpoint.read("a")).toEqual(pattern(42, 5).slice(0, 32));
});

test("file order is by offset, not by name", async () => {
  const { a, b, c } = smallHeader();
  const checkpoint = await openWith(safetensors({ c, __metadata__: { format: "pt" }, b, a }, pattern(42, 5)));
  expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
});

test("shards: every tensor from its file", async () => {
  const checkpoint = await openCheckpoint(asFiles(shardedFolder()));
  expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
  for (const [name, begin, end] of [
    ["a", 0, 32],
    ["b", 32, 38],
    ["c", 38, 42],
  ] as const) {
    expect(await checkpoint.read(name)).toEqual(pattern(42, 5).slice(begin, end));
  }
});

const withIndex = async (index: unknown) => {
  const files = shardedFolder();
  files.set("model.safetensors.index.json", encode(JSON.stringify(index)));
  return openCheckpoint(asFiles(files));
};

test("shards: the index must fit the files", async () => {
  await expectModelError(
    withIndex({ weight_map: { a: "model-3.safetensors" } }),
    "shard missing",
    "model-3.safetensors",
  );
  await expectModelError(withIndex({ weight_map: { x: "model-1.safetensors" } }), "model-1.safetensors", '"x"');
  await expectModelError(withIndex({ weight_map: { a: "../other.safetensors" } }), '"a"', "../other.safetensors");
  await expectModelError(withIndex({ weight_map: { a: 7 } }), '"a"', "got 7");
  await expectModelError(withIndex({ weight_map: {} }), "empty");
  await expectModelError(withIndex({ weight_map: ["a"] }), "weight_map missing");
  await expectModelError(withIndex({}), "weight_map missing");
  await expectModelError(withIndex([]), "want an object");
});

test("header: length and JSON", async () => {
  const data = pattern(42, 5);
  await expectModelError(openWith(encode("short")), "model.safetensors", "file ends early");
  await expectModelError(openWith(concat([number(1000, 8), data])), "header length", "got 1000", "at most 42");
  await expectModelError(openWith(concat([number(-1, 8), data])), "header length");
  await expectModelError(openWith(safetensors("{", data)), "not JSON");
  await expectModelError(openWith(safetensors("[]", data)), "want an object");
  await expectModelError(openWith(concat([number(2, 8), new Uint8Array([0xff, 0xfe]), data])), "not UTF-8");
});

test("header longer than 100 MB is refused before it is read", async () => {
  const size = 100_000_001;
  const sparse = new Blob([number(size, 8), new Uint8Array(2 ** 20)]);
  let largest = 0;
  class Huge extends File {
    override get size() {
      return size + 8;
    }
    override slice(begin = 0, end = 0) {
      largest = Math.max(largest, end - begin);
      return sparse.slice(begin, end);
    }
  }
  const files = asFiles(smallFolder()).filter(({ name }) => name !== "model.safetensors");
  await expectModelError(openCheckpoint([...files, new Huge([], "model.safetensors")]), "header length", "100000000");
  expect(largest).toBe(8);
});

test("entries: dtype, shape, offsets, layout", async () => {
  const cases: [string, object, ...string[]][] = [
    ["unknown dtype", { dtype: "F13" }, '"b"', "F13"],
    ["no dtype", { dtype: 4 }, '"b"', "got 4"],
    ["shape no array", { shape: "3" }, '"b"', "shape"],
    ["negative", { shape: [-3] }, '"b"', "[-3]"],
    ["fraction", { shape: [1.5, 2] }, '"b"', "[1.5,2]"],
    ["product too large", { shape: [2 ** 30, 2 ** 30] }, '"b"', "shape"],
    ["wrong size", { shape: [4] }, '"b"', "got 6", "want 8"],
    ["offsets no pair", { data_offsets: [32] }, '"b"', "data_offsets"],
    ["offsets reversed", { data_offsets: [38, 32] }, '"b"', "data_offsets"],
    ["offsets negative", { data_offsets: [-6, 0] }, '"b"', "data_offsets"],
    ["offsets fraction", { data_offsets: [32.5, 38.5] }, '"b"', "data_offsets"],
    ["overlap", { data_offsets: [31, 37] }, '"b"', "overlaps", "got begin 31", "want 32"],
    ["gap", { data_offsets: [33, 39] }, '"b"', "gap", "got begin 33", "want 32"],
  ];
  for (const [what, change, ...parts] of cases) {
    await test.step(what, async () => {
      const header = smallHeader();
      const bytes = safetensors({ ...header, b: { ...header["b"], ...change } }, pattern(42, 5));
      await expectModelError(openWith(bytes), "model.safetensors", ...parts);
    });
  }
  await expectModelError(openWith(safetensors({ a: 7 }, pattern(42, 5))), '"a"', "got 7");
});

test("the last tensor ends with the file", async () => {
  const whole = safetensors(smallHeader(), pattern(42, 5));
  await expectModelError(openWith(whole.slice(0, -1)), "file ends early");
  await expectModelError(
    openWith(concat([whole, new Uint8Array(1)])),
    "bytes behind the last tensor",
    "got 43",
    "want 42",
  );
});

test("tensors of types without arithmetic are left out, and named", async () => {
  const { a } = smallHeader();
  const extra = { dtype: "F64", shape: [1], data_offsets: [32, 40] };
  const checkpoint = await openWith(safetensors({ a, "model.num_updates": extra }, pattern(40, 5)));
  expect([...checkpoint.tensors.keys()]).toEqual(["a"]);
  expect(checkpoint.others).toEqual(new Map([["model.num_updates", "F64"]]));
});
