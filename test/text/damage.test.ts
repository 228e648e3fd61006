// Damaged files: a ModelError or UnsupportedError with a message, or a tokenizer that works. Nothing else.

import { expect, test } from "playwright/test";
import { InputError, ModelError, UnsupportedError } from "../../src/errors.ts";
import { ChatTemplate } from "../../src/text/chat.ts";
import { tokenizerFromGguf } from "../../src/text/gguf.ts";
import { TextStream } from "../../src/text/stream.ts";
import { Tokenizer, type TokenizerFiles } from "../../src/text/tokenizer.ts";
import { FABLE, fableMetadata, modelFiles, oracle, seeded, sentencePieceMetadata } from "./materials.ts";

type Random = () => number;

const JUNK: readonly (() => unknown)[] = [
  () => null,
  () => undefined,
  () => true,
  () => -1,
  () => 0.5,
  () => Number.NaN,
  () => 1e12,
  () => 7n,
  () => "",
  () => "(",
  () => "\ud800",
  () => "__proto__",
  () => [],
  () => [null],
  () => [["a"]],
  () => ({}),
  () => ({ type: "Sequence" }),
  () => ({ type: "WordPiece", Regex: "[", String: "" }),
];

const pick = <T>(random: Random, list: readonly T[]): T => list[Math.floor(random() * list.length)]!;
const junk = (random: Random): unknown => pick(random, JUNK)();

type Container = Record<string, unknown>;
const isContainer = (value: unknown): value is Container =>
  typeof value === "object" && value !== null && !ArrayBuffer.isView(value);

/** Replaces or deletes one value somewhere inside; says where. */
function mutate(root: Container, random: Random): string {
  let node = root;
  let path = "";
  for (;;) {
    const keys = Object.keys(node);
    const key = keys.length > 0 ? pick(random, keys) : "extra";
    path += `.${key}`;
    const child = node[key];
    if (isContainer(child) && random() < 0.8) {
      node = child;
      continue;
    }
    if (random() < 0.75) node[key] = junk(random);
    else if (Array.isArray(node)) node.splice(Number(key), 1);
    else delete node[key];
    return path;
  }
}

/** Runs every entry point; what is thrown must be one of ours. */
async function exercise(where: string, files: () => TokenizerFiles): Promise<"works" | "refused"> {
  try {
    const { json, config } = files();
    const tokenizer = await Tokenizer.create({ json, config });
    for (const text of oracle.texts.slice(0, 14)) {
      const ids = tokenizer.encode(text);
      expect(
        ids.every((id) => Number.isInteger(id)),
        where,
      ).toBe(true);
      const stream = new TextStream(tokenizer, ["\n\n"]);
      for (const id of ids) stream.push(id);
      stream.finish();
      expect(typeof tokenizer.decode(ids), where).toBe("string");
    }
    const template = config["chat_template"] ?? null;
    if (template !== null)
      new ChatTemplate(template as string, tokenizer.specials).render([{ role: "user", content: "x" }]);
    return "works";
  } catch (error) {
    const ours = error instanceof ModelError || error instanceof UnsupportedError || error instanceof InputError;
    expect(ours, `${where}: ${String(error)}`).toBe(true);
    return "refused";
  }
}

/** Some mutations must bite and some must not, or the test tests nothing. */
async function expectBoth(outcomes: readonly Promise<string>[]): Promise<void> {
  expect(new Set(await Promise.all(outcomes))).toEqual(new Set(["works", "refused"]));
}

test("150 mutations of tokenizer.json", async () => {
  const bases = [
    tokenizerFromGguf(sentencePieceMetadata()),
    modelFiles(FABLE),
    tokenizerFromGguf(fableMetadata("llama3")),
  ];
  const outcomes = Array.from({ length: 150 }, (_, seed) => {
    const random = seeded(seed);
    const { json, config } = structuredClone(pick(random, bases));
    const path = mutate({ json }, random);
    return exercise(`seed ${seed}, ${path}`, () => ({ json, config }));
  });
  await expectBoth(outcomes);
});

test("50 mutations of tokenizer_config.json", async () => {
  const outcomes = Array.from({ length: 50 }, (_, seed) => {
    const random = seeded(seed);
    const { json, config } = modelFiles(FABLE);
    const path = mutate({ config }, random);
    return exercise(`seed ${seed}, ${path}`, () => ({ json, config }));
  });
  await expectBoth(outcomes);
});

test("150 mutations of GGUF metadata", async () => {
  const outcomes = Array.from({ length: 150 }, (_, seed) => {
    const random = seeded(seed);
    const metadata = random() < 0.6 ? sentencePieceMetadata() : fableMetadata("smollm");
    const fields: Container = structuredClone(Object.fromEntries(metadata));
    const path = mutate(fields, random);
    return exercise(`seed ${seed}, ${path}`, () => tokenizerFromGguf(new Map(Object.entries(fields))));
  });
  await expectBoth(outcomes);
});

test("whole files that are something else", async () => {
  for (const make of JUNK) await exercise("json", () => ({ json: make(), config: {} }));
  for (const make of JUNK) {
    await exercise("config", () => ({ json: modelFiles(FABLE).json, config: make() as Record<string, unknown> }));
  }
  expect(await exercise("empty", () => tokenizerFromGguf(new Map()))).toBe("refused");
});
