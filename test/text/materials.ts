// Files the text tests read, and a reader for GGUF metadata that shares no code with src/io.

import { closeSync, existsSync, openSync, readFileSync, readSync } from "node:fs";
import { pathToFileURL } from "node:url";
import type { TokenizerFiles } from "../../src/text/tokenizer.ts";
import { folderHolding } from "../material.ts";

const ROOT = new URL("../../", import.meta.url);

const parse = (url: URL): unknown => JSON.parse(readFileSync(url, "utf8"));

export interface Golden {
  cases: { name: string; text: string; prompt: number[]; tokens: number[] }[];
}

/** The files of a model folder; a missing tokenizer_config.json reads as {}. */
export function modelFiles(folder: URL): TokenizerFiles {
  const config = new URL("tokenizer_config.json", folder);
  return {
    json: parse(new URL("tokenizer.json", folder)),
    config: existsSync(config) ? (parse(config) as Record<string, unknown>) : {},
  };
}

export const golden = (folder: URL): Golden => parse(new URL("golden.json", folder)) as Golden;

export const FABLE = new URL("demo/models/fable/", ROOT);

/** The folder of a model that has a record, by name. Tests that need it call `skipWithout` first. */
export const recorded = (model: string): URL => pathToFileURL(`${folderHolding(model, "golden.json")}/`);

export interface Oracle {
  texts: string[];
  special: Record<"fable" | "smollm2" | "stories", string[]>;
  fable: number[][];
  smollm2: number[][];
  stories: number[][];
  decode: { ids: number[]; text: string }[];
  splits: Record<string, number[][]>;
  pre_tokenizers: { pre_tokenizer: object; digest: string }[];
  metaspaces: { pre_tokenizer: object; digest: string }[];
  sentencepiece: { tokens: string[]; scores: number[]; types: number[]; cases: { text: string; ids: number[] }[] };
}

/** One [key, value] per line. */
function readOracle(): Oracle {
  const lines = readFileSync(new URL("fixtures/oracle.jsonl", import.meta.url), "utf8")
    .trim()
    .split("\n");
  return Object.fromEntries(lines.map((line): [string, unknown] => JSON.parse(line))) as unknown as Oracle;
}

export const oracle = readOracle();

export const sentencePieceMetadata = (): Map<string, unknown> =>
  new Map<string, unknown>([
    ["tokenizer.ggml.model", "llama"],
    ["tokenizer.ggml.tokens", oracle.sentencepiece.tokens],
    ["tokenizer.ggml.scores", Float32Array.from(oracle.sentencepiece.scores)],
    ["tokenizer.ggml.token_type", Int32Array.from(oracle.sentencepiece.types)],
    ["tokenizer.ggml.bos_token_id", 1],
    ["tokenizer.ggml.eos_token_id", 2],
    ["tokenizer.ggml.unknown_token_id", 0],
    ["tokenizer.ggml.add_bos_token", true],
  ]);

/** Fable's vocabulary as a GGUF file would hold it, with another pre-tokeniser. */
export function fableMetadata(pre: string): Map<string, unknown> {
  const { model, added_tokens: added } = modelFiles(FABLE).json as {
    model: { vocab: Record<string, number>; merges: [string, string][] };
    added_tokens: { id: number }[];
  };
  const tokens = Object.entries(model.vocab)
    .toSorted((a, b) => a[1] - b[1])
    .map(([token]) => token);
  const control = new Set(added.map(({ id }) => id));
  return new Map<string, unknown>([
    ["tokenizer.ggml.model", "gpt2"],
    ["tokenizer.ggml.pre", pre],
    ["tokenizer.ggml.tokens", tokens],
    ["tokenizer.ggml.merges", model.merges.map(([left, right]) => `${left} ${right}`)],
    ["tokenizer.ggml.token_type", Int32Array.from(tokens, (_, id) => (control.has(id) ? 3 : 1))],
    ["tokenizer.ggml.eos_token_id", 4],
  ]);
}

export { seeded } from "./fixtures/lines.mjs";

/** Key/value part of a GGUF v3 file (its first 8 MB). */
export function ggufMetadata(file: string): Map<string, unknown> {
  const bytes = Buffer.alloc(8 << 20);
  const descriptor = openSync(file, "r");
  readSync(descriptor, bytes, 0, bytes.length, 0);
  closeSync(descriptor);
  let at = 16;
  const take = (size: number): number => (at += size) - size;
  const count = (): number => Number(bytes.readBigUInt64LE(take(8)));
  const string = (): string => {
    const length = count();
    return bytes.toString("utf8", at, take(length) + length);
  };
  const readers: (() => unknown)[] = [
    () => bytes.readUInt8(take(1)),
    () => bytes.readInt8(take(1)),
    () => bytes.readUInt16LE(take(2)),
    () => bytes.readInt16LE(take(2)),
    () => bytes.readUInt32LE(take(4)),
    () => bytes.readInt32LE(take(4)),
    () => bytes.readFloatLE(take(4)),
    () => bytes.readUInt8(take(1)) !== 0,
    string,
    () => {
      const reader = readers[bytes.readUInt32LE(take(4))]!;
      return Array.from({ length: count() }, () => reader());
    },
    () => bytes.readBigUInt64LE(take(8)),
    () => bytes.readBigInt64LE(take(8)),
    () => bytes.readDoubleLE(take(8)),
  ];
  const entries = count();
  const metadata = new Map<string, unknown>();
  for (let index = 0; index < entries; index++) {
    const key = string();
    metadata.set(key, readers[bytes.readUInt32LE(take(4))]!());
  }
  return metadata;
}
