// docs/formats.md says of every type how it lies on the GPU, and which families run: the code's own answers.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { architectureOf } from "../src/io/formats/architectures.ts";
import { parseConfig } from "../src/model/config.ts";
import { LLAMAS } from "../src/model/families/index.ts";
import { OTHERS } from "../src/model/families/others.ts";
import { bitsOf, groupOf, isFloat } from "../src/model/weights/matrix.ts";
import { TENSOR_BLOCKS, type TensorType } from "../src/tensor.ts";

const page = readFileSync("docs/formats.md", "utf8");
const rows = [...page.matchAll(/^\| (\w+) \| ([\d.]+) \| ([^|]+) \| ([\d.]+) \|/gm)];

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

/** `model_type` and the GGUF architecture of each family in the table. */
const listed = [...page.matchAll(/^\| [^|]+ \| `(\w+)` \| `(\w+)` \|/gm)].map(
  ([, type, gguf]) => [type!, gguf!] as const,
);

const families = [...LLAMAS, ...OTHERS];

test("the table of families has every one", () => {
  expect(listed.map(([type]) => type).toSorted()).toEqual(families.map(({ type }) => type).toSorted());
  for (const [, gguf] of listed) expect(() => architectureOf(gguf, "file")).not.toThrow();
});

test("an architecture that does not run is refused with those that do", async () => {
  const names = families.map(({ architecture }) => architecture);
  const refusal = parseConfig({ architectures: ["GPT2LMHeadModel"], model_type: "gpt2" });
  for (const name of names) await expect(refusal).rejects.toThrow(name);
  await expect(refusal).rejects.toThrow("config.json: architecture GPT2LMHeadModel is not supported; want one of");
  expect(() => architectureOf("gemma2", "a.gguf")).toThrow(/a.gguf: .*got "gemma2", want one of llama, .*mistral3/);
});
