// Which kernel variant is fastest on this adapter: measured once for each family, shape and row class, then remembered. What
// measuring needs of a cache is its own, so it may go on between replies.
import type { Gpu } from "../gpu/device.ts";
import { Program } from "../gpu/program.ts";
import { BLOCK_TOKENS, PASSING } from "../kv/blocks.ts";
import { withoutSystems } from "../kv/shape.ts";
import { type ModelContext, recordsIn } from "./context.ts";
import type { RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";
import { type Dispatches, type Question, questionsOf } from "./questions.ts";
import { type CacheOptions, makeCache } from "./room.ts";
import { plainSizes } from "./step.ts";
import { type Candidate, type Limits, type Runner, runTrial, Trial, type Turn } from "./trial.ts";

/** Facts about one adapter, kept between visits. */
export interface Memory {
  get(key: string): Promise<string | undefined>;
  set(key: string, value: string): Promise<void>;
}

/** Under which a choice is remembered: where candidates come or go, it is made anew. */
const memoryKey = ({ key, candidates }: Question): string => `${key}: ${candidates.map(({ name }) => name).join(", ")}`;

/** Takes over what earlier visits measured, and what needs no measurement. Gives back the keys of what is open. */
export async function recall(model: ModelContext, memory: Memory): Promise<string[]> {
  const all = questionsOf(model);
  const known = await Promise.all(
    all.map((question) => (question.candidates.length > 1 ? memory.get(memoryKey(question)) : undefined)),
  );
  const open = all.filter(({ key, candidates }, i) => {
    const found = candidates.length > 1 ? candidates.find(({ name }) => name === known[i]) : candidates[0];
    if (found) model.variants.choose(key, found.name);
    return !found;
  });
  return open.map(({ key }) => key);
}

export interface Tuning {
  /** Keys of questions, as `recall` gives them. */
  open: readonly string[];
  memory: Memory;
  turn: Turn;
  signal?: AbortSignal | undefined;
  /** Called in a turn, where another variant than before is to run from now on. */
  onChange: () => Promise<void>;
}

/**
 * Answers open questions, one after another, until the profile's time for it is over; defaults stand for the others, and the
 * next visit goes on. Compiling takes no turn.
 */
export async function tune(model: ModelContext, cacheOptions: CacheOptions, tuning: Tuning): Promise<void> {
  const own = beside(model, cacheOptions);
  const limits = { clock: () => performance.now(), time: { left: model.profile.tuningMs }, ...tuning };
  try {
    const open = questionsOf(own).filter(({ key }) => tuning.open.includes(key));
    for (const question of open) if (limits.time.left > 0) await answer(own, question, limits);
  } finally {
    own.gpu.dispose();
  }
}

async function answer(
  model: ModelContext,
  question: Question,
  { memory, onChange, ...limits }: Pick<Tuning, "memory" | "onChange"> & Limits,
): Promise<void> {
  const { family, key, rows, candidates } = question;
  const trial = new Trial(candidates.map((candidate) => compiling(model, rows, candidate, limits.clock)));
  try {
    for (const name of await trial.open()) model.variants.refuse(family, name);
    await runTrial(trial, limits);
    const { answer: name } = trial;
    if (name === null) return;
    const isOther = name !== model.variants.candidates(family, rows)[0]!.name;
    model.variants.choose(key, name);
    await memory.set(memoryKey(question), name);
    if (isOther) await limits.turn(onChange);
  } finally {
    trial.close();
  }
}

const compiling = (
  model: ModelContext,
  rows: RowClass,
  { name, layers }: Question["candidates"][number],
  clock: () => number,
): Candidate => ({
  name,
  compile: () => runner(model, rows, layers, clock),
});

/** Runs the layers of a candidate, each time from where the last one ended. */
async function runner(
  model: ModelContext,
  rows: RowClass,
  layers: readonly (() => Dispatches)[],
  clock: () => number,
): Promise<Runner> {
  const { gpu } = model;
  const all = layers.map((dispatches) => dispatches());
  const program = await Program.build<Sizes>(gpu, "measure", all.flat());
  program.prepare(sizesFor(model, rows));
  const starts = all.map((_, i) => all.slice(0, i).flat().length);
  let next = 0;
  return {
    run: async (times) => {
      const encoder = gpu.device.createCommandEncoder();
      const pass = encoder.beginComputePass();
      for (let i = 0; i < times; i++, next = (next + 1) % all.length)
        program.encode(pass, starts[next], starts[next]! + all[next]!.length);
      pass.end();
      const started = clock();
      gpu.submit(encoder);
      await gpu.done();
      return clock() - started;
    },
    dispose: () => program.dispose(),
  };
}

/** Tokens of context for decode attention, and bytes of the cache that holds them, at most. */
const CONTEXT = 1024;
const CACHE_BYTES = 32 * 2 ** 20;

/** The model with a cache of its own, in the format that its layers write, on a fork of the device that owns it. */
function beside(model: ModelContext, options: CacheOptions): ModelContext {
  const gpu: Gpu = model.gpu.fork();
  const context = Math.min(model.cache.room.blocks * BLOCK_TOKENS, contextFor(options));
  const kv = withoutSystems(options.kv);
  const made = { ...options, kv, context, reserve: context, sequences: 1 };
  const cache = makeCache(gpu, model.config, made, recordsIn(model.spans));
  const own = { ...model, gpu, cache, systems: [] };
  prepareRows(own, context);
  return own;
}

function contextFor({ kv, context }: CacheOptions): number {
  const { kvHeads, headWidth } = kv.model;
  const tokenBytes = (kv.layout.stores * kvHeads * 2 * headWidth * kv.written.bits) / 8;
  const most = Math.floor(CACHE_BYTES / tokenBytes / BLOCK_TOKENS) * BLOCK_TOKENS;
  return Math.min(context, Math.max(BLOCK_TOKENS, Math.min(CONTEXT, most)));
}

/** Every row at the end of one sequence that lies in the first blocks: prompt rows come last in it. */
function prepareRows({ gpu, cache, spans }: ModelContext, context: number): void {
  const { count } = spans.lower;
  cache.openSequence(0);
  for (let index = 0; index * BLOCK_TOKENS < context; index++)
    cache.setPage(0, { index, block: index, later: PASSING });
  const first = Math.max(0, context - count);
  const rows = Array.from({ length: count }, (_, i) => {
    const at = i === 0 ? context - 1 : Math.min(first + i, context - 1);
    return [at, at, 0, 0];
  });
  gpu.write(cache.lists.inputs, spans.lower.first * 16, Uint32Array.from(rows.flat()));
}

/** A row that decodes, or a whole chunk of the class. */
function sizesFor(model: ModelContext, rows: RowClass): Sizes {
  const { profile, spans, cache } = model;
  const context = cache.room.blocks * BLOCK_TOKENS;
  if (rows === 1) return { ...plainSizes(model, 1, context), decodeRows: 1 };
  return plainSizes(model, Math.min(rows, profile.tuningRows, spans.lower.count), context);
}
