// A conversation with its branches: each turn follows an earlier one, and one way through them is on view. No DOM.

import type { GenerationStats } from "../../src/index.ts";
import type { Document, Turn } from "../shared/turn.ts";
import type { Reading } from "./reading.ts";

/** A turn as it is kept. */
export type KeptTurn = Turn & {
  /** What goes before the question. */
  documents?: readonly Document[];
  /** The model that wrote it. */
  speaker?: string;
  /** The prompt ended within a thought, which it goes on with. */
  thinks?: boolean;
  /** The turn it follows, by its place; -1: it begins the conversation. Left out: the one before it. */
  parent?: number;
  /** Why it ended before its end. */
  cut?: "length" | "abort" | undefined;
  stats?: GenerationStats;
  /** What it read of its prompt. */
  read?: Reading | undefined;
};

export class Thread {
  readonly #turns: KeptTurn[];
  #leaf: number;

  /** `leaf`: the last turn on view, by its place; -1: none. */
  constructor(turns: readonly KeptTurn[] = [], leaf: number = turns.length - 1) {
    this.#turns = [...turns];
    this.#leaf = leaf;
  }

  /** Of all branches, in the order they were written. */
  get all(): readonly KeptTurn[] {
    return this.#turns;
  }

  get leaf(): number {
    return this.#leaf;
  }

  /** Places of the turns on view. */
  get path(): number[] {
    const path: number[] = [];
    for (let at = this.#leaf; at >= 0; at = this.parent(at)) path.push(at);
    return path.toReversed();
  }

  /** Those on view. */
  get turns(): KeptTurn[] {
    return this.path.map((at) => this.#turns[at]!);
  }

  parent(at: number): number {
    return this.#turns[at]!.parent ?? at - 1;
  }

  /** What stands in the place of a turn in all branches, itself included. */
  versions(at: number): number[] {
    return this.#following(this.parent(at));
  }

  #following(at: number): number[] {
    return [...this.#turns.keys()].filter((other) => this.parent(other) === at);
  }

  /** Follows the last one on view. Returns its place. */
  add(turn: KeptTurn): number {
    const at = this.#turns.length;
    this.#turns.push(this.#leaf === at - 1 ? turn : { ...turn, parent: this.#leaf });
    return (this.#leaf = at);
  }

  /** The turn becomes the last one on view, -1: none is; what is added then follows it. */
  cut(at: number): void {
    this.#leaf = at;
  }

  /** The turn comes on view, with the newest of what follows it. */
  show(at: number): void {
    this.#leaf = at;
    for (let next = this.#following(at); next.length > 0; next = this.#following(this.#leaf)) this.#leaf = next.at(-1)!;
  }

  /** Changes what a turn says, not where it stands. */
  change(at: number, fields: Omit<Partial<KeptTurn>, "parent">): void {
    this.#turns[at] = { ...this.#turns[at]!, ...fields };
  }

  /** Takes the newest turn back, and has `leaf` on view again. */
  withdraw(leaf: number): void {
    this.#turns.pop();
    this.#leaf = leaf;
  }

  /** What stands up to a turn, without other branches. */
  upTo(at: number): KeptTurn[] {
    const path = this.path;
    return path.slice(0, path.indexOf(at) + 1).map((place) => {
      const { parent: _, ...turn } = this.#turns[place]!;
      return turn;
    });
  }
}

/** As the model reads it: documents first, so that every later question finds their keys and values. */
export function written({ content, documents = [] }: Pick<KeptTurn, "content" | "documents">): string {
  const texts = documents.filter(({ picture }) => picture === undefined);
  const named = texts.map(({ name, text }) => (texts.length > 1 ? `${name}\n\n${text}\n` : text));
  return [...named, content].filter(Boolean).join("\n");
}

export const picturesOf = (documents: readonly Document[] = []): string[] =>
  documents.flatMap(({ picture }) => picture ?? []);

export const plain = (turns: readonly KeptTurn[]): Turn[] =>
  turns.map((turn) => {
    const pictures = picturesOf(turn.documents);
    return { role: turn.role, content: written(turn), ...(pictures.length > 0 && { pictures }) };
  });
