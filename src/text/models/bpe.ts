// Byte-pair encoding by a list of merges, as the reference (the Rust library) does it.

import { UnsupportedError } from "../../errors.ts";
import { type Fields, fail, listOf } from "../fields.ts";
import { mergeAll, type Pairs } from "./merging.ts";
import { byteTokens, type Model, type Vocabulary } from "./model.ts";
import { unknownOf, vocabularyOf } from "./vocabulary.ts";

/** Pairs as one number: left · WIDTH + right. */
const WIDTH = 2 ** 22;

export class BytePairs implements Model {
  readonly vocabulary: Vocabulary;
  private readonly pairs: Pairs;
  private readonly unknown: number | undefined;
  private readonly flags: Record<"fuse_unk" | "byte_fallback" | "ignore_merges", boolean>;

  /** `model`: of tokenizer.json. Errors: ModelError, UnsupportedError. */
  constructor(model: Fields) {
    for (const key of ["continuing_subword_prefix", "end_of_word_suffix", "dropout"])
      if (model[key])
        throw new UnsupportedError(`tokenizer.json: model.${key} is set, want none. Use another model.`);
    this.vocabulary = vocabularyOf(model["vocab"]);
    this.pairs = pairsOf(listOf(model["merges"], "model.merges"), this.vocabulary);
    this.unknown = unknownOf(model["unk_token"], this.vocabulary);
    this.flags = {
      fuse_unk: model["fuse_unk"] === true,
      byte_fallback: model["byte_fallback"] === true,
      ignore_merges: model["ignore_merges"] === true,
    };
  }

  encode(word: string): number[] {
    const whole = this.flags.ignore_merges ? this.vocabulary.get(word) : undefined;
    return whole === undefined ? mergeAll(this.symbols(word), this.pairs) : [whole];
  }

  /**
   * Characters that are no token become bytes, or else the unknown token; what knows neither drops them. An unknown
   * token is held back until the next character that is a token, so bytes between come before it: as in the reference.
   */
  private symbols(word: string): number[] {
    const symbols: number[] = [];
    let held = false;
    for (const character of word) {
      const id = this.vocabulary.get(character);
      const bytes = id === undefined && this.flags.byte_fallback ? byteTokens(character, this.vocabulary) : null;
      if (bytes) symbols.push(...bytes);
      else if (id === undefined && this.unknown !== undefined) {
        if (held && !this.flags.fuse_unk) symbols.push(this.unknown);
        held = true;
      } else if (id !== undefined) {
        if (held) symbols.push(this.unknown!);
        held = false;
        symbols.push(id);
      }
    }
    if (held) symbols.push(this.unknown!);
    return symbols;
  }
}

function pairsOf(merges: readonly unknown[], vocabulary: Vocabulary): Pairs {
  const ranks = new Map<number, number>();
  const results = new Int32Array(merges.length);
  for (const [rank, merge] of merges.entries()) {
    const [left, right] = mergeOf(merge, rank);
    const key = idOf(left, vocabulary, rank) * WIDTH + idOf(right, vocabulary, rank);
    ranks.set(key, rank);
    results[rank] = idOf(left + right, vocabulary, rank);
  }
  return {
    rank: (left, right) => ranks.get(left * WIDTH + right),
    joined: (left, right) => results[ranks.get(left * WIDTH + right)!]!,
  };
}

const idOf = (piece: string, vocabulary: Vocabulary, rank: number): number =>
  vocabulary.get(piece) ?? fail(`model.merges[${rank}] needs ${JSON.stringify(piece)}, which is not in model.vocab`);

function mergeOf(merge: unknown, rank: number): readonly [string, string] {
  const pair: unknown[] = typeof merge === "string" ? merge.split(" ") : Array.isArray(merge) ? merge : [];
  const [left, right] = pair;
  if (pair.length === 2 && typeof left === "string" && typeof right === "string") return [left, right];
  return fail(`model.merges[${rank}] is ${JSON.stringify(merge)?.slice(0, 60)}, want two pieces`);
}
