// What a cache system can ask of the engine. A system lives in one folder of kv/systems/ and fills in the parts it needs;
// everything else (lists, arenas, programs, the scheduler) takes these parts as they are. docs/add-a-system.md goes
// through an example.
import type { KvModel, RecallStats } from "../api.ts";
import type { Attended } from "../attended.ts";
import type { Gpu } from "../gpu/device.ts";
import type { AnyDispatch } from "../gpu/program.ts";
import type { Part } from "../gpu/readback.ts";
import type { Stretch } from "./arena.ts";
import type { KvCache } from "./cache.ts";
import type { ReadFormat, SealedFormat, WrittenFormat } from "./format.ts";
import type { Streaming } from "./later.ts";
import type { Layout } from "./layout.ts";
import type { Retention } from "./plan.ts";

/** What a cache is made for. */
export interface KvBounds {
  /** Tokens of all sequences together. */
  context: number;
  /** Rows of a step: a chunk of a prompt, and a row for every other sequence. */
  rows: number;
  /** Sequences in a step. */
  sequences: number;
}

/** In `keep`: the slot holds what it is to hold. */
export const STAYS = 0xffffffff;

/** What changes from step to step, as far as systems see it. */
export interface StepSizes {
  /** Rows 0 … decodeRows−1 belong to one sequence each; the others to one prompt chunk. */
  rows: number;
  decodeRows: number;
  /** Most pages that a list of these rows has given up; 0: theirs are whole. */
  pagesGivenUp: number;
  /** What decoding rows read of their prompts is counted. */
  attended?: boolean;
  /** Set where a prompt ends with this step of which only a part stays. */
  promptEnd: PromptEndSizes | null;
  /** Set where a prompt that has been read is repeated, part after part. */
  repeated?: RepeatedSizes | null;
  /** Set where a page of a reply goes after this step. */
  retiring: RetiringSizes | null;
}

export interface PromptEndSizes {
  /** Number of the sequence: its page lists. */
  sequence: number;
  /** Tokens of the prompt; where some go chunk by chunk, as far as it has been read. */
  tokens: number;
  /** Rows of its last chunk, the last ones of the step. */
  rows: number;
  /** Further chunks follow after which some of it goes. */
  more: boolean;
  /** Most tokens that a list keeps of it. */
  kept: number;
  /** First block of the region for what stands for the rest. */
  region: number;
  /** Tokens for which it stands there already, made for an earlier prompt that began alike; whole blocks. */
  standing: number;
  /** First of the rows that decide, and how many there are: as many as any system wants, or has the prompt's last chunk. */
  windowAt: number;
  windowRows: number;
  /** Of these, the rows behind the last picture; all where there is none among them, or nothing behind it. */
  question: number;
  /** Where lists are decided together: [stores] tokens that each list of a store chooses, once that is known. */
  chosen?: readonly number[];
  /** Says it: [columns] tokens of each list. The moves that follow are made by it. */
  decide?: (tokens: readonly number[]) => void;
}

export interface RepeatedSizes {
  /** Number of the sequence: its page lists. */
  sequence: number;
  /** Tokens of the prompt. */
  tokens: number;
  /** Tokens of it that steps before have repeated. */
  start: number;
  /** The rows repeat tokens from … end − 1, some of them once more. */
  from: number;
  end: number;
  /** How many rows there are, behind the prompt, with what asks for it; and the first of them. */
  rows: number;
  rowAt: number;
}

export interface RetiringSizes {
  sequence: number;
  /** Its index in the lists of the sequence: tokens 32·page … 32·page + 31. */
  page: number;
  /** First block of the region for what stands for the pages given up; it has room for this one. */
  region: number;
}

/** What a system's dispatches work on. */
export interface SystemContext {
  gpu: Gpu;
  model: KvModel;
  cache: KvCache;
  /** [T, H, E] f32, rotated: queries of the rows that run, at the places between a layer's heads and its output. */
  query: GPUBuffer;
  /** Records (position, cache slot, sequence, token) of those rows. */
  records: GPUBufferBinding;
  /** What q·k is multiplied by. */
  attentionScale: number;
  /** Of a store, [positions, E/2] vec2f: (cos, sin) by which its keys are rotated, times a length that need not be 1. */
  ropeOf(store: number): GPUBuffer;
  /** [columns, keepStride] u32: slots that stay of each list, ascending; slot s of entry i is 32·i + s. Written by `select`. */
  keep: GPUBuffer;
  keepStride: number;
}

/** Where a system puts partial results of its own, for some rows of a step. */
export interface PartialContext extends SystemContext {
  /** [count, H, entries, E + 2] f32: for each row and head partials (acc [E], max, sum), docs/kernels.md, "Partials". */
  partials: GPUBuffer;
  /** Rows firstRow … firstRow + count − 1 of the step; row i of them has the i-th place in `partials`. */
  rows(sizes: StepSizes): { firstRow: number; count: number };
  /** Partials of a row and head, and the system's first one among them. */
  place(sizes: StepSizes): { entries: number; entry: number };
}

