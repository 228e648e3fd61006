// The files made for engine tests are what the engine's own readers take them for.
import { expect, test } from "playwright/test";
import { inverseFrequencies } from "../../src/model/ops/rope.ts";
import { parseConfig } from "../../src/model/config.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { createModel } from "../reference.ts";
import { FAMILY_VARIANTS, makeCheckpoint, readGolden, VARIANTS } from "./checkpoint.ts";
import { letterOf, toFiles } from "./folder.ts";

const parse = (file: Uint8Array): Record<string, unknown> =>
  JSON.parse(new TextDecoder().decode(file)) as Record<string, unknown>;

for (const variant of [...VARIANTS, ...FAMILY_VARIANTS]) {
  test(`folder ${variant}: tokenizer gives the prompt back, config.json reads as the oracle reads it`, async () => {
    const { prompt, dtype } = readGolden(variant);
    const checkpoint = makeCheckpoint(variant);
    const files = toFiles(checkpoint, dtype);
    const [json, config] = [parse(files.get("tokenizer.json")!), parse(files.get("tokenizer_config.json")!)];
    const text = `<s>${prompt.slice(1).map(letterOf).join("")}`;
    expect((await Tokenizer.create({ json, config })).encode(text)).toEqual(prompt);

    const { shape } = createModel(checkpoint.config, checkpoint.tensors);
    const read = await parseConfig(parse(files.get("config.json")!));
    expect(read.windows.map((window) => window || Infinity)).toEqual(shape.windows);
    for (const [layer, want] of shape.turns.entries()) {
      const { turnedWidth, rotations, rotationOf } = read;
      const got = inverseFrequencies(rotations[rotationOf[layer]!]!, turnedWidth, prompt.length);
      const { frequencies } = want.short && prompt.length <= want.short.upTo ? want.short : want;
      for (const [i, frequency] of got.entries()) expect(frequency).toBeCloseTo(frequencies[i]!, 12);
    }
  });
}
