// The float64 reference of ShadowKV: what each query after the prompt sees of it.
import { startColumns } from "../../../src/kv/systems/shadow/state.ts";
import { attendOne, type HeadView, type Model, rotate, toHalf } from "../../reference.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";
import { chunkWeights, inChunks, largest, leastCosine, lowRank, meanOf, type Row, toCodes, toEighths } from "./math.ts";

export interface ShadowOptions {
  chunk: number;
  outliers: number;
  selected: number;
  local: number;
  /** A page of the reply is given up once all its tokens are `within` tokens more than `after` tokens old; without: never. */
  reply?: { after: number; within: number };
  /** At least the width of a store's keys: all of it. */
  rank: number;
  /** How factors and landmarks are stored, and values that are brought back; null: exactly. */
  stored: { keys: "f16" | "int8"; values: "f16" } | null;
  /** Layers that share a store choose each for themselves, or the first for all. */
  select: "layer" | "group";
  /** What a token chooses is there for the next one. */
  late?: boolean;
}

/** What one list holds of its prompt. */
interface List {
  landmarks: Row[];
  outliers: number[];
  /** The chunk in each place: a set, as far as results go. */
  resident: number[];
  /** Chunks that have been there since the prompt's end: as they were. */
  exact: Set<number>;
  keys: Row[];
  values: Row[];
  /** What is there from the next token on. */
  coming: number[] | null;
}

export interface ShadowReply extends GreedyReply {
  /** Least distance of a score that was chosen from one that was not. */
  margin: number;
  choices: Choice[];
  reads: Read[];
  /** Chunks that had to be brought back. */
  missing: number;
}

/** Chunks that a KV head wanted of its list, and how many of them were not there. */
interface Choice {
  /** Tokens after the prompt before this one. */
  step: number;
  layer: number;
  wanted: number;
  missing: number;
}

/** Of so many pages, the first ones whose keys say what the factors are: whole quarters of a power of two. */
function basePages(pages: number): number {
  let power = 4;
  while (2 * power <= pages) power *= 2;
  return pages < 4 ? pages : pages - (pages % (power / 4));
}

/** Chunks that a layer and KV head read of the pages given up. */
interface Read {
  /** As in Choice. */
  step: number;
  chosen: readonly number[];
  kept: readonly number[];
}

/** Tokens of the pages given up. */
export const givenUp = (tokens: number, { local }: Pick<ShadowOptions, "local">): number =>
  Math.max(0, 32 * Math.floor((tokens - local) / 32));

class Shadow {
  readonly #model: Model;
  readonly #options: ShadowOptions;
  readonly #prompt: number;
  readonly #atEnd: number;
  /** Tokens of the pages given up, as the row under way sees it. */
  #slots: number;
  readonly #lists = new Map<string, List>();
  readonly #recalled = new Map<number, Row[]>();
  #layer = 0;
  #queries: Row = new Float64Array();
  #planned = new Set<number>();
  margin = Infinity;
  readonly choices: Choice[] = [];
  readonly reads: Read[] = [];

  constructor(model: Model, prompt: number, options: ShadowOptions) {
    this.#model = model;
    this.#options = options;
    this.#prompt = prompt;
    this.#slots = this.#atEnd = givenUp(prompt, options);
  }

