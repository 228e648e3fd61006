// The quality report: every row of caches against the dense model with f16 keys and values, on one set of weights. No DOM.

import { InputError, convert, load, parseRecipe } from "../../src/index.ts";
import type { Engine, ModelInfo, ModelSource } from "../../src/index.ts";
import { explore, GREEDY_TOKENS, MEASURES, meanEqual, totalCost } from "./measure.ts";
import type { Findings, Found, Material, Measure } from "./measure.ts";
import { divergence, likeliest, mean, surprise } from "./metrics.ts";
import { needles, noteProbes } from "./probes.ts";
import { QUESTIONS } from "./questions.ts";
import { checkRow, parseRows } from "./rows.ts";
import type { Row } from "./rows.ts";
import { SAMPLE } from "./sample.ts";
import { chatWindows, checkText, parseChat, windowsOf } from "./texts.ts";
import type { Conversation, Text, Window, WindowSizes } from "./texts.ts";

export interface QualityOptions extends Partial<WindowSizes> {
  source: ModelSource;
  /** Default f16; int8; int4. */
  rows?: string;
  /** Default, where there is no conversation either: stories by Fable. */
  texts?: readonly Text[];
  /** JSON lines. */
  chats?: readonly Text[];
  measures?: readonly string[];
  /** Of the needles' prompts, in tokens. Default: half of the prompt, and all of it. */
  lengths?: readonly number[];
  /** Where in the prompt a needle is, in percent. Default 10, 50, 90. */
  depths?: readonly number[];
  /** Of QUESTIONS, the first so many. Default: all. */
  questions?: number;
  signal?: AbortSignal;
}

/** A row of the report. What was not measured is left out. */
export interface QualityRow {
  row: string;
  /** Scored tokens of the texts. */
  tokens?: number;
  /** Cross-entropy, nats per token. */
  ce?: number;
  /** Mean KL(dense‖row), nats. */
  kl?: number;
  /** Share of tokens at which both find the same one likeliest. */
  top1?: number;
  /** Tokens of greedy replies until they differ from the dense model's, mean; at most GREEDY_TOKENS. */
  greedy?: number;
  /** Share of the needles' tokens that are right, and of the needles that are right as a whole. */
  needle?: number;
  needleExact?: number;
  /** By length and depth in percent: share of the tokens that are right. */
  needleGrid?: { length: number; depth: number; right: number }[];
  /** The same share for Fable's notes. */
  notes?: number;
  /** Share of questions answered right. */
  qa?: number;
  /** Of the cache, per prompt token of the texts' prompts. */
  bytesPerToken: number;
  /** Medians over the texts: of a prompt, and of a token after the first. */
  prefillMs?: number;
  decodeMs?: number;
}

export interface QualityProgress {
  text: string;
  /** 0 to 1; null while unknown. */
  share: number | null;
}

export interface QualityResult {
  format: 1;
  kind: "quality";
  date: string;
  adapter: ReturnType<Engine["stats"]>["adapter"];
  model: ModelInfo;
  options: WindowSizes & { measures: readonly Measure[]; texts: string[]; greedyTokens: number };
  rows: QualityRow[];
}

interface Hooks {
  report: (progress: QualityProgress) => void;
  /** Called with each row as it is ready, and with all so far. */
  onRow?: (row: QualityRow, soFar: QualityResult) => void;
}

/** Measures. Everything that can be wrong in the options is refused before the model is loaded. */
export async function measureQuality(options: QualityOptions, hooks: Hooks): Promise<QualityResult> {
  const asked = complete(options);
  const dense = await loadDense(asked, hooks);
  try {
    for (const row of asked.rows) checkRow(row, dense.model);
    const material = gather(dense, asked);
    const { prompt, continuation, windows, measures } = asked;
    const result: QualityResult = {
      format: 1,
      kind: "quality",
      date: new Date().toISOString(),
      adapter: dense.stats().adapter,
      model: dense.model,
      options: { prompt, continuation, windows, measures, texts: namesOf(asked), greedyTokens: GREEDY_TOKENS },
      rows: [],
    };
    await compareAll(dense, asked, material, hooks.report, (row) => {
      result.rows.push(row);
      hooks.onRow?.(row, result);
    });
    return result;
  } finally {
    dense.dispose();
  }
}

interface Asked extends WindowSizes {
  source: ModelSource;
  rows: Row[];
  texts: readonly Text[];
  chats: { name: string; conversations: Conversation[] }[];
  measures: readonly Measure[];
  lengths: readonly number[];
  depths: readonly number[];
  questions: number;
  signal: AbortSignal | undefined;
}

export const DEFAULTS = { rows: "f16; int8; int4", prompt: 512, continuation: 64, windows: 3 } as const;

