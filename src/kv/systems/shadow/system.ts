// ShadowKV: of a long prompt the GPU keeps keys as factors of low rank, values in few bits, and a landmark for each chunk. Each
// decoded token picks the chunks it needs by their landmarks, and attends to them, to what no mean stands for, to the
// prompt's end and to the reply. Nothing is dropped. Source: Sun et al., ShadowKV (2410.21465); docs/shadowkv.md.
import type { KvModel } from "../../../api.ts";
import { alignUp, InputError } from "../../../errors.ts";
import { Later } from "../../../later.ts";
import { streamingOf } from "../../streaming.ts";
import type { Layout } from "../../layout.ts";
import type { KvBounds, KvSystem, Options, SystemDefinition } from "../../system.ts";
import { readersOf } from "../swiftkv/layout.ts";
import {
  basePages,
  chunksOf,
  defaultBudget,
  defaultRank,
  groupOf,
  keptTokens,
  pagesGivenUp,
  type ShadowShape,
  stateBytesOf,
} from "./shape.ts";

const AUTO = 0;
const OFF = 1;
const ALL = 2 ** 31;
const [BY_LAYER, BY_GROUP] = [1, 2];
/** Bits of a value; below 0: 16 bits, kept by JavaScript. */
const VALUES = { f16: 16, int8: 8, int4: 4, host: -1, "host-sync": -2 };
const HOSTS: Readonly<Record<number, ShadowShape["host"]>> = { [-1]: "late", [-2]: "sync" };

const work = new Later(() => import("./work.ts"));

export const shadow: SystemDefinition = {
  name: "shadow",
  load: () => work.load(),
  options: {
    budget: { least: 4, most: 2 ** 20, words: { auto: AUTO, all: ALL }, default: AUTO },
    rank: { least: 2, most: 4096, words: { auto: AUTO, full: ALL }, default: AUTO },
    chunk: { least: 4, most: 16, among: [4, 8, 16], default: 8 },
    outliers: { least: 1, most: 1024, default: 24 },
    local: { least: 1, most: 4096, default: 32 },
    reply: { least: 1, most: 2 ** 20, words: { all: ALL }, default: 512 },
    values: { least: 0, most: 0, among: [], words: VALUES, default: 8 },
    keys: { least: 0, most: 0, among: [], words: { f16: 16, int8: 8 }, default: 16 },
    select: { least: 0, most: 0, among: [], words: { auto: AUTO, layer: BY_LAYER, group: BY_GROUP }, default: AUTO },
    stream: { least: 0, most: 0, among: [], words: { auto: AUTO, off: OFF }, default: AUTO },
  },
  create: (options, model, bounds, layout) =>
    options.budget === ALL ? { name: "shadow" } : createSystem(shapeOf(options, model), options, model, bounds, layout),
};

/** Channels of a head, at most: a chunk's keys wait in workgroup memory, of which an adapter has 16 KiB. */
const MOST_NUMBERS = 4096;

function shapeOf(options: Options, model: KvModel): ShadowShape {
  const { kvHeads, headWidth } = model;
  const { budget, rank, chunk, outliers, local, reply, values, keys } = options as Record<string, number>;
  const width = kvHeads * headWidth;
  if (chunk! * headWidth > MOST_NUMBERS) {
    throw new InputError(
      `kv: shadow:chunk; got ${chunk} with heads of ${headWidth} channels, want at most ${MOST_NUMBERS / headWidth}. Take smaller chunks.`,
    );
  }
  const wanted = rank === AUTO ? defaultRank(width) : Math.min(rank!, width);
  return {
    chunk: chunk!,
    outliers: outliers!,
    selected: Math.ceil((budget === AUTO ? defaultBudget(model) : budget!) / chunk!),
    local: local!,
    reply: reply === ALL ? null : Math.max(reply!, local!),
    rank: alignUp(wanted, 4),
    width,
    keyBits: keys as ShadowShape["keyBits"],
    valueBits: (values! < 0 ? 16 : values) as ShadowShape["valueBits"],
    host: HOSTS[values!] ?? null,
    group: groupOf(headWidth),
  };
}

/** What is brought late is one choice for each place: there is no room for those of several layers. */
function choosesByGroup({ host }: ShadowShape, select: number): boolean {
  if (host !== "late") return select === BY_GROUP;
  if (select !== BY_LAYER) return true;
  throw new InputError(
    "kv: shadow:select; got layer with values=host, want group. Take values=host-sync or leave select out.",
  );
}

/** Why prompts of a student are not streamed; null: nothing is against it here. */
const streamRefusal = (stream: number): string | null => (stream === OFF ? "the recipe says stream=off" : null);

function createSystem(
  shape: ShadowShape,
  { select, stream }: Options,
  model: KvModel,
  { context }: KvBounds,
  layout: Layout,
): KvSystem {
  const { kvHeads } = model;
  const columns = layout.stores * kvHeads;
  const most = Math.min(context, keptTokens(shape));
  const byGroup = choosesByGroup(shape, select!);
  const retains = (tokens: number) => chunksOf(tokens, shape) > shape.outliers + shape.selected;
  return {
    name: "shadow",
    retaining: {
      windowRows: 1,
      most: Array.from({ length: layout.stores }, () => most),
      recalls: true,
      basePages,
      streams: (student, parts) => streamingOf(student, parts, streamRefusal(stream!)),
      retain: (tokens) =>
        retains(tokens)
          ? {
              liveFrom: pagesGivenUp(tokens, shape),
              tokens: Array.from({ length: columns }, () => keptTokens(shape)),
            }
          : null,
      select: (store, context) => work.now.takePrompt(context, shape, store),
      ...(shape.reply && {
        retiring: { after: shape.reply, take: (store, context) => work.now.takePage(context, shape, store) },
      }),
    },
    at(place, layer, context) {
      const [first] = readersOf(layout, layout.reads[layer]!);
      const chooses = !byGroup || layer === first;
      if (place !== "afterHeads" || !chooses) return [];
      return work.now.withCounts(context, shape, { layer, byGroup }, work.now.recallChunks(context, shape, layer));
    },
    stateBytes: stateBytesOf(shape, model, layout.stores),
    between: (context) => work.now.betweenSteps(context, shape),
    attending: (context) => new work.now.ChunkReads(context, shape),
    state: (context) => work.now.stateAccess(context, shape),
  };
}