/** Partial results beside those of attention: a state that stands for tokens in no list. */
export interface ExtraPartials {
  /** Of each row and head, in every layer. */
  count: number;
  /** Whether a step has them; absent: every step does. One without runs as if the system had none. */
  isIn?(sizes: StepSizes): boolean;
  /** Dispatches that write them, for no more rows than `context.rows` says: before they are merged with attention's. */
  write(layer: number, context: PartialContext): AnyDispatch<StepSizes>[];
}

/** A step about to run. */
export interface StepFacts {
  sizes: StepSizes;
  /** Sequence of each decoding row. */
  decoding: readonly number[];
}

/** What the CPU does for a system between steps: reads what one left, writes what the next one needs. */
export interface Between {
  /** Most bytes that `reads` asks for. */
  mostBytes: number;
  /** Parts of buffers that are read back with the results of this step, if it has results. Called before it is encoded. */
  reads(step: StepFacts): readonly Part[];
  /** What they held after the step; once per step, in order. */
  take(step: StepFacts, parts: readonly ArrayBuffer[]): void;
  /**
   * Awaited before anything of a step is written (lists and records are still those of the step before) and after all
   * steps launched have been taken: a system that has this gives up that a step is prepared while another one runs.
   * `known`: sequences of the coming step that were there before it, and those that are over of which something stands.
   */
  before?(known: ReadonlySet<number>): Promise<void>;
  /** The part of `before` that is owed to sequences that ran in the last step. */
  settle?(): Promise<void>;
  stats(): RecallStats;
}

/** Counts what rows read of their prompts, where a request asks for it. */
export interface Attending {
  /** The sequence's counts begin anew, before anything of its first step is written. */
  open(sequence: number): void;
  /** What its rows have read in all steps launched; null where its prompt is whole. Called before another sequence has its number. */
  read(sequence: number): Promise<Attended | null>;
}

/** What stands for the prompts of sequences beside their pages, to be saved and put back. */
export interface StateAccess {
  /** Where it lies of a sequence, in an order that depends on recipe and model alone: `blocks` blocks of the region that begins at `region`. */
  stretches(sequence: number, region: number, blocks: number): Stretch[];
  /** What JavaScript has of the first `blocks` blocks: the memory itself, made where there is none yet. */
  memory(sequence: number, blocks: number): Uint8Array[];
}

/** Tensors of the checkpoint that is being loaded. */
export interface SystemTensors {
  has(name: string): boolean;
  /** A buffer that gets these vectors one after another, in f32, before the first step. Throws ModelError where one is missing. */
  vector(names: readonly string[], lengths: readonly number[]): GPUBuffer;
}

/** Where in a layer a dispatch stands: once queries, keys and values are there, or once attention has read them. */
export type Place = "afterHeads" | "afterAttention";

/** Full blocks whose tokens are all older than `recent` are turned into this format. */
export interface SealedPages {
  format: SealedFormat;
  recent: number;
  /** First stores of twins, two neighbours whose pages are sealed into one; then no others are sealed. Absent: each page by itself. */
  twins?(layout: Layout): readonly number[];
}

/** Which part of its prompt a sequence keeps, for the rest of its life. */
export interface Retaining {
  /** Rows at the end of a prompt that decide what stays. They run every layer, and come in one chunk. */
  windowRows: number;
  /** [stores] most tokens kept in a list. */
  most: readonly number[];
  /** What stays of a prompt of `tokens` tokens; null: all of it. */
  retain(tokens: number): Retention | null;
  merging?: Merging;
  /**
   * How many tokens a list keeps is found out at the prompt's end, within what `retain` says at most: `select` of all stores runs
   * once the last layer has, and calls `promptEnd.decide` in a pause of its first dispatch.
   */
  together?: boolean;
  /**
   * What stays rests on no question: once its prompt has been read, a sequence repeats it, in steps of at most `windowRows` rows
   * that are dropped again, and `select` runs with the last of them. Later turns go on from what stays.
   */
  repeats?: boolean;
  /**
   * Tokens go after each chunk of so many, whole pages, as far as `retain` says for the whole prompt, and `select` runs each time. It then says what comes to each of a
   * list's first `promptEnd.kept` slots: a slot of the list, 32·(index of its page among those listed) + its place, or STAYS. A
   * prompt is read to its end before another one begins.
   */
  chunkTokens?: number;
  /** Tokens that are given up can still be brought back, from a state of the system's own: none counts as evicted. */
  recalls?: boolean;
  /** What stands for so many pages rests on the first of them, as many as this says: a later prompt that has these in common goes on from it. */
  basePages?(pages: number): number;
  /**
   * Where `select` reads stores one after another, each when the last layer that reads it has, and nothing reads whole prompts
   * later: whether and how prompts are streamed, and why. Both null: there is nothing to stream.
   */
  streams?(model: KvModel, cache: StreamedParts): { streaming: Streaming | null; why: string | null };
  /** Dispatches that write `keep` for the lists of a store, encoded after the attention of the last layer that reads it. */
  select(store: number, context: SystemContext): AnyDispatch<StepSizes>[];
  /** Pages of the reply, too, are given up after such a prompt. Only with `recalls`. */
  retiring?: {
    /** Tokens that are younger than all of a page that is. */
    after: number;
    /** Dispatches that make what stands for the page, encoded where those of `select` are. */
    take(store: number, context: SystemContext): AnyDispatch<StepSizes>[];
  };
}

