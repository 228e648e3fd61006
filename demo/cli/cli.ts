// The page behind `npm start -- --prompt` and --tokens: loads one model, answers one prompt, streams the text.

import { load } from "../../src/index.ts";
import type {
  Engine,
  EngineStats,
  GenerateOptions,
  GenerationResult,
  LoadOptions,
  ModelInfo,
  Prompt,
  Sampling,
} from "../../src/index.ts";
import { failure, type Failure, showLoading } from "../shared/loading.ts";
import { loopWatch } from "../shared/loop.ts";
import { bytes, count, rate } from "../shared/numbers.ts";
import { samplingFor } from "../shared/sampling.ts";
import { nameAt, trainedFor } from "../shared/trained.ts";

interface Request {
  source: string;
  prompt: Prompt;
  /** As typed: the engine checks it. */
  load: LoadOptions;
  generate: GenerateOptions;
}

type Answer = { result: object; figures: string } | { error: Failure };

declare global {
  interface Window {
    runPrompt(request: Request): Promise<Answer>;
    /** Given by the command. */
    emitText(text: string): Promise<void>;
  }
}

/** Runs one prompt. Errors come back as values, because exceptions lose their class between the page and Node. */
window.runPrompt = async (request) => {
  try {
    const trained = trainedFor(String(request.load.kv ?? ""), { name: nameAt(request.source) }, "..");
    const engine = await load(request.source, { trained, ...request.load, onProgress: showLoading() });
    const result = await answer(engine, request);
    const stats = engine.stats();
    const { swiftkv, calibration } = engine.model;
    engine.dispose();
    return {
      result: { ...result, stats: { ...stats, ...result.stats, swiftkv, calibration } },
      figures: figures(result, stats, engine.model),
    };
  } catch (error) {
    return { error: failure(error) };
  }
};

/** Token ids are for experiments: greedy unless something is said. */
const samplingOf = (prompt: Prompt, model: ModelInfo): Sampling => ("tokens" in prompt ? {} : samplingFor(model));

async function answer(engine: Engine, { prompt, generate }: Request): Promise<GenerationResult> {
  const options = { ...samplingOf(prompt, engine.model), ...generate, onPrefill: showReading };
  const generation = engine.session().generate(prompt, options);
  generation.result.catch(() => {}); // the loop below throws the same error
  let first = true;
  for await (const token of generation) {
    if (first) await window.emitProgress("");
    first = false;
    if (token.text) await window.emitText(token.text);
  }
  return generation.result;
}

const showReading = (done: number, all: number): void =>
  void window.emitProgress(`reading ${count(done)} of ${count(all)} tokens`);

function figures({ stats, finish, tokens }: GenerationResult, engine: EngineStats, model: ModelInfo): string {
  const reading = `${count(stats.promptTokens)} prompt tokens in ${Math.round(stats.prefillMs)} ms (${rate(stats.prefillTokensPerSecond)})`;
  const writing = `${count(stats.newTokens)} new at ${rate(stats.decodeTokensPerSecond)}, ended by ${finish}`;
  const dropped = stats.evictedTokens > 0 ? `, ${count(Math.round(stats.evictedTokens))} prompt tokens dropped` : "";
  const memory = `weights ${bytes(engine.weightBytes)}, cache ${bytes(engine.kvBytes)} (${model.kv}, ${bytes(stats.kvBytesPerToken)} a prompt token${dropped})`;
  const speed = engine.adapter.software ? " (software: a GPU is about a hundred times faster)" : "";
  const loading = `load ${Math.round(engine.loadMs)} ms`;
  const loop = repeats(tokens) ? ["it repeats itself: --temperature 0.7 or --repetition-penalty 1.1 may help"] : [];
  const products = engine.variants["products of prompts"];
  const rounded = products === undefined ? [] : [`products of prompts: ${products}`];
  return `[${[engine.adapter.name + speed, loading, reading, writing, ...loop, memory, ...rounded, ...recallFigures(engine), ...model.kvWarnings, ...swiftkvFigures(model)].join(" · ")}]`;
}

const percent = (share: number): string => `${(100 * share).toFixed(0)} %`;

/** Of a recipe that brings back parts of the prompt: how much of what tokens wanted was there, and what was uploaded for them. */
function recallFigures({ recall }: EngineStats): string[] {
  const rates = recall?.hitRates.filter((rate) => rate !== null) ?? [];
  if (!recall || rates.length === 0) return [];
  const mean = rates.reduce((sum, rate) => sum + rate, 0) / rates.length;
  const there = `${percent(mean)} of the chunks wanted were there (${percent(Math.min(...rates))} to ${percent(Math.max(...rates))} by layer)`;
  if (recall.hostBytes === 0) return [there];
  const late = recall.late ? ", each token reads what the one before it chose" : "";
  return [
    `${there}, ${bytes(recall.uploadedBytes / recall.tokens)} uploaded a token, ${bytes(recall.hostBytes)} of values in host memory${late}`,
  ];
}

const repeats = (tokens: readonly number[]): boolean => {
  const watch = loopWatch();
  return tokens.some((token) => watch(token));
};

function swiftkvFigures({ swiftkv, layers, undistilled, calibration }: ModelInfo): string[] {
  if (!swiftkv) return [];
  const sharing = swiftkv.group > 1 ? `, ${swiftkv.group} share a cache` : "";
  const made = calibration ? `, calibrated on ${count(calibration.tokens)} tokens` : undistilled ? ", untrained" : "";
  return [`SwiftKV: ${swiftkv.layers} of ${layers} layers read${sharing}${made}`];
}
