// Byte-pair encoding by scores, as sentencepiece does it: neighbours are joined if their union is a piece, the best
// score first. tokenizer.json has no such model; gguf.ts makes one of a GGUF's vocabulary.

import { type Fields, fail, listOf } from "../fields.ts";
import { mergeAll, type Pairs } from "./merging.ts";
import { byteTokens, type Model, type Vocabulary } from "./model.ts";
import { unknownOf } from "./vocabulary.ts";

/** Characters that are no piece get numbers from here on, for as long as they may still be joined. */
const STRANGERS = 2 ** 23;

export class SentencePieces implements Model {
  readonly vocabulary: Vocabulary;
  private readonly pieces: readonly string[];
  /** Characters that are no piece, by number less STRANGERS, and their numbers. */
  private readonly strangers: string[] = [];
  private readonly numbers = new Map<string, number>();
  /** Place in the order of scores, by id, of the pieces that joining may make. Equal scores have equal places. */
  private readonly order: ReadonlyMap<number, number>;
  private readonly unknown: number | undefined;
  private readonly pairs: Pairs;

  /**
   * `model`: `pieces` by id, of which the first of several alike counts; `scores`, null for what joining never makes;
   * `unk_token`. Errors: ModelError.
   */
  constructor(model: Fields) {
    this.pieces = listOf(model["pieces"], "model.pieces").map((piece, id) =>
      typeof piece === "string" ? piece : fail(`model.pieces[${id}] is not a string`),
    );
    if (this.pieces.length === 0 || this.pieces.length > STRANGERS) fail("model.pieces has no possible length");
    this.vocabulary = new Map(this.pieces.map((piece, id) => [piece, id] as const).reverse());
    this.order = orderOf(listOf(model["scores"], "model.scores"));
    this.unknown = unknownOf(model["unk_token"], this.vocabulary);
    const union = (left: number, right: number): number | undefined =>
      this.vocabulary.get(this.textOf(left) + this.textOf(right));
    this.pairs = {
      rank: (left, right) => this.order.get(union(left, right) ?? -1),
      joined: (left, right) => union(left, right)!,
    };
  }

  encode(word: string): number[] {
    const merged = mergeAll(Array.from(word, (character) => this.symbolOf(character)), this.pairs);
    const ids: number[] = [];
    for (const symbol of merged) {
      if (symbol < STRANGERS) ids.push(symbol);
      else ids.push(...this.spelled(this.textOf(symbol), ids.at(-1)));
    }
    return ids;
  }

  /** Only what joining may make counts as a piece here: control tokens are no text. */
  private symbolOf(character: string): number {
    const id = this.vocabulary.get(character);
    if (id !== undefined && this.order.has(id)) return id;
    const known = this.numbers.get(character);
    if (known !== undefined) return known;
    const number = STRANGERS + this.strangers.push(character) - 1;
    this.numbers.set(character, number);
    return number;
  }

  private textOf(symbol: number): string {
    return symbol < STRANGERS ? this.pieces[symbol]! : this.strangers[symbol - STRANGERS]!;
  }

  /** The bytes of a character that is no piece; else the unknown token, once for a run of them. */
  private spelled(character: string, before: number | undefined): number[] {
    const bytes = byteTokens(character, this.vocabulary);
    if (bytes || this.unknown === undefined) return bytes ?? [];
    return before === this.unknown ? [] : [this.unknown];
  }
}

function orderOf(scores: readonly unknown[]): Map<number, number> {
  const scored: { id: number; score: number }[] = [];
  for (const [id, score] of scores.entries()) {
    if (typeof score === "number" && Number.isFinite(score)) scored.push({ id, score });
    else if (score !== null) fail(`model.scores[${id}] is not a number`);
  }
  scored.sort((a, b) => b.score - a.score);
  const order = new Map<number, number>();
  let place = 0;
  for (const [index, { id, score }] of scored.entries()) {
    if (index > 0 && score !== scored[index - 1]!.score) place++;
    order.set(id, place);
  }
  return order;
}
