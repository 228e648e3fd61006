// Texts -> a student fitted to them. The model reads them once (model/calibrate.ts), then the equations are solved.
import type { CalibrateOptions, CalibrationProgress, SwiftKv } from "../api.ts";
import type { Language } from "../chat/session.ts";
import { InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { layoutOf, readersOf } from "../kv/systems/swiftkv/layout.ts";
import { mostWindowTokens, readText } from "../model/calibrate.ts";
import type { ModelConfig } from "../model/config.ts";
import type { Fit, FittedStore } from "../model/context.ts";
import type { Sums } from "../model/swiftkv/moments.ts";
import type { Transformer } from "../model/transformer.ts";
import { fit, type FitJob, type FitOptions } from "./solve.ts";

const DEFAULT_WINDOW = 512;
const DEFAULT_RIDGE = 1e-4;
/** A fit of D + 1 inputs to fewer tokens than this for each of them repeats their noise. */
const TOKENS_PER_INPUT = 4;

export interface Calibration extends CalibrateOptions {
  signal?: AbortSignal | undefined;
}

/** An ordinary model that is ready to run. */
export interface Teacher {
  gpu: Gpu;
  config: ModelConfig;
  transformer: Transformer;
  language: Language;
  /** Runs work that writes over the cache while nothing else uses the model. */
  alone: <T>(work: () => Promise<T>) => Promise<T>;
}

/** Throws InputError for texts that cannot be used; the signal's reason on abort. Nothing is left on the GPU. */
export async function calibrate(teacher: Teacher, shape: SwiftKv, options: Calibration): Promise<Fit> {
  const { config, transformer, language } = teacher;
  const window = windowOf(options, mostWindowTokens(transformer));
  const ridge = options.ridge ?? DEFAULT_RIDGE;
  if (!(ridge > 0 && ridge < 1)) throw new InputError(`ridge: got ${ridge}, want a number between 0 and 1.`);
  const { tokens, prefix } = tokensOf(options.calibrate!, language, config, "calibrate");
  checkEnough(tokens, config);
  const windows = windowsOf(tokens, prefix, window);
  const total = windows.reduce((sum, { length }) => sum + length, 0);
  const report = reporter(total, options.onProgress);
  const sums = await readSums(teacher, { ...options, first: shape.layers, windows, onTokens: report("read", total) });
  const onDone = report("solve", 1);
  const { signal } = options;
  const { constant = true } = options;
  const student = await fitTo(sums, { config, shape, window, ridge, constant }, { onDone, signal });
  onDone(1);
  return student;
}

interface Fitting {
  config: ModelConfig;
  shape: SwiftKv;
  window: number;
  ridge: number;
  constant: boolean;
}

/** The student that the sums give. Takes them over. */
export async function fitTo(
  sums: Sums,
  { config, shape, window, ridge, constant }: Fitting,
  options: FitOptions,
): Promise<Fit> {
  const { tokens } = sums;
  const { maps, r2, lambda } = await fit(jobOf(constant ? sums : withoutConstant(sums), config, shape, ridge), options);
  const stores = maps.map((map) => storeOf(map, config));
  return { stores, queries: null, made: { tokens, window, ridge, lambda, r2 }, distilled: null };
}

function windowOf({ window = DEFAULT_WINDOW }: Calibration, most: number): number {
  if (!Number.isInteger(window) || window < 2)
    throw new InputError(`window: got ${window}, want a whole number of at least 2.`);
  return Math.min(window, most);
}

/** The sums over the text, by buffers that are gone afterwards. */
async function readSums(
  { gpu, transformer, alone }: Teacher,
  reading: Omit<Parameters<typeof readText>[2], "alone">,
): Promise<Sums> {
  const own = gpu.fork();
  try {
    return await own.guardMemory(() => readText(own, transformer, { ...reading, alone }));
  } finally {
    own.dispose();
  }
}

// ---- texts ----

/** The tokens of all texts, and what the tokenizer puts before any text. `who` asks for them. */
export function tokensOf(
  given: NonNullable<Calibration["calibrate"]>,
  { tokenizer }: Language,
  config: ModelConfig,
  who: string,
): { tokens: number[]; prefix: number[] } {
  const prefix = tokenizer.encode("");
  const texts = typeof given === "string" ? [given] : given;
  const isTokens = texts.length > 0 && texts.every((each) => typeof each === "number");
  const tokens = isTokens
    ? (texts as readonly number[]).slice()
    : (texts as readonly string[]).flatMap((text, i) =>
        textTokens(text, `${who}: text ${i + 1}`, tokenizer, prefix.length),
      );
  checkTokens(tokens, config, who);
  return { tokens, prefix };
}

export function checkTokens(tokens: readonly number[], { vocabulary }: ModelConfig, who: string): void {
  const bad = tokens.find((token) => !Number.isInteger(token) || token < 0 || token >= vocabulary);
  if (bad !== undefined)
    throw new InputError(`${who}: got token id ${bad}, want a whole number from 0 to ${vocabulary - 1}.`);
}

function checkEnough(tokens: readonly number[], { hiddenSize }: ModelConfig): void {
  const least = TOKENS_PER_INPUT * (hiddenSize + 1);
  if (tokens.length < least)
    throw new InputError(
      `calibrate: too short; got ${tokens.length} tokens, want at least ${least} (${TOKENS_PER_INPUT} for each of ${hiddenSize + 1} inputs; five times as many are better). Give a longer text.`,
    );
}

function textTokens(text: unknown, who: string, tokenizer: Language["tokenizer"], skip: number): number[] {
  const bad = (got: string, want: string): never => {
    throw new InputError(`${who}; got ${got}, want ${want}. Give a file of plain text.`);
  };
  if (typeof text !== "string") return bad(typeof text, "a text");
  if (text.trim() === "") return bad("nothing", "a text");
  if (isBinary(text)) return bad("bytes that are no text", "a text");
  return tokenizer.encode(text).slice(skip);
}

/** A zero byte, or more than one character in a hundred that stands for damaged ones. */
function isBinary(text: string): boolean {
  const damaged = text.match(/\uFFFD/g)?.length ?? 0;
  return text.includes("\0") || damaged * 100 > text.length;
}

/** Each window as a prompt would have it: what the tokenizer puts first, then a piece of the text. */
export function windowsOf(tokens: readonly number[], prefix: readonly number[], window: number): number[][] {
  const piece = Math.max(1, window - prefix.length);
  const count = Math.ceil(tokens.length / piece);
  return Array.from({ length: count }, (_, i) => [...prefix, ...tokens.slice(i * piece, (i + 1) * piece)]);
}

// ---- numbers ----

/** The sums of a fit to x̂ alone: no last row, no last column. */
function withoutConstant({ gram, cross, ...others }: Sums): Sums {
  const size = Math.sqrt(gram.length);
  const inner = new Float64Array((size - 1) ** 2);
  for (let i = 0; i < size - 1; i++) inner.set(gram.subarray(i * size, (i + 1) * size - 1), i * (size - 1));
  const rows = (each: Float64Array<ArrayBuffer>) => each.slice(0, (each.length / size) * (size - 1));
  return { ...others, gram: inner, cross: cross.map(rows) };
}

function jobOf({ gram, cross, squares }: Sums, config: ModelConfig, shape: SwiftKv, ridge: number): FitJob {
  const { kvHeads, headWidth, layers } = config;
  const layout = layoutOf(layers, shape);
  const { first, count } = layout.fills[layout.boundary]!;
  const members = (store: number) => readersOf(layout, store).map((layer) => layer - shape.layers);
  const stores = Array.from({ length: count }, (_, i) => ({
    cross: members(first + i).map((at) => cross[at]!),
    squares: members(first + i).map((at) => squares[at]!),
  }));
  return { size: Math.sqrt(gram.length), columns: 2 * kvHeads * headWidth, gram, ridge, stores };
}

/** [D + 1, N], or [D, N] without the constant → weights [N, D] in f16 and the constants. */
function storeOf(map: Float64Array, { hiddenSize: depth, kvHeads, headWidth }: ModelConfig): FittedStore {
  const columns = 2 * kvHeads * headWidth;
  const weights = new Uint16Array(columns * depth);
  for (let k = 0; k < depth; k++)
    for (let n = 0; n < columns; n++) weights[n * depth + k] = halfBits(map[k * columns + n]!);
  const bias = new Float32Array(columns);
  bias.set(map.subarray(depth * columns));
  return { weights, bias };
}

const float = new Float32Array(1);
const word = new Uint32Array(float.buffer);

/** The bits of the nearest f16, ties to even. */
export function halfBits(value: number): number {
  float[0] = value;
  const sign = (word[0]! >>> 16) & 0x8000;
  const size = Math.abs(float[0]);
  if (size >= 65520) return sign | 0x7c00;
  const exponent = Math.max(-14, Math.floor(Math.log2(size || 1e-30)));
  const steps = size / 2 ** (exponent - 10); // exact: a power of two
  const floor = Math.floor(steps);
  const rest = steps - floor;
  const rounded = floor + (rest > 0.5 || (rest === 0.5 && floor % 2 === 1) ? 1 : 0);
  return sign | (((exponent + 15) << 10) + rounded - 1024);
}

// ---- progress ----

type Phase = CalibrationProgress["phase"];

/** Of a phase of `all` steps, how many are done → the caller, with the time that the rest will take. */
function reporter(totalTokens: number, onProgress: Calibration["onProgress"]) {
  return (phase: Phase, all: number) => {
    const began = performance.now();
    return (done: number): void => {
      const seconds = (performance.now() - began) / 1000;
      const secondsLeft = done > 0 ? (seconds * (all - done)) / done : null;
      onProgress?.({ phase, tokens: phase === "read" ? done : totalTokens, totalTokens, secondsLeft });
    };
  };
}
