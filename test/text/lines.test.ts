// 2,000 lines of varied text through tokenizers of every kind: ids and texts as the reference has them (lines.py).

import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import { TextStream } from "../../src/text/stream.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { linesOf } from "./fixtures/lines.mjs";

interface Kept {
  name: string;
  json: { model: { vocab: unknown } };
  /** Three characters for each line, and for each list of ids that is decoded. */
  ids: string;
  decoded: string;
  leftOut: number[];
  given: number[][];
}

const records = readFileSync(new URL("fixtures/lines.jsonl", import.meta.url), "utf8")
  .trim()
  .split("\n")
  .map((line) => JSON.parse(line) as Kept);
const lines = linesOf(1, 2000);

const digest = (value: unknown): string =>
  createHash("sha256").update(JSON.stringify(value)).digest().subarray(0, 3).toString("base64").slice(0, 3);

/** The lines whose digest is another one. */
function different(values: readonly unknown[], digests: string, what: (index: number) => unknown): unknown[] {
  expect(digests).toHaveLength(3 * values.length);
  return values.flatMap((value, index) =>
    digest(value) === digests.slice(3 * index, 3 * index + 3) ? [] : [{ index, of: what(index), got: value }],
  );
}

/** The tokenizer.json that a record shortens. */
function whole({ json }: Kept): object {
  const { vocab } = json.model;
  const named = Array.isArray(vocab) && typeof vocab[0] === "string";
  const ids = named ? Object.fromEntries(vocab.map((piece: string, id) => [piece, id])) : vocab;
  return { ...json, model: { ...json.model, vocab: ids } };
}

function streamed(tokenizer: Tokenizer, ids: readonly number[]): string {
  const stream = new TextStream(tokenizer, []);
  return ids.map((id) => stream.push(id).text).join("") + stream.finish();
}

test("at least 12 tokenizers, and lines of many kinds", () => {
  expect(new Set(records.map(({ name }) => name)).size).toBeGreaterThanOrEqual(12);
  for (const kind of [
    /\p{Script=Han}/u,
    /\p{Script=Arabic}/u,
    /\p{M}/u,
    /\u200d/u,
    /\0/u,
    / {8}/u,
    /(.)\1{400}/u,
    /\p{Nl}/u,
  ])
    expect(
      lines.some((line) => kind.test(line)),
      String(kind),
    ).toBe(true);
});

for (const record of records) {
  test(`${record.name}: ids of 2,000 lines, and what ids decode to`, async () => {
    const tokenizer = await Tokenizer.create({ json: whole(record), config: {} });
    const ids = lines.map((line) => tokenizer.encode(line));
    expect(different(ids, record.ids, (index) => lines[index])).toEqual([]);
    const lists = [...ids.filter((_, index) => index % 20 === 0), ...record.given].map((list) =>
      list.filter((id) => !record.leftOut.includes(id)),
    );
    const texts = lists.map((list) => tokenizer.decode(list, { skipSpecial: true }));
    expect(different(texts, record.decoded, (index) => lists[index])).toEqual([]);
    expect(lists.map((list) => streamed(tokenizer, list))).toEqual(texts);
  });
}

test("a phrase repeated to 50,000 characters without a space takes about a second at most", async () => {
  const run = "banana-Straße".repeat(50_000 / 13);
  const took: { name: string; ms: number }[] = [];
  for (const record of records) {
    const tokenizer = await Tokenizer.create({ json: whole(record), config: {} });
    const start = performance.now();
    tokenizer.encode(run);
    took.push({ name: record.name, ms: Math.round(performance.now() - start) });
  }
  const slowest = took.toSorted((a, b) => b.ms - a.ms)[0]!;
  console.log(`text: 50,000 characters in ${slowest.ms} ms at most (${slowest.name})`);
  expect(slowest.ms).toBeLessThan(5000); // a machine with other work to do
});
