// What a load takes of the GPU's memory, before anything is taken: the load itself, on a device that only counts.
import type { LoadOptions, MemoryPlan, MemoryUse, ModelSource } from "../api.ts";
import { alignUp, InputError, UnsupportedError } from "../errors.ts";
import { givenBy, Gpu } from "../gpu/device.ts";
import { type DeviceFacts, paperDevice } from "../gpu/paper.ts";
import { BLOCK_TOKENS, blocksFor } from "../kv/blocks.ts";
import { parseRecipe } from "../kv/parse.ts";
import type { Room } from "../kv/room.ts";
import type { Recipe } from "../kv/recipe.ts";
import { layoutOf } from "../kv/systems/swiftkv/layout.ts";
import { nameAll } from "../model/names.ts";
import type { Transformer } from "../model/transformer.ts";
import type { TensorSource } from "../model/weights/loader.ts";
import { WeightLoader } from "../model/weights/loader.ts";
import { openReporting, readShape, type Shape } from "./open.ts";
import { assemble, assembleStudent } from "./running.ts";
import { checkOptions, DEFAULT_CONTEXT, type Settings } from "./settings.ts";

/** A model to load, and where: `paperDevice`. */
interface Candidate extends Shape {
  device: GPUDevice;
  tensors: TensorSource;
  settings: Settings;
  options: Pick<LoadOptions, "teacher" | "memory" | "kv" | "context">;
}

/** See `plan` in load.ts. */
export async function plan(source: ModelSource, options: LoadOptions): Promise<MemoryPlan> {
  const given = await checkOptions(options);
  const device = options.device ? await givenBy(options.device) : await Gpu.find();
  const checkpoint = await openReporting(source, options, device.limits.maxBufferSize, () => {});
  try {
    const shape = await readShape(checkpoint, options);
    const { settings, use } = await decide({ ...shape, device, tensors: checkpoint, settings: given, options });
    const { totalBytes: fileBytes, missingBytes: downloadBytes } = checkpoint;
    return { kv: String(settings.kv), context: settings.context!, ...use, fileBytes, downloadBytes };
  } finally {
    checkpoint.close();
  }
}

const factsOf = (device: GPUDevice | GPUAdapter): DeviceFacts => ({
  limits: device.limits,
  features: device.features,
  info: "adapterInfo" in device ? device.adapterInfo : device.info,
});

type Use = Pick<MemoryPlan, "loaded" | "full" | "peakBytes" | "largestBytes" | "mostBytes">;

/** Loads on paper. Throws UnsupportedError where a buffer is larger than the adapter allows. */
async function usedBy({ device, tensors, settings, options, ...shape }: Candidate): Promise<Use> {
  const { config, student, stored } = shape;
  const gpu = Gpu.paper(device);
  const loader = new WeightLoader(gpu, tensors, settings.weights);
  const { teacher = false } = options;
  const weights = await nameAll(loader, config, layoutOf(config.layers, config.swiftkv), { teacher });
  const { transformer, bounds } = student
    ? await assembleStudent(gpu, { ...config, swiftkv: student }, weights, settings, stored?.fit ?? null)
    : await assemble(gpu, config, weights, settings, loader);
  await transformer.compile();
  const loaded = useOf(gpu);
  const whileLoading = gpu.totalBytes + loader.stagingBytes;
  // Half of it first: where room is doubled, both are there for a moment.
  for (const part of [2, 1]) await transformer.reserve(allOf(transformer, Math.ceil(bounds.context / part)));
  await transformer.compileAll();
  const { bytes, buffer } = gpu.most;
  const full = useOf(gpu);
  return { loaded, full, peakBytes: Math.max(whileLoading, bytes), largestBytes: buffer, mostBytes: gpu.mostBytes };
}

/** What texts of `context` tokens need, alone or together. Where prompts are streamed, a reply alone may be as long. */
function allOf({ cache }: Transformer, context: number): Partial<Room> {
  const pages = blocksFor(context);
  const blocks = blocksOf(cache, context);
  return { blocks, pages, later: cache.streamed ? blocks : 0, regions: cache.privatePages?.stateBlocks ? blocks : 0 };
}

/** Where some of a prompt goes while it is read: those of a chunk, or of the longest prompt that stays whole, grown twofold. */
function blocksOf({ chunkTokens, retain }: Transformer["cache"], context: number): number {
  const part = chunkTokens > 0 ? retain(context) : null;
  if (!part) return blocksFor(context);
  const whole = blocksFor(context) - part.liveFrom + blocksFor(Math.max(...part.tokens));
  return Math.min(blocksFor(context), 2 * Math.max(blocksFor(chunkTokens), whole));
}