/** What a recipe has to do with streaming. */
export interface StreamedParts {
  written: WrittenFormat;
  layout: Layout;
  sealed: SealedPages | null;
}

/** What is chosen for each list at a prompt's end, and how sealed pages are made from it: those of that reply, which no other prompt finds. */
export interface Choosing {
  /** Rows at the end of a prompt that decide. They run every layer, and come in one chunk. */
  windowRows: number;
  /** Words of what is chosen for a list whose heads are so wide. */
  words(width: number): number;
  /** Dispatches that write them (`cache.choices`) for the lists of a store, encoded after the attention of the last layer that reads it. */
  choose(store: number, context: SystemContext): AnyDispatch<StepSizes>[];
  /** How pages are sealed, where another system of the recipe seals them as `other` or none does. Throws InputError where that cannot be. */
  seal(written: WrittenFormat, other: SealedPages | null): SealedPages;
}

/** What is made of a prompt's tokens where fewer stay, in place of some of them as they are. */
export interface Merging {
  /** Of private pages. */
  format(written: WrittenFormat): ReadFormat;
  /** Dispatches that write them, encoded after those of `select`. `keep` is theirs. */
  merge(store: number, context: SystemContext): AnyDispatch<StepSizes>[];
}

export interface StateBytes {
  block: number;
  prompt: number;
}

export interface KvSystem {
  name: string;
  /** At most one system seals, what is written in this format. */
  sealed?(written: WrittenFormat): SealedPages;
  /** At most one system chooses. */
  choosing?: Choosing;
  /** At most one system of a recipe keeps a part. */
  retaining?: Retaining;
  /** Dispatches of its own in every layer. */
  at?(place: Place, layer: number, context: SystemContext): AnyDispatch<StepSizes>[];
  partials?: ExtraPartials;
  /** Dispatches that take in what lists of a store give up of a prompt: encoded once `keep` and the prepared lists say what stays. */
  absorb?(store: number, context: SystemContext): AnyDispatch<StepSizes>[];
  /** Names weights of its own, once, before a checkpoint's tensors are loaded. */
  weights?(tensors: SystemTensors): void;
  /** Their bytes. */
  extraWeightBytes?: number;
  /** Bytes on the GPU that stand for what is given up of a prompt, beside its pages: for each block given up, and for all. */
  stateBytes?: StateBytes;
  /** Made once, with the model. At most one system of a recipe has it. */
  between?(context: SystemContext): Between;
  /** Likewise. */
  attending?(context: SystemContext): Attending;
  /** Where a sequence that is saved has more than pages. */
  state?(context: SystemContext): StateAccess;
}

/** An option of a system: a whole or decimal number within bounds. */
export interface OptionRule {
  least: number;
  most: number;
  /** Where it is not a whole number. */
  fraction?: boolean;
  /** Only these. */
  among?: readonly number[];
  /** Words that may be given in place of a number, and what they stand for; it may lie outside the bounds. */
  words?: Readonly<Record<string, number>>;
  default: number;
}

/** An option of a system that is a text, and must be given. */
export interface TextRule {
  pattern: RegExp;
  /** What is wanted, for errors. */
  want: string;
}

export type Options = Readonly<Record<string, number>>;
export type Texts = Readonly<Record<string, string>>;

/** A system by name: how its part of a recipe is read, and how it is made for a model. */
export interface SystemDefinition {
  name: string;
  options: Readonly<Record<string, OptionRule>>;
  texts?: Readonly<Record<string, TextRule>>;
  /** It was made for models that see pictures; others are told so. */
  forPictures?: boolean;
  /** Names that set several options at once, where these are not given themselves. */
  shorthands?: Readonly<Record<string, readonly string[]>>;
  /** Fetches what `create` needs no sooner than its dispatches are asked for. */
  load?(): Promise<unknown>;
  /** Which store a layer reads and fills. At most one system of a recipe has a layout; it takes the place of SwiftKV's, and is made from it. */
  layout?(model: KvModel, texts: Texts): Layout;
  /** `layout`: that of the recipe. Throws InputError where the model cannot have it. */
  create(options: Options, model: KvModel, bounds: KvBounds, layout: Layout): KvSystem;
}
