// docs/formats.md says of every type how it lies on the GPU: the code's own answer.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { bitsOf, groupOf, isFloat } from "../src/model/weights/matrix.ts";
import { TENSOR_BLOCKS, type TensorType } from "../src/tensor.ts";

const rows = [...readFileSync("docs/formats.md", "utf8").matchAll(/^\| (\w+) \| ([\d.]+) \| ([^|]+) \| ([\d.]+) \|/gm)];

test("the table of types has a row for each", () => {
  expect(rows.map(([, type]) => type).toSorted()).toEqual(Object.keys(TENSOR_BLOCKS).toSorted());
});

for (const [, name, inFile, form, onGpu] of rows) {
  test(`${name} lies on the GPU as docs/formats.md says`, () => {
    const type = name as TensorType;
    const { elements, bytes } = TENSOR_BLOCKS[type];
    const [bits, group] = [bitsOf(type), groupOf(type)];
    expect(Number(inFile)).toBe((8 * bytes) / elements);
    expect(form).toBe(isFloat(type) ? `${bits} bits` : `${bits} bits, ${group} values`);
    expect(Number(onGpu)).toBe(isFloat(type) ? bits : bits + 32 / group);
  });
}