  /** The queries of a layer are known: its heads come next. */
  enter(layer: number, rows: readonly Row[]): void {
    [this.#layer, this.#queries] = [layer, rows.at(-1)!];
    this.#planned = new Set();
  }

  attend(head: HeadView): Row {
    const { query, keys, values, position, owner, group } = head;
    const { chunk, outliers, selected } = this.#options;
    if (this.#atEnd / chunk <= outliers + selected || position < this.#prompt - 1)
      return attendOne(query, keys, values);
    if (position === this.#prompt - 1) {
      this.#take(head);
      return attendOne(query, keys, values);
    }
    const list = this.#lists.get(`${owner}.${group}`)!;
    this.#retire(list, head);
    if (!this.#planned.has(group) && this.#chooses(owner)) this.#plan(list, group, position);
    if (!this.#planned.has(group))
      this.reads.push({ step: position - this.#prompt, chosen: [...list.resident], kept: list.outliers });
    this.#planned.add(group);
    const seen = [...list.outliers, ...list.resident].map((each) => this.#chunk(list, owner, group, each));
    return attendOne(
      query,
      [...seen.flatMap(([some]) => some), ...keys.slice(this.#slots)],
      [...seen.flatMap(([, some]) => some), ...values.slice(this.#slots)],
    );
  }

  /** What was old enough for the token before has landmarks now, and keys and values are brought back from what was made. */
  #retire(list: List, { keys, values, position }: HeadView): void {
    const { chunk, reply, stored } = this.#options;
    const old = reply ? 32 * Math.floor((position - reply.after - reply.within) / 32) : 0;
    this.#slots = Math.max(this.#atEnd, old);
    [list.keys, list.values] = [[...keys], [...values]];
    const fresh = inChunks(keys.slice(chunk * list.landmarks.length, this.#slots), chunk);
    list.landmarks.push(...fresh.map((rows) => roundLandmark(meanOf(rows), stored)));
  }

  #chooses(owner: number): boolean {
    return this.#options.select === "layer" || this.#layer === owner;
  }

  /** The prompt's last query: everything is made, the last layer that reads the store has the last word. */
  #take({ keys, values, owner, group }: HeadView): void {
    const { chunk, outliers, stored } = this.#options;
    const chunks = inChunks(keys.slice(0, this.#slots), chunk);
    const unlike = chunks.map((rows, i) => (i === 0 ? 2 : -leastCosine(rows)));
    const out = largest(unlike, outliers);
    const landmarks = chunks.map((rows) => roundLandmark(meanOf(rows), stored));
    const first = this.#choose(landmarks, out.chosen, group);
    this.margin = Math.min(this.margin, out.margin);
    this.#lists.set(`${owner}.${group}`, {
      landmarks,
      outliers: out.chosen,
      resident: first,
      exact: new Set([...out.chosen, ...first]),
      keys: keys.slice(0, this.#prompt),
      values: values.slice(0, this.#prompt),
      coming: null,
    });
  }

  #choose(landmarks: readonly Row[], outliers: readonly number[], group: number): number[] {
    const { H, G, E } = this.#model.shape;
    const R = H / G;
    const queries = Array.from({ length: R }, (_, h) =>
      this.#queries.subarray((group * R + h) * E, (group * R + h + 1) * E),
    );
    const { chosen, margin } = largest(chunkWeights(queries, landmarks, outliers), this.#options.selected);
    this.margin = Math.min(this.margin, margin);
    return chosen;
  }

  #plan(list: List, group: number, position: number): void {
    if (list.coming) replace(list, list.coming);
    const next = this.#choose(list.landmarks, list.outliers, group);
    const missing = next.filter((chunk) => !list.resident.includes(chunk)).length;
    this.choices.push({ step: position - this.#prompt, layer: this.#layer, wanted: next.length, missing });
    if (this.#options.late) list.coming = next;
    else replace(list, next);
  }

  /** Keys and values of a chunk as the list has them now. */
  #chunk(list: List, owner: number, group: number, index: number): readonly [Row[], Row[]] {
    const { chunk, stored } = this.#options;
    const [from, to] = [index * chunk, (index + 1) * chunk];
    const values = list.values.slice(from, to);
    if (list.exact.has(index)) return [list.keys.slice(from, to), values];
    const { E } = this.#model.shape;
    const keys = this.#recall(owner).slice(from, to);
    return [
      keys.map((row) => row.subarray(group * E, (group + 1) * E)),
      stored ? values.map((row) => row.map(toHalf)) : values,
    ];
  }

  /** Keys of a store that have been given up, through their factors; those of the end of a prompt besides. */
  #recall(owner: number): Row[] {
    const count = Math.max(this.#prompt, this.#slots);
    const recalled = this.#recalled.get(owner);
    if (recalled && recalled.length >= count) return recalled;
    const { G, E, turns } = this.#model.shape;
    const { frequencies } = turns[owner]!;
    const width = G * E;
    const lists = Array.from({ length: G }, (_, group) => this.#lists.get(`${owner}.${group}`)!);
    const rows = Array.from({ length: count }, (_, t) =>
      rotate(Float64Array.from(lists.flatMap(({ keys }) => [...keys[t]!])), -t, frequencies, E),
    );
    const { rank, stored } = this.#options;
    const known = 32 * basePages(this.#atEnd / 32);
    const full = rank >= width;
    const columns = full ? width : Math.min(width, 4 * Math.ceil((rank + 8) / 4));
    const start = startColumns(width, columns);
    const made = lowRank(rows, {
      rank: Math.min(rank, width),
      known,
      mean: meanOf(rows.slice(0, known)),
      start: full
        ? null
        : Array.from({ length: columns }, (_, j) =>
            Float64Array.from({ length: width }, (_k, k) => start[k * columns + j]!),
          ),
      rounds: 4,
      round: !stored ? (value) => value : stored.keys === "int8" ? toEighths : toHalf,
    }).map((row, t) => rotate(row, t, frequencies, E));
    this.#recalled.set(owner, made);
    return made;
  }
}

function roundLandmark(landmark: Row, stored: ShadowOptions["stored"]): Row {
  if (!stored) return landmark;
  return stored.keys === "int8" ? toCodes(landmark) : landmark.map(toHalf);
}

function replace(list: List, next: number[]): void {
  for (const gone of list.resident.filter((chunk) => !next.includes(chunk))) list.exact.delete(gone);
  list.resident = next;
}

export function shadowReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  options: ShadowOptions,
): ShadowReply {
  const shadow = new Shadow(model, prompt.length, options);
  const reply = greedyReply(model, prompt, count, {
    attendHead: (head) => shadow.attend(head),
    observe: (name, layer, rows) => {
      if (name === "query") shadow.enter(layer, rows);
    },
  });
  const { margin, choices, reads } = shadow;
  return { ...reply, margin, choices, reads, missing: choices.reduce((sum, { missing }) => sum + missing, 0) };
}