function complete(options: QualityOptions): Asked {
  const {
    source,
    prompt = DEFAULTS.prompt,
    continuation = DEFAULTS.continuation,
    windows = DEFAULTS.windows,
  } = options;
  const { texts: given = [], chats = [], depths = [10, 50, 90], questions = QUESTIONS.length, signal } = options;
  const texts = given.length + chats.length > 0 ? given : [{ name: "the built-in stories", text: SAMPLE }];
  for (const text of texts) checkText(text);
  const rows = parseRows(options.rows ?? DEFAULTS.rows);
  const lengths = options.lengths ?? [...new Set([Math.max(128, prompt >> 1), Math.max(128, prompt)])];
  const conversations = chats.map((chat) => ({ name: chat.name, conversations: parseChat(chat) }));
  const measures = readMeasures(options.measures ?? MEASURES);
  return {
    source,
    rows,
    texts,
    chats: conversations,
    measures,
    lengths,
    depths,
    prompt,
    continuation,
    windows,
    questions,
    signal,
  };
}

function readMeasures(names: readonly string[]): Measure[] {
  const unknown = names.find((name) => !MEASURES.some((measure) => measure === name));
  if (unknown !== undefined || names.length === 0)
    throw new InputError(`measures: got "${unknown ?? ""}", want some of ${MEASURES.join(", ")}.`);
  return MEASURES.filter((measure) => names.includes(measure));
}

const namesOf = ({ texts, chats }: Asked): string[] => [...texts, ...chats].map(({ name }) => name);

/** Around the pieces of a prompt: template, question, note. */
const SLACK = 128;

function loadDense({ source, prompt, continuation, lengths, signal }: Asked, { report }: Hooks): Promise<Engine> {
  const context = Math.max(
    prompt + Math.max(continuation, GREEDY_TOKENS),
    ...lengths.map((length) => length + SLACK),
    512,
  );
  return load(source, {
    kv: "f16",
    context,
    teacher: true, // a SwiftKV checkpoint's, for rows with another shape
    sequences: 1,
    ...(signal && { signal }),
    onProgress: ({ phase, loadedBytes, totalBytes }) =>
      report({ text: `Loading the model (${phase})`, share: totalBytes > 0 ? loadedBytes / totalBytes : null }),
  });
}

/** A longer text is not used to its end: tokenising takes its time. */
const MOST_CHARACTERS = 2 ** 21;
/** Logits of the dense model that are kept to compare with, at most. */
const MOST_BYTES = 2 ** 30;

function gather(dense: Engine, asked: Asked): Material {
  const { texts, chats, measures, lengths, depths, questions, prompt } = asked;
  checkContext(dense.model, asked);
  const windows = [
    ...texts.flatMap(({ name, text }) => textWindows(dense, { name, text: text.slice(0, MOST_CHARACTERS) }, asked)),
    ...chats.flatMap(({ name, conversations }) => chatWindows(dense, name, conversations, asked)),
  ];
  checkMemory(dense.model, windows);
  const filler = texts.length > 0 ? texts.map(({ text }) => text.slice(0, MOST_CHARACTERS)).join("\n\n") : SAMPLE;
  const asks = measures.includes("needle");
  const shares = depths.map((depth) => depth / 100);
  return {
    windows,
    needles: asks ? needles(dense, filler, lengths, shares) : [],
    notes: asks && dense.model.name === "fable" ? noteProbes(dense, filler, Math.max(256, prompt)) : [],
    questions: QUESTIONS.slice(0, questions),
  };
}

function textWindows(engine: Engine, { name, text }: Text, sizes: WindowSizes): Window[] {
  const tokens = engine.tokenize(text, { addSpecial: false });
  const opening = engine.tokenize("a").slice(0, -engine.tokenize("a", { addSpecial: false }).length);
  return windowsOf(name, tokens, sizes, opening);
}

function checkContext({ trainedContext }: ModelInfo, { prompt, continuation, lengths }: Asked): void {
  const longest = Math.max(prompt + Math.max(continuation, GREEDY_TOKENS), ...lengths.map((length) => length + SLACK));
  if (longest <= trainedContext) return;
  throw new InputError(
    `quality: got lengths that need ${longest} tokens of context, want at most ${trainedContext}, what the model was trained for. Choose a shorter prompt or shorter needles.`,
  );
}

function checkMemory({ vocabulary }: ModelInfo, windows: readonly Window[]): void {
  const bytes = 4 * vocabulary * tokensOf(windows);
  if (bytes <= MOST_BYTES) return;
  throw new InputError(
    `quality: got ${tokensOf(windows)} tokens to score, want at most ${Math.floor(MOST_BYTES / 4 / vocabulary)} with this vocabulary (their logits are kept). Take fewer windows or a shorter continuation.`,
  );
}

const tokensOf = (windows: readonly Window[]): number =>
  windows.reduce((sum, { continuation }) => sum + continuation.length, 0);

