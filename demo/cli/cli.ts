// The page behind `npm start -- --prompt`: loads one model, answers one prompt, hands text out as it comes.

import { load } from "../../src/index.ts";
import type {
  Engine,
  EngineStats,
  GenerateOptions,
  GenerationResult,
  LoadOptions,
  LoadProgress,
  ModelInfo,
  Prompt,
} from "../../src/index.ts";
import { bytes, count, rate } from "../shared/numbers.ts";

interface Request {
  source: string;
  prompt: Prompt;
  load: LoadOptions;
  generate: GenerateOptions;
}

type Answer = { result: object; figures: string } | { error: string };

declare global {
  interface Window {
    runPrompt(request: Request): Promise<Answer>;
    /** Given by the command. */
    emitText(text: string): Promise<void>;
    emitProgress(line: string): Promise<void>;
  }
}

/** Runs one prompt. Errors come back as a line, because exceptions lose their class on the way to Node. */
window.runPrompt = async (request) => {
  try {
    const engine = await load(request.source, { ...request.load, onProgress: showLoading() });
    const result = await answer(engine, request);
    const stats = engine.stats();
    const { swiftkv } = engine.model;
    engine.dispose();
    return {
      result: { ...result, stats: { ...result.stats, ...stats, swiftkv } },
      figures: figures(result, stats, engine.model),
    };
  } catch (error) {
    const message = error instanceof Error ? error.message : String(error);
    return { error: message.replaceAll(/\s+/g, " ") };
  }
};

async function answer(engine: Engine, { prompt, generate }: Request): Promise<GenerationResult> {
  const total = promptLength(engine, prompt);
  if (total >= engine.model.context) {
    throw new Error(
      `prompt: ${total} tokens, want fewer than the context of ${engine.model.context}. Shorten it or give a larger --context.`,
    );
  }
  const generation = engine.session().generate(prompt, { ...generate, onPrefill: showReading });
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

/** The engine checks this too; asking first names the option that helps. */
function promptLength(engine: Engine, prompt: Prompt): number {
  if ("tokens" in prompt) return prompt.tokens.length;
  return engine.tokenize("text" in prompt ? prompt.text : engine.render(prompt.messages)).length;
}

function showLoading(): (progress: LoadProgress) => void {
  let shown = 0;
  return ({ phase, loadedBytes, totalBytes }) => {
    if (performance.now() - shown < 100) return;
    shown = performance.now();
    const size = totalBytes > 0 ? ` ${bytes(loadedBytes)} of ${bytes(totalBytes)}` : "";
    void window.emitProgress(`loading (${phase})${size}`);
  };
}

function figures({ stats, finish }: GenerationResult, engine: EngineStats, model: ModelInfo): string {
  const reading = `${count(stats.promptTokens)} prompt tokens in ${Math.round(stats.prefillMs)} ms (${rate(stats.prefillTokensPerSecond)})`;
  const writing = `${count(stats.newTokens)} new at ${rate(stats.decodeTokensPerSecond)}, ended by ${finish}`;
  const memory = `weights ${bytes(engine.weightBytes)}, cache ${bytes(engine.kvBytes)}`;
  const speed = engine.adapter.software ? " (software: a GPU is about a hundred times faster)" : "";
  const loading = `load ${Math.round(engine.loadMs)} ms`;
  return `[${[engine.adapter.name + speed, loading, reading, writing, memory, ...way(model)].join(" · ")}]`;
}

function way({ swiftkv, layers, undistilled }: ModelInfo): string[] {
  if (!swiftkv) return [];
  const sharing = swiftkv.group > 1 ? `, ${swiftkv.group} share a cache` : "";
  return [`SwiftKV: ${swiftkv.layers} of ${layers} layers read${sharing}${undistilled ? ", untrained" : ""}`];
}
