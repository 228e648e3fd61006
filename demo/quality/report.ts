// The quality report: every row of caches against the dense model with f16 keys and values, on one set of weights. No DOM.

import { InputError, load } from "../../src/index.ts";
import type { Engine, ModelInfo, ModelSource } from "../../src/index.ts";
import { compareAll } from "./compare.ts";
import { GREEDY_TOKENS, MEASURES } from "./measure.ts";
import type { Material, Measure } from "./measure.ts";
import { needles, noteProbes, secondProbes } from "./probes.ts";
import { QUESTIONS } from "./questions.ts";
import type { QualityProgress, QualityResult, QualityRow } from "./result.ts";
import { checkRow, parseRows } from "./rows.ts";
import type { Row } from "./rows.ts";
import { SAMPLE } from "./sample.ts";
import { Students } from "./students.ts";
import type { StudentSource } from "./students.ts";
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
  /** What rows `calibrated=…` are fitted to. Default: stories by Fable, where nothing is measured on them. */
  calibrate?: readonly Text[];
  /** Of those texts, in equal shares. Default 20,000. */
  calibrateTokens?: number;
  /** Where students are that rows name; one that is not here is named by its address. */
  students?: Readonly<Record<string, StudentSource>>;
  /** Files with weights of cache systems, beside those that come with the page. */
  trained?: readonly string[];
  measures?: readonly string[];
  /** Rows read their prompts with `int8Products`; the dense model does not. Default false. */
  int8Products?: boolean;
  /** The same with `matrixProducts`. */
  matrixProducts?: boolean;
  /** Of the needles' prompts, in tokens. Default: half of the prompt, and all of it. */
  lengths?: readonly number[];
  /** Where in the prompt a needle is, in percent. Default 10, 50, 90. */
  depths?: readonly number[];
  /** Of QUESTIONS, the first so many. Default: all. */
  questions?: number;
  signal?: AbortSignal;
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
    const students = new Students(dense, asked);
    await students.prepare(asked.rows, hooks.report);
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
    const onRow = (row: QualityRow): void => {
      result.rows.push(row);
      hooks.onRow?.(row, result);
    };
    await compareAll({ ...asked, dense, material, report: hooks.report, open: (row) => students.open(row), onRow });
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
  calibrate: readonly Text[];
  calibrateTokens: number;
  students: Readonly<Record<string, StudentSource>>;
  trained: readonly string[];
  measures: readonly Measure[];
  lengths: readonly number[];
  depths: readonly number[];
  questions: number;
  int8Products: boolean;
  matrixProducts: boolean;
  signal: AbortSignal | undefined;
}

export const DEFAULTS = { rows: "f16; int8; int4", prompt: 512, continuation: 64, windows: 3 } as const;

const STORIES: Text = { name: "the built-in stories", text: SAMPLE };

function complete(options: QualityOptions): Asked {
  const sizes = {
    prompt: options.prompt ?? DEFAULTS.prompt,
    continuation: options.continuation ?? DEFAULTS.continuation,
    windows: options.windows ?? DEFAULTS.windows,
  };
  const { texts: given = [], chats = [], depths = [10, 50, 90], questions = QUESTIONS.length } = options;
  const texts = given.length + chats.length > 0 ? given : [STORIES];
  for (const text of texts) checkText(text);
  const rows = parseRows(options.rows ?? DEFAULTS.rows);
  return {
    ...sizes,
    source: options.source,
    rows,
    texts,
    chats: chats.map((chat) => ({ name: chat.name, conversations: parseChat(chat) })),
    calibrate: readCalibration(rows, texts, options.calibrate ?? []),
    calibrateTokens: options.calibrateTokens ?? 20_000,
    students: options.students ?? {},
    trained: options.trained ?? [],
    measures: readMeasures(options.measures ?? MEASURES),
    lengths: options.lengths ?? [...new Set([Math.max(128, sizes.prompt >> 1), Math.max(128, sizes.prompt)])],
    depths,
    questions,
    int8Products: options.int8Products ?? false,
    matrixProducts: options.matrixProducts ?? false,
    signal: options.signal,
  };
}

/** A student is not to be judged on what it was fitted to. */
function readCalibration(rows: readonly Row[], texts: readonly Text[], given: readonly Text[]): readonly Text[] {
  for (const text of given) checkText(text, "calibrate");
  const asks = rows.some(({ source }) => source.kind === "calibrated");
  const calibrate = given.length > 0 ? given : [STORIES];
  const same = calibrate.find(({ text }) => texts.some((other) => other.text === text));
  if (asks && same)
    throw new InputError(
      `calibrate: got ${same.name}, want a text that nothing is measured on. Give another one, or measure on another one.`,
    );
  return calibrate;
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
    tune: "wait", // rows of a report run on the same kernels
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
    seconds: measures.includes("second") ? secondProbes(dense, filler, Math.max(256, prompt)) : [],
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
