// Streaming equals decoding at once, whatever the tokens and wherever their borders fall.

import { expect, test } from "playwright/test";
import { tokenizerFromGguf } from "../../src/text/gguf.ts";
import { TextStream, type TokenBytes } from "../../src/text/stream.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { FABLE, modelFiles, oracle, seeded, sentencePieceMetadata } from "./materials.ts";

const fable = await Tokenizer.create(modelFiles(FABLE));
const pieces = await Tokenizer.create(tokenizerFromGguf(sentencePieceMetadata()));

/** A tokenizer whose token i is these bytes. */
const chunks = (tokens: readonly Uint8Array[], leadingSpaces = 0): TokenBytes => ({
  leadingSpaces,
  bytesOf: (id) => tokens[id]!,
  isText: () => true,
});

/** All texts returned, the rest at the end last. */
function stream(tokenizer: TokenBytes, tokens: readonly number[], stop: readonly string[]): string[] {
  const text = new TextStream(tokenizer, stop);
  return [...tokens.map((token) => text.push(token).text), text.finish()];
}

/** Text before the stop string that is complete first; the longest, if several end together. */
function cutAtStop(text: string, stops: readonly string[]): string {
  for (let end = 1; end <= text.length; end++) {
    const found = stops.filter((stop) => text.slice(0, end).endsWith(stop)).map((stop) => stop.length);
    if (found.length > 0) return text.slice(0, end - Math.max(...found));
  }
  return text;
}

/** Random tokens, half of them single bytes or the special tokens at the start of the vocabulary. */
function randomTokens(random: () => number, size: number): number[] {
  return Array.from({ length: 1 + Math.floor(random() * 30) }, () =>
    Math.floor(random() * (random() < 0.5 ? size : 262)),
  );
}

for (const [name, tokenizer] of Object.entries({ fable, sentencepiece: pieces })) {
  test(`${name}: 500 random token sequences stream as they decode`, () => {
    for (let seed = 0; seed < 500; seed++) {
      const tokens = randomTokens(seeded(seed), tokenizer.vocabularySize);
      const text = new TextStream(tokenizer, []);
      let shown = "";
      for (const [index, token] of tokens.entries()) {
        shown += text.push(token).text;
        // At most one unfinished character is kept back: it decodes as one U+FFFD.
        const soFar = tokenizer.decode(tokens.slice(0, index + 1), { skipSpecial: true });
        if (shown !== soFar && shown !== soFar.replace(/\ufffd$/, "")) {
          expect(shown, `seed ${seed}, token ${index}`).toBe(soFar);
        }
      }
      expect(shown + text.finish(), `seed ${seed}`).toBe(tokenizer.decode(tokens, { skipSpecial: true }));
    }
  });

  test(`${name}: 500 random sequences with stop strings cut from their own text`, () => {
    for (let seed = 0; seed < 500; seed++) {
      const random = seeded(seed);
      const tokens = randomTokens(random, tokenizer.vocabularySize);
      const whole = tokenizer.decode(tokens, { skipSpecial: true });
      const characters = [...whole];
      const stops = Array.from({ length: 1 + Math.floor(random() * 3) }, () => {
        const start = Math.floor(random() * characters.length);
        return characters.slice(start, start + 1 + Math.floor(random() * 6)).join("") || "never";
      });
      const want = cutAtStop(whole, stops);
      let shown = "";
      for (const text of stream(tokenizer, tokens, stops)) {
        shown += text;
        if (!want.startsWith(shown)) expect(shown, `seed ${seed}: stops ${JSON.stringify(stops)}`).toBe(want);
      }
      expect(shown, `seed ${seed}`).toBe(want);
    }
  });
}

test("the tricky texts stream back", () => {
  for (const text of oracle.texts) expect(stream(fable, fable.encode(text), []).join("")).toBe(text);
});

test("stop strings are found at every placement of token borders", () => {
  const stops = ["aab", "\u20acx", "bb"];
  for (const text of ["aaab..", "a\u20acx", "\u20ac\u20acxb", "aabb", "abab", "a\u20aca", "babb"]) {
    const bytes = new TextEncoder().encode(text);
    for (let borders = 0; borders < 2 ** (bytes.length - 1); borders++) {
      const parts: Uint8Array[] = [];
      let start = 0;
      for (let at = 1; at <= bytes.length; at++) {
        if (at < bytes.length && !((borders >> (at - 1)) & 1)) continue;
        parts.push(bytes.subarray(start, at));
        start = at;
      }
      const shown = stream(chunks(parts), [...parts.keys()], stops).join("");
      expect(shown, `${text}, borders ${borders.toString(2)}`).toBe(cutAtStop(text, stops));
    }
  }
});

const bytesOf = (...texts: string[]): Uint8Array[] => texts.map((text) => new TextEncoder().encode(text));

test("text is kept back only while it may begin a stop string", () => {
  const tokens = bytesOf("x<", "|e", "nd", "|", "!", "<|", "end|>y");
  const text = new TextStream(chunks(tokens), ["<|end|>"]);
  const pushed = [...tokens.keys()].map((token) => text.push(token));
  expect(pushed.map((step) => step.text)).toEqual(["x", "", "", "", "<|end|!", "", ""]);
  expect(pushed.map((step) => step.stopped)).toEqual([false, false, false, false, false, false, true]);
  expect([text.push(0), text.finish()]).toEqual([{ text: "", stopped: true }, ""]);
});

test("invalid bytes are shown once nothing can make them valid", () => {
  const tokens = [[0xf0], [0x9f], [0x98], [0x80, 0xe2], [0x82], [0x41], [0xff], [0xc3]].map((bytes) =>
    Uint8Array.from(bytes),
  );
  expect(stream(chunks(tokens), [...tokens.keys()], [])).toEqual([
    "",
    "",
    "",
    "\u{1f600}",
    "",
    "\ufffdA",
    "\ufffd",
    "",
    "\ufffd",
  ]);
});

test("the encoder's leading space is dropped once, others stay", () => {
  const tokens = bytesOf(" ", " a", " b");
  expect(stream(chunks(tokens, 1), [1, 2, 1], [])).toEqual(["a", " b", " a", ""]);
  expect(stream(chunks(tokens, 1), [0, 1], []).join("")).toBe(" a");
  expect(stream(chunks(tokens, 0), [0, 1], []).join("")).toBe("  a");
});

test("a byte order mark is text", () => {
  const tokens = fable.encode("\ufeffa\ufeff");
  expect(stream(fable, tokens, []).join("")).toBe("\ufeffa\ufeff");
});

test("an empty stop string is refused; half a character never matches", () => {
  expect(() => new TextStream(fable, [""])).toThrow(/^stop: got an empty stop string/);
  expect(stream(fable, fable.encode("a\u{1f600}"), ["\ud83d"]).join("")).toBe("a\u{1f600}");
});

test("a stop string that almost matches all the time costs linear time", () => {
  const tokens = bytesOf("a".repeat(1000));
  const text = new TextStream(chunks(tokens), [`${"a".repeat(5000)}b`]);
  let shown = "";
  for (let step = 0; step < 300; step++) shown += text.push(0).text;
  expect(shown.length).toBe(295_000);
  expect(text.finish().length).toBe(5000);
});