const useOf = ({ bytes: { weights, kv, scratch } }: Gpu): MemoryUse => ({
  weightBytes: weights,
  kvBytes: kv,
  scratchBytes: scratch,
});

/** Recipes where the caller names none, in the order in which they are tried. */
const LADDER = ["f16", "int8", "kivi:bits=4"] as const;
/** Named where nothing else fits. */
const ALTERNATIVES = [...LADDER, "kivi:bits=2", "shadow"] as const;
/** A shorter context is not chosen, only proposed. */
const LEAST_CONTEXT = 1024;

/** What is chosen, and its price. */
export interface Decision {
  settings: Settings;
  use: Use;
}

/**
 * Chooses what the caller left open of recipe and context. Throws UnsupportedError, with what fits, where nothing does. Of the
 * device, or the adapter that it would be of, only limits and features are looked at.
 */
export async function decide({
  device,
  ...asked
}: Omit<Candidate, "device"> & { device: GPUDevice | GPUAdapter }): Promise<Decision> {
  const candidate: Candidate = { ...asked, device: paperDevice(factsOf(device)) };
  const { settings, options, config } = candidate;
  checkMemory(options.memory);
  const whole = alignUp(settings.context ?? Math.min(config.context, DEFAULT_CONTEXT), BLOCK_TOKENS);
  const recipes = options.kv === undefined ? LADDER.map(parseRecipe) : [settings.kv];
  for (const kv of recipes) {
    const found = await tryOut(candidate, kv, whole);
    if (found) return found;
  }
  const shorter = settings.context === null && (await longest(candidate, recipes.at(-1)!, whole));
  if (shorter && shorter.settings.context! >= LEAST_CONTEXT) return shorter;
  throw await refusal(candidate, recipes[0]!, whole);
}

function checkMemory(memory: number | undefined): void {
  if (memory === undefined || memory > 0) return;
  throw new InputError(`memory: got ${memory}, want a number of bytes above 0.`);
}

/** Null where it does not fit, or the model cannot have this recipe. */
async function tryOut(candidate: Candidate, kv: Recipe, context: number): Promise<Decision | null> {
  const settings = { ...candidate.settings, kv, context };
  try {
    const use = await usedBy({ ...candidate, settings });
    return use.peakBytes <= (candidate.options.memory ?? Infinity) ? { settings, use } : null;
  } catch (error) {
    const isTooLarge = error instanceof UnsupportedError && error.code === "out-of-memory";
    const isGiven = candidate.options.kv !== undefined && kv === candidate.settings.kv;
    if (!isTooLarge && (isGiven || !(error instanceof InputError))) throw error;
    return null;
  }
}

/** With the longest context that fits, a multiple of 1024 tokens, or of a block below that; null where none does. */
async function longest(candidate: Candidate, kv: Recipe, most: number): Promise<Decision | null> {
  const unit = most > LEAST_CONTEXT ? LEAST_CONTEXT : BLOCK_TOKENS;
  let best: Decision | null = null;
  let [fits, fails] = [0, Math.ceil(most / unit)];
  while (fails - fits > 1) {
    const middle = Math.floor((fits + fails) / 2);
    const found = await tryOut(candidate, kv, middle * unit);
    if (found) [fits, best] = [middle, found];
    else fails = middle;
  }
  return best;
}

/** The error that says what it needs, and what would fit. */
async function refusal(candidate: Candidate, kv: Recipe, context: number): Promise<UnsupportedError> {
  const { memory = Infinity } = candidate.options;
  const needs = await usedBy({ ...candidate, settings: { ...candidate.settings, kv, context } });
  const shorter = await longest(candidate, kv, context);
  const others: string[] = [];
  for (const text of ALTERNATIVES.filter((each) => each !== String(kv)))
    if (await tryOut(candidate, parseRecipe(text), context)) others.push(text);
  const fitting = [
    ...(shorter ? [`at ${tokens(shorter.settings.context!)}`] : []),
    ...(others.length > 0 ? [`at ${tokens(context)} with ${others.join(" or ")}`] : []),
  ];
  const { weightBytes } = needs.loaded;
  const advice =
    fitting.length > 0
      ? `It fits ${fitting.join(", or ")}.`
      : `Its weights alone take ${size(weightBytes)}: take a smaller model or fewer bits a weight.`;
  return new UnsupportedError(
    `memory: needs ${size(needs.peakBytes)} at ${tokens(context)} ${String(kv)}; got ${size(memory)}. ${advice}`,
    { code: "out-of-memory" },
  );
}

const tokens = (count: number): string => (count % 1024 === 0 ? `${count / 1024}K` : String(count));

const size = (bytes: number): string =>
  bytes >= 1e9 ? `${(bytes / 1e9).toFixed(2)} GB` : `${(bytes / 1e6).toFixed(1)} MB`;
