// A model on a device that computes nothing: the real engine reads a prompt and writes tokens, and every dispatch of it is noted.
import type { LoadOptions } from "../../src/api.ts";
import { TokenEngine } from "../../src/engine/engine.ts";
import { Gpu } from "../../src/gpu/device.ts";
import { type DeviceFacts, type Dispatched, paperDevice } from "../../src/gpu/paper.ts";
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import { layoutOf } from "../../src/kv/systems/swiftkv/layout.ts";
import { readShape } from "../../src/load/open.ts";
import { assemble, assembleStudent } from "../../src/load/running.ts";
import { checkOptions } from "../../src/load/settings.ts";
import { GREEDY } from "../../src/model/model.ts";
import { qkvNarrowKey } from "../../src/model/ops/variants.ts";
import { nameWeights } from "../../src/model/names.ts";
import { WeightLoader } from "../../src/model/weights/loader.ts";

/** Equal dispatches, and how many of them there are: those of layers and stores differ in their labels alone. */
export interface Repeated extends Dispatched {
  count: number;
}

/** What is dispatched until the first token of a prompt, and for a token after it. */
export interface Costs {
  /** Tokens of the prompt. */
  tokens: number;
  prefill: readonly Repeated[];
  decode: readonly Repeated[];
}

export interface PaperOptions extends Pick<LoadOptions, "kv" | "swiftkv" | "context" | "chunk"> {
  /** The variant that makes heads of few rows, by its name; default: the first one. */
  heads?: string | undefined;
}

/** Of the tokens after the first one, that many are run, and the last one counts: by then the engine is under way. */
const DECODED = 4;
/** The label with which each step begins. */
const FIRST = "embed";

/** Dispatches of prompts of these lengths. Throws as `load` does where the model cannot have the recipe. */
export async function dispatchesOf(
  checkpoint: Checkpoint,
  facts: DeviceFacts,
  lengths: readonly number[],
  options: PaperOptions,
): Promise<Costs[]> {
  const { gpu, engine } = await openOnPaper(checkpoint, facts, options);
  const costs: Costs[] = [];
  for (const tokens of lengths) costs.push({ tokens, ...(await noted(gpu, engine, tokens)) });
  return costs;
}

async function openOnPaper(checkpoint: Checkpoint, facts: DeviceFacts, options: PaperOptions) {
  const gpu = Gpu.paper(paperDevice(facts));
  const settings = await checkOptions({ sequences: 1, ...options });
  const { config, student } = await readShape(checkpoint, options);
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config, layoutOf(config.layers, config.swiftkv));
  const { transformer, variants } = student
    ? await assembleStudent(gpu, { ...config, swiftkv: student }, weights, settings, null)
    : await assemble(gpu, config, weights, settings, loader);
  for (const { qkv } of transformer.context.weights.layers)
    if (options.heads) variants.choose(qkvNarrowKey(qkv.matrix), options.heads);
  await transformer.compile();
  return { gpu, engine: new TokenEngine(transformer) };
}

/** One prompt from the first token to the last; nothing of it is reused. */
async function noted(gpu: Gpu, engine: TokenEngine, tokens: number): Promise<Omit<Costs, "tokens">> {
  const steps: Dispatched[][] = [];
  gpu.onDispatch = (dispatched) => {
    if (dispatched.label === FIRST) steps.push([]);
    steps.at(-1)?.push(dispatched);
  };
  const run = engine.generate({
    prompt: Array.from({ length: tokens }, (_, i) => i % engine.vocabulary),
    maxTokens: 1 + DECODED,
    endTokens: new Set(),
    sampling: GREEDY,
    reuse: false,
  });
  for await (const _ of run); // until it is done
  gpu.onDispatch = null;
  const decode = steps.splice(-DECODED).at(-1)!;
  return { prefill: repeated(steps.flat()), decode: repeated(withoutSealed(decode, tokens)) };
}

/** Tokens that KIVI keeps as they are: 64, and the page that is being filled. */
const UNSEALED = 96;

/**
 * Where a list leads to sealed pages and to others, each kind's dispatch counts the whole list, since how it divides is not known
 * where it is encoded. A decoded token reads the latest pages of the one kind, all others of the other.
 */
function withoutSealed(step: readonly Dispatched[], tokens: number): Dispatched[] {
  const sealed = step.some(({ label }) => / attention, /.test(label));
  const share = sealed ? Math.min(1, UNSEALED / tokens) : 1;
  return step.map((each) =>
    each.label.endsWith(" attention") ? { ...each, bytes: each.bytes * share, flops: each.flops * share } : each,
  );
}

function repeated(dispatches: readonly Dispatched[]): Repeated[] {
  const found = new Map<string, Repeated>();
  for (const each of dispatches) {
    const label = each.label.replace(/^(layer|store) \d+ /, "");
    const { kernel, constants, grid, bytes, flops } = each;
    const key = [label, kernel.name, JSON.stringify(constants), grid, bytes, flops].join(" ");
    const known = found.get(key);
    if (known) known.count++;
    else found.set(key, { ...each, label, count: 1 });
  }
  return [...found.values()];
}
