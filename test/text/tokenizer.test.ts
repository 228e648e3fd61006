// Ids as the reference implementations give them (fixtures/make.py), from tokenizer.json and from GGUF metadata alike.

import { createHash } from "node:crypto";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { tokenizerFromGguf } from "../../src/text/gguf.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import {
  FABLE,
  fableMetadata,
  ggufMetadata,
  golden,
  modelFiles,
  recorded,
  oracle,
  sentencePieceMetadata,
} from "./materials.ts";
import { folderHolding, skipWithout, SMOLLM2, SMOLLM2_GGUF, STORIES } from "../material.ts";

function expectIds(tokenizer: Tokenizer, texts: readonly string[], ids: readonly number[][]): void {
  expect(texts.length).toBe(ids.length);
  for (const [index, text] of texts.entries()) {
    expect.soft(tokenizer.encode(text), JSON.stringify(text)).toEqual(ids[index]);
  }
}

function expectGolden(tokenizer: Tokenizer, folder: URL): void {
  for (const { name, text, prompt } of golden(folder).cases) {
    expect(tokenizer.encode(text, { addSpecial: false }), name).toEqual(prompt);
    expect(tokenizer.decode(prompt), name).toBe(text);
  }
}

test("added_tokens.json: what tokenizer.json lacks is added, special where the configuration names it", async () => {
  const { json, config } = modelFiles(FABLE);
  const added = { "<|end|>": 4, "<|new|>": 4096, "<|word|>": 4097 };
  const named = { ...config, additional_special_tokens: ["<|new|>"] };
  const tokenizer = await Tokenizer.create({ json, config: named, added });
  expect(tokenizer.encode("<|new|><|word|><|end|>", { addSpecial: false })).toEqual([4096, 4097, 4]);
  expect([4096, 4097, 4].map((id) => tokenizer.isSpecial(id))).toEqual([true, false, true]);
  expect(tokenizer.vocabularySize).toBe(4098);
});

test.describe("tokenizer.json", () => {
  test("fable: tricky texts and golden prompts", async () => {
    const tokenizer = await Tokenizer.create(modelFiles(FABLE));
    expectIds(tokenizer, [...oracle.texts, ...oracle.special.fable], oracle.fable);
    expectGolden(tokenizer, FABLE);
    expect(tokenizer.vocabularySize).toBe(4096);
    expect([tokenizer.bosToken, tokenizer.eosToken]).toEqual(["<|endoftext|>", "<|end|>"]);
    expect([tokenizer.idOf("<|end|>"), tokenizer.idOf("no such token")]).toEqual([4, null]);
    expect([tokenizer.isSpecial(4), tokenizer.isSpecial(5), tokenizer.isSpecial(-1)]).toEqual([true, false, false]);
  });

  test("smollm2: tricky texts and golden prompts", async () => {
    skipWithout(SMOLLM2, "tokenizer.json", "golden.json");
    const tokenizer = await Tokenizer.create(modelFiles(recorded(SMOLLM2)));
    expectIds(tokenizer, [...oracle.texts, ...oracle.special.smollm2], oracle.smollm2);
    expectGolden(tokenizer, recorded(SMOLLM2));
  });

  test("stories260K: tricky texts and its story there and back", async () => {
    skipWithout(STORIES, "tokenizer.json", "golden.json");
    const tokenizer = await Tokenizer.create(modelFiles(recorded(STORIES)));
    expectIds(tokenizer, [...oracle.texts, ...oracle.special.stories], oracle.stories);
    const { tokens } = golden(recorded(STORIES)) as unknown as { tokens: number[] };
    const story = tokenizer.decode(tokens, { skipSpecial: true });
    expect(story).toMatch(/^Once upon a time/);
    expect(tokenizer.encode(story)).toEqual(tokens);
  });

  test("pre-tokenisers of every kind cut as in the reference", async () => {
    const bases = [{ folder: FABLE, entries: oracle.pre_tokenizers }];
    if (folderHolding(STORIES, "golden.json")) bases.push({ folder: recorded(STORIES), entries: oracle.metaspaces });
    for (const { folder, entries } of bases) {
      const { json, config } = modelFiles(folder);
      for (const { pre_tokenizer, digest } of entries) {
        const changed = { ...(json as object), pre_tokenizer, normalizer: null, post_processor: null };
        const tokenizer = await Tokenizer.create({ json: changed, config });
        const ids = JSON.stringify(oracle.texts.map((text) => tokenizer.encode(text)));
        const got = createHash("sha256").update(ids).digest("hex").slice(0, 16);
        expect.soft(got, JSON.stringify(pre_tokenizer)).toBe(digest);
      }
    }
  });

  test("a byte order mark is no space, so the space before it stays with it", async () => {
    const pieces = ["\u0120", "\u00ef", "\u00bb", "\u00bf", "x", "\u0120\u00ef"];
    const vocab = Object.fromEntries(pieces.map((piece, id) => [piece, id]));
    const bytes = { type: "ByteLevel", add_prefix_space: false, use_regex: true };
    const json = { model: { vocab, merges: ["\u0120 \u00ef"] }, pre_tokenizer: bytes, decoder: bytes };
    expect((await Tokenizer.create({ json, config: {} })).encode(" \ufeffx")).toEqual([5, 2, 3, 4]);
  });

  test("decoding broken UTF-8 reads as the reference does", async () => {
    const tokenizer = await Tokenizer.create(modelFiles(FABLE));
    for (const { ids, text } of oracle.decode) expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text);
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([-1, 4096, 0.5, Number.NaN])).toBe("");
    expect(tokenizer.decode([1, 4])).toBe("<|user|><|end|>");
  });

  test("lone surrogates are U+FFFD", async () => {
    const tokenizer = await Tokenizer.create(modelFiles(FABLE));
    expect(tokenizer.encode("a\ud800b\udc00")).toEqual(tokenizer.encode("a\ufffdb\ufffd"));
  });
});

