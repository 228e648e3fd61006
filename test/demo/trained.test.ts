// The weights of cache systems that come with the page: the list, against the files.

import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "playwright/test";
import { nameAt, shippedWeights, TRAINED_SYSTEMS, untrainedFor } from "../../demo/shared/trained.ts";

const folder = fileURLToPath(new URL("../../demo/models/trained/", import.meta.url));

test("every file is there, for the system and the model that it names, and no other", async () => {
  const there = await readdir(folder).catch(() => []);
  expect(there.filter((name) => name !== "README.md").toSorted()).toEqual(
    shippedWeights.map(({ file }) => file).toSorted(),
  );
  for (const { file, system, base } of shippedWeights) {
    const bytes = await readFile(folder + file);
    const header = bytes.subarray(8, 8 + Number(bytes.readBigUInt64LE(0))).toString();
    expect((JSON.parse(header) as { __metadata__: unknown }).__metadata__, file).toMatchObject({ system, base });
    expect(bytes.length, file).toBeLessThanOrEqual(4 * 2 ** 20);
  }
});

test("a recipe whose system was not trained for a model is known", () => {
  expect(untrainedFor("f16", { hash: "another" })).toBeNull();
  for (const system of TRAINED_SYSTEMS) {
    expect(untrainedFor(`int8+${system}:budget=512`, { hash: "another" })).toBe(system);
    for (const { base } of shippedWeights) expect(untrainedFor(system, { hash: base })).toBeNull();
  }
});

test("a model is found by the end of its address", () => {
  expect(nameAt("/models/fable/")).toBe("fable");
  expect(nameAt("https://hub/x/resolve/main/SmolLM2-135M%20Instruct.Q4_1.gguf?download=true")).toBe(
    "SmolLM2-135M Instruct.Q4_1",
  );
});
