// The unigram model: of all ways to spell a word with pieces, the likeliest.

import { type Fields, fail, listOf } from "../fields.ts";
import { byteTokens, type Model, type Vocabulary } from "./model.ts";

/** How much less likely than the least likely piece a character is that is none. */
const UNKNOWN_PENALTY = 10;

/** The end of a partial spelling: its score, where its last piece begins, and whether that is one. */
interface End {
  score: number;
  start: number;
  known: boolean;
}

export class Unigram implements Model {
  readonly vocabulary: Vocabulary;
  private readonly scores: ReadonlyMap<string, number>;
  private readonly unknown: number | null;
  private readonly unknownScore: number;
  private readonly byteFallback: boolean;
  /** In UTF-16 units. */
  private readonly longest: number;

  /** `model`: of tokenizer.json. Errors: ModelError. */
  constructor(model: Fields) {
    const pieces = listOf(model["vocab"], "model.vocab").map(pieceOf);
    if (pieces.length === 0) fail("model.vocab is empty");
    this.vocabulary = new Map(pieces.map(([text], id) => [text, id]));
    this.scores = new Map(pieces);
    this.unknown = unknownId(model["unk_id"] ?? null, pieces.length);
    this.unknownScore = pieces.reduce((least, [, score]) => Math.min(least, score), Infinity) - UNKNOWN_PENALTY;
    this.byteFallback = model["byte_fallback"] === true;
    this.longest = pieces.reduce((length, [text]) => Math.max(length, text.length), 0);
  }

  encode(word: string): number[] {
    return this.best(word).flatMap((piece) => this.idsOf(piece));
  }

  private idsOf(piece: string): number[] {
    const id = this.vocabulary.get(piece);
    if (id !== undefined) return [id];
    const bytes = this.byteFallback ? byteTokens(piece, this.vocabulary) : null;
    if (bytes) return bytes;
    return this.unknown === null ? fail("a text needs the unknown token, but model.unk_id is null") : [this.unknown];
  }

  /** The pieces of the likeliest spelling; characters that are none, joined where they follow each other. */
  private best(word: string): string[] {
    const ends = this.ends(word);
    const pieces: string[] = [];
    let after = true;
    for (let end = word.length; end > 0; end = ends[end]!.start) {
      const { start, known } = ends[end]!;
      const piece = word.slice(start, end);
      if (known || after) pieces.push(piece);
      else pieces.push(piece + pieces.pop()!);
      after = known;
    }
    return pieces.reverse();
  }

  /** The likeliest spelling up to each place: Viterbi's recursion. */
  private ends(word: string): (End | undefined)[] {
    const ends: (End | undefined)[] = [{ score: 0, start: 0, known: true }];
    for (let start = 0; start < word.length; ) {
      const width = word.codePointAt(start)! > 0xffff ? 2 : 1;
      const { score } = ends[start]!;
      const single = this.extend(ends, word, start, score, width);
      if (!single) improve(ends, start + width, { score: score + this.unknownScore, start, known: false });
      start += width;
    }
    return ends;
  }

  /** Tries every piece that begins at `start`; whether the first character alone is one. */
  private extend(ends: (End | undefined)[], word: string, start: number, score: number, width: number): boolean {
    let single = false;
    for (let end = start + width; end <= Math.min(word.length, start + this.longest); end++) {
      const own = this.scores.get(word.slice(start, end));
      if (own === undefined) continue;
      // The unknown token's own text is as unknown as any other.
      const known = this.vocabulary.get(word.slice(start, end)) !== this.unknown;
      improve(ends, end, { score: score + own, start, known });
      single ||= end === start + width;
    }
    return single;
  }
}

function improve(ends: (End | undefined)[], at: number, end: End): void {
  const known = ends[at];
  if (!known || end.score > known.score) ends[at] = end;
}

function pieceOf(piece: unknown, id: number): [text: string, score: number] {
  const [text, score] = Array.isArray(piece) && piece.length === 2 ? (piece as unknown[]) : [];
  if (typeof text === "string" && typeof score === "number" && Number.isFinite(score)) return [text, score];
  return fail(`model.vocab[${id}] is ${JSON.stringify(piece)?.slice(0, 60)}, want a piece and its score`);
}

function unknownId(value: unknown, size: number): number | null {
  if (value === null || (typeof value === "number" && Number.isInteger(value) && value >= 0 && value < size)) return value;
  return fail("model.unk_id is no id of model.vocab");
}