test.describe("GGUF metadata", () => {
  for (const [pre, ids] of Object.entries({ smollm: oracle.fable, ...oracle.splits })) {
    test(`byte-level, pre-tokeniser ${pre}`, async () => {
      expectIds(
        await Tokenizer.create(tokenizerFromGguf(fableMetadata(pre))),
        oracle.texts,
        ids.slice(0, oracle.texts.length),
      );
    });
  }

  test("every text survives every scheme", async () => {
    for (const pre of ["default", "gpt-2", "llama3", "tekken", "starcoder"]) {
      const tokenizer = await Tokenizer.create(tokenizerFromGguf(fableMetadata(pre)));
      for (const text of oracle.texts) expect(tokenizer.decode(tokenizer.encode(text)), pre).toBe(text);
    }
  });

  test("smollm2: the file's own metadata gives the ids of its tokenizer.json", async () => {
    skipWithout(SMOLLM2, SMOLLM2_GGUF, "golden.json");
    const files = tokenizerFromGguf(ggufMetadata(join(folderHolding(SMOLLM2, SMOLLM2_GGUF)!, SMOLLM2_GGUF)));
    const tokenizer = await Tokenizer.create(files);
    expectIds(tokenizer, [...oracle.texts, ...oracle.special.smollm2], oracle.smollm2);
    expectGolden(tokenizer, recorded(SMOLLM2));
    expect([tokenizer.vocabularySize, tokenizer.eosToken]).toEqual([49152, "<|im_end|>"]);
  });

  test("sentencepiece: ids as its own library gives them", async () => {
    const tokenizer = await Tokenizer.create(tokenizerFromGguf(sentencePieceMetadata()));
    const { cases } = oracle.sentencepiece;
    const plain = cases.filter(({ text }) => !text.includes("<tool>"));
    expectIds(
      tokenizer,
      plain.map(({ text }) => text),
      plain.map(({ ids }) => ids),
    );
    // The mark itself is not kept apart from a space.
    for (const { text } of plain) {
      expect(tokenizer.decode(tokenizer.encode(text), { skipSpecial: true })).toBe(text.replaceAll("\u2581", " "));
    }
  });

  test("sentencepiece: control, user-defined and byte tokens", async () => {
    const tokenizer = await Tokenizer.create(tokenizerFromGguf(sentencePieceMetadata()));
    const tool = tokenizer.idOf("<tool>")!;
    expect(tokenizer.encode("<tool></s>", { addSpecial: false })).toEqual([tool, 2]);
    expect([tokenizer.isSpecial(tool), tokenizer.isSpecial(2), tokenizer.isSpecial(0)]).toEqual([false, true, true]);
    expect(tokenizer.bytesOf(tokenizer.idOf("<0xE4>")!)).toEqual(Uint8Array.of(0xe4));
    expect(tokenizer.bytesOf(2)).toHaveLength(0);
  });

  test("add_space_prefix and add_bos_token are obeyed", async () => {
    const metadata = sentencePieceMetadata();
    metadata.set("tokenizer.ggml.add_space_prefix", false);
    metadata.set("tokenizer.ggml.add_bos_token", false);
    metadata.set("tokenizer.ggml.add_eos_token", true);
    const tokenizer = await Tokenizer.create(tokenizerFromGguf(metadata));
    for (const { text } of oracle.sentencepiece.cases) {
      const ids = tokenizer.encode(text);
      expect(ids.at(-1)).toBe(2);
      expect(tokenizer.decode(ids, { skipSpecial: true })).toBe(text.replaceAll("\u2581", " "));
    }
  });

  test("schemes and kinds not known are refused by name", () => {
    expect(() => tokenizerFromGguf(fableMetadata("kimi-k2"))).toThrow(/is kimi-k2, want one of default, gpt-2/);
    expect(() => tokenizerFromGguf(fableMetadata("gpt-2").set("tokenizer.ggml.model", "rwkv"))).toThrow(
      /is rwkv, want gpt2 or llama/,
    );
  });
});

test("a prompt of 30,000 tokens encodes in about a second", async () => {
  const kinds = { fable: modelFiles(FABLE), sentencepiece: tokenizerFromGguf(sentencePieceMetadata()) };
  for (const [name, files] of Object.entries(kinds)) {
    const tokenizer = await Tokenizer.create(files);
    const { text } = golden(FABLE).cases.toSorted((a, b) => b.text.length - a.text.length)[0]!;
    const plain = text.replaceAll(/<\|\w+\|>/g, "");
    const start = performance.now();
    const count = tokenizer.encode(plain.repeat(30)).length;
    const ms = performance.now() - start;
    console.log(`text: ${name} encodes ${count} tokens in ${ms.toFixed(0)} ms`);
    expect(count).toBeGreaterThan(30_000);
    expect(ms).toBeLessThan(5000);
  }
});
