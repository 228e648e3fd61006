// Values of prompts in JavaScript's memory, and what goes up of them. Knows nothing of the GPU.
import { assert } from "../../../errors.ts";

/** Widths in 32-bit words, and heads. */
export interface HostShape {
  stores: number;
  kvHeads: number;
  /** Of one token's value in one head. */
  words: number;
  /** Tokens of a chunk. */
  chunk: number;
  /** Places of a list. */
  selected: number;
}

interface Prompt {
  /** That there is room for. */
  tokens: number;
  /** [stores] of [G, tokens, words] */
  stores: readonly Uint32Array<ArrayBuffer>[];
}

/** Missing chunks of a list, in the order in which the GPU takes them. */
interface Missing {
  sequence: number;
  head: number;
  chunks: readonly number[];
}

/** What goes up at once: by store the word at which its lists are told, and how many words there are. */
export interface Round {
  lists: ReadonlyMap<number, number>;
  words: number;
}

/** Replies grow a page at a time: room for more is made in steps that are larger. */
const GROWTH = 1.125;

export class HostValues {
  readonly #shape: HostShape;
  readonly #prompts = new Map<number, Prompt>();

  constructor(shape: HostShape) {
    this.#shape = shape;
  }

  get bytes(): number {
    const sizes = [...this.#prompts.values()].flatMap(({ stores }) => stores.map(({ byteLength }) => byteLength));
    return sizes.reduce((sum, bytes) => sum + bytes, 0);
  }

  /** Room for the first `tokens` tokens of a sequence; of what it had, the first `kept` stay. */
  open(sequence: number, tokens: number, kept: number): void {
    const old = kept > 0 ? this.#prompts.get(sequence) : undefined;
    if (old && old.tokens >= tokens) return;
    const { stores, kvHeads, words } = this.#shape;
    const room = old ? Math.max(tokens, Math.ceil(GROWTH * old.tokens)) : tokens;
    const opened = Array.from({ length: stores }, () => new Uint32Array(kvHeads * room * words));
    for (const [store, to] of opened.entries()) if (old) this.#copy(old, store, kept, { tokens: room, to });
    this.#prompts.set(sequence, { tokens: room, stores: opened });
  }

  /** The first `kept` tokens of each head, into room for `tokens`. */
  #copy(old: Prompt, store: number, kept: number, { tokens, to }: { tokens: number; to: Uint32Array }): void {
    const { kvHeads, words } = this.#shape;
    for (let head = 0; head < kvHeads; head++) {
      const from = head * old.tokens * words;
      const values = old.stores[store]!.subarray(from, from + Math.min(kept, old.tokens) * words);
      to.set(values, head * tokens * words);
    }
  }

  /** `values` [G, count, words]: those of tokens from … from + count − 1. */
  fill(sequence: number, store: number, from: number, values: Uint32Array): void {
    const { kvHeads, words } = this.#shape;
    const { tokens, stores } = this.#prompts.get(sequence)!;
    const each = values.length / kvHeads;
    for (let head = 0; head < kvHeads; head++)
      stores[store]!.set(values.subarray(head * each, (head + 1) * each), (head * tokens + from) * words);
  }

  /** The first `tokens` tokens of a sequence, as they lie here: store after store and head after head. Room for them where there is none. */
  memory(sequence: number, tokens: number): Uint8Array[] {
    this.open(sequence, tokens, tokens);
    const { kvHeads, words } = this.#shape;
    const prompt = this.#prompts.get(sequence)!;
    return prompt.stores.flatMap(({ buffer }) =>
      Array.from(
        { length: kvHeads },
        (_, head) => new Uint8Array(buffer, 4 * head * prompt.tokens * words, 4 * tokens * words),
      ),
    );
  }

  /** Nothing of other sequences is wanted any more. */
  keepOnly(known: ReadonlySet<number>): void {
    for (const sequence of this.#prompts.keys()) if (!known.has(sequence)) this.#prompts.delete(sequence);
  }

  /** Lists of a store and what they miss, from the words of `shadow_plan`: [rows, G, 1 + 2·selected]. */
  missing(moves: Uint32Array, sequences: readonly number[]): Missing[] {
    const { kvHeads, selected } = this.#shape;
    return Array.from({ length: sequences.length * kvHeads }, (_, list) => {
      const at = list * (1 + 2 * selected);
      const chunks = Array.from({ length: moves[at]! }, (_chunk, i) => moves[at + 2 + 2 * i]!);
      return { sequence: sequences[Math.floor(list / kvHeads)]!, head: list % kvHeads, chunks };
    });
  }

  /** [stores] of what lists miss, in `upload`: as much as fits, which must be gone before the next round is asked for. */
  *rounds(stores: readonly (readonly Missing[])[], upload: Uint32Array): Generator<Round> {
    let lists = new Map<number, number>();
    let words = 0;
    for (const [store, missing] of stores.entries()) {
      if (missing.every(({ chunks }) => chunks.length === 0)) continue;
      const more = this.wordsFor(missing);
      assert(more <= upload.length, `one store misses ${more} words, room for ${upload.length}`);
      if (words + more > upload.length) {
        yield { lists, words };
        [lists, words] = [new Map(), 0];
      }
      this.write(upload, words, store, missing);
      lists.set(store, words);
      words += more;
    }
    if (words > 0) yield { lists, words };
  }

  /** Words that `write` writes. */
  wordsFor(lists: readonly Missing[]): number {
    const chunks = lists.reduce((sum, { chunks: { length } }) => sum + length, 0);
    return lists.length + chunks * this.#shape.chunk * this.#shape.words;
  }

  /** From word `at` of `upload` on: for each list the word at which its values begin, then the values. */
  write(upload: Uint32Array, at: number, store: number, lists: readonly Missing[]): void {
    const { chunk, words } = this.#shape;
    let next = at + lists.length;
    for (const [i, { sequence, head, chunks }] of lists.entries()) {
      upload[at + i] = next;
      const { tokens, stores } = this.#prompts.get(sequence)!;
      for (const each of chunks) {
        const first = (head * tokens + each * chunk) * words;
        upload.set(stores[store]!.subarray(first, first + chunk * words), next);
        next += chunk * words;
      }
    }
  }
}
