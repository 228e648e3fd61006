// The float64 oracle of GGUF blocks, which the kernel is held against (test/kernels/weights/pack_block.ts), reads what the
// format's own package reads: bit for bit, once rounded to f32.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { blockFormats } from "../kernels/gguf.ts";

const { types } = JSON.parse(readFileSync("test/golden/blocks.json", "utf8")) as {
  types: Record<string, { blocks: string; values: string }>;
};

test("every type that is read is in the fixture", () => {
  expect(blockFormats.map(({ name }) => name).toSorted()).toEqual(Object.keys(types).toSorted());
});

for (const format of blockFormats) {
  test(`${format.name}: the numbers of PyPI's gguf`, () => {
    const { blocks, values } = types[format.name]!;
    const bytes = new Uint8Array(Buffer.from(blocks, "base64"));
    const want = new Float32Array(new Uint8Array(Buffer.from(values, "base64")).buffer);
    const got: number[] = [];
    for (let at = 0; at < bytes.length; at += format.bytes) {
      const { q, scale, minimum } = format.decode(bytes, at);
      got.push(...q.map((value, k) => Math.fround(scale[k >> 4]! * value + minimum[k >> 4]!)));
    }
    expect(got).toHaveLength(want.length);
    got.forEach((value, k) => expect(value + 0, `value ${k}`).toBe(want[k]! + 0)); // −0 is 0
  });
}