/** Dense first, then row after row; each row's engine is given back before the next one. */
async function compareAll(
  dense: Engine,
  asked: Asked,
  material: Material,
  report: Hooks["report"],
  onRow: (row: QualityRow) => void,
): Promise<void> {
  const clock = new Clock((1 + asked.rows.length) * totalCost(material, asked.measures), report);
  const kept = material.windows.map((): Float32Array[] => []);
  const run = { material, measures: asked.measures, signal: asked.signal };
  const onDense = (window: number, _: number, logits: Float32Array): void => void kept[window]!.push(logits);
  const base = await explore({ ...run, engine: dense, onLogits: onDense, onStep: clock.of("dense f16") });
  for (const row of asked.rows) {
    clock.open(`${row.text}: compiling`);
    const swiftkv = row.swiftkv ?? dense.model.swiftkv ?? false;
    const engine = await convert(dense, swiftkv, { kv: row.recipe, ...(asked.signal && { signal: asked.signal }) });
    try {
      const nearness = new Nearness(material.windows, kept);
      const onLogits = nearness.add.bind(nearness);
      const findings = await explore({ ...run, engine, onLogits, onStep: clock.of(row.text) });
      onRow(judge(row, engine, { asked, material, findings, base, nearness }));
    } finally {
      engine.dispose();
    }
  }
}

/** What a row's logits say beside the dense model's. */
class Nearness {
  readonly #windows: readonly Window[];
  readonly #kept: readonly (readonly Float32Array[])[];
  readonly ce: number[] = [];
  readonly kl: number[] = [];
  readonly top1: number[] = [];

  constructor(windows: readonly Window[], kept: readonly (readonly Float32Array[])[]) {
    this.#windows = windows;
    this.#kept = kept;
  }

  add(window: number, index: number, logits: Float32Array): void {
    const dense = this.#kept[window]![index]!;
    this.ce.push(surprise(logits, this.#windows[window]!.continuation[index]!));
    this.kl.push(divergence(dense, logits));
    this.top1.push(likeliest(dense) === likeliest(logits) ? 1 : 0);
  }
}

interface Evidence {
  asked: Asked;
  material: Material;
  findings: Findings;
  base: Findings;
  nearness: Nearness;
}

function judge(row: Row, { model }: Engine, { asked, material, findings, base, nearness }: Evidence): QualityRow {
  const has = (measure: Measure): boolean => asked.measures.includes(measure);
  const timed = has("ce") || has("greedy");
  const recipe = parseRecipe(model.kv);
  const bytes = material.windows.map(({ prompt }) => recipe.price(model.kvShape, prompt.length).kvBytesPerToken);
  const { ce, kl, top1 } = nearness;
  return {
    row: row.text,
    ...(has("ce") && { tokens: ce.length, ce: mean(ce), kl: mean(kl), top1: mean(top1) }),
    ...(has("greedy") && { greedy: meanEqual(findings.replies, base.replies) }),
    ...(has("needle") && needleFigures(findings)),
    ...(has("qa") && { qa: mean(findings.answers.map(Number)) }),
    bytesPerToken: mean(bytes),
    ...(timed && { prefillMs: median(findings.prefillMs), decodeMs: median(findings.decodeMs) }),
  };
}

function needleFigures({ needles: found, notes }: Findings) {
  const right = (each: readonly Found[]): number => mean(each.map((one) => one.right));
  return {
    needle: right(found),
    needleExact: mean(found.map(({ exact }) => Number(exact))),
    needleGrid: found.map(({ length, depth, right: share }) => ({ length, depth: 100 * depth, right: share })),
    ...(notes.length > 0 && { notes: right(notes) }),
  };
}

function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return ((sorted[Math.floor(middle)] ?? NaN) + (sorted[Math.ceil(middle)] ?? NaN)) / 2;
}

/** Says which row is at which step, and how long the rest takes at the speed so far. */
class Clock {
  readonly #total: number;
  readonly #report: Hooks["report"];
  readonly #started = performance.now();
  #before = 0;
  #done = 0;

  constructor(total: number, report: Hooks["report"]) {
    this.#total = total;
    this.#report = report;
  }

  /** For the next run: what it does from now on counts as `name`. */
  of(name: string): (step: string, done: number) => void {
    this.#before = this.#done;
    return (step, done) => {
      this.#done = this.#before + done;
      this.open(`${name}: ${step}`);
    };
  }

  open(text: string): void {
    const share = this.#done / this.#total;
    const left = share > 0.02 ? `, ${duration(((performance.now() - this.#started) / share) * (1 - share))} left` : "";
    this.#report({ text: text + left, share });
  }
}

const duration = (milliseconds: number): string => {
  const seconds = Math.ceil(milliseconds / 1000);
  return seconds < 90 ? `${seconds} s` : `${Math.ceil(seconds / 60)} min`;
};
