// What the GPU tests call inside the page.
import {
  convert,
  distil,
  exportStudent,
  load,
  sampleChats,
  saveCheckpoint,
  saveStudent,
  shareLayers,
} from "../src/index.ts";
import type {
  CalibrationProgress,
  ChatCompletion,
  ChatCompletionChunk,
  ChatCompletionRequest,
  ConvertOptions,
  DistilOptions,
  DistilProgress,
  EngineStats,
  GenerateOptions,
  LoadOptions,
  Prompt,
  SampleOptions,
  SwiftKv,
  ShareOptions,
} from "../src/index.ts";
import { devices } from "./device.ts";
import { losses } from "./lost.ts";
import { memory, starving } from "./memory.ts";
import { liveBuffers } from "./live.ts";
import { checkSampling } from "./kernels/sample_chain.ts";
import { allSpecs } from "./kernels/index.ts";
import { type KernelSpec, moreProblemsOf, problemsOf } from "./kernels/spec.ts";
import { starting, workers } from "./workers.ts";
import { gpus } from "./tuning/gpu.ts";
import { pictures } from "./pictures.ts";
import { pipelinesCompiled, report, reportProgress } from "./progress.ts";
import { savingIn } from "./saving.ts";
import { openDevice, sharedDevice } from "./shared.ts";

reportProgress();

// Systems for tests make themselves known to recipes.
import.meta.glob("./kv/*/system.ts", { eager: true });

/** Runs `work` on a device of the kernel's own. Returns what it complains of and what the device does; want nothing. */
async function onDevice(name: string, work: (device: GPUDevice, spec: KernelSpec) => Promise<string[]>) {
  const spec = allSpecs.find(({ kernel }) => kernel.name === name)!;
  const device = await openDevice();
  const missing = spec.kernel.features.filter((feature) => !device.features.has(feature as GPUFeatureName));
  if (missing.length > 0) return [`the adapter lacks ${missing.join(", ")}`];
  const problems: string[] = [];
  device.addEventListener("uncapturederror", (event) =>
    problems.push((event as GPUUncapturedErrorEvent).error.message),
  );
  problems.push(...(await work(device, spec)));
  device.destroy();
  return problems;
}

/** Failures of a kernel's cases and the mutants nobody caught. */
const kernel = (name: string): Promise<string[]> => onDevice(name, problemsOf);

/** Failures of the cases that only the full run takes. */
const moreCases = (name: string): Promise<string[]> => onDevice(name, moreProblemsOf);

/** Draws of the whole sampling chain against the exact distribution; want no complaints. */
async function sampling(): Promise<string[]> {
  const device = await openDevice();
  const problems = await checkSampling(device);
  device.destroy();
  return problems;
}

export interface Job {
  prompt: Prompt;
  options?: GenerateOptions;
  /** Abort after this many tokens, or (negative) after this many prefill reports. */
  abortAfter?: number;
}

export interface Answer {
  text: string;
  tokens: number[];
  logprobs: number[];
  finish: string;
  reusedTokens: number;
  evictedTokens: number;
  kvBytesPerToken: number;
  promptTokens: number[];
  attended: { partTokens: number; chosen: number[]; kept: number[]; most: number; tokens: number } | null;
}

const engines = new Map<string, Awaited<ReturnType<typeof load>>>();

interface OpenOptions extends LoadOptions {
  /** On a device without subgroups and timestamps. */
  plain?: boolean;
  /** Names of files at the source: they are fetched first, and loaded as if they were picked. */
  files?: readonly string[];
}

async function picked(source: URL, names: readonly string[]): Promise<File[]> {
  const fetched = names.map(async (name) => new File([await (await fetch(new URL(name, source))).blob()], name));
  return Promise.all(fetched);
}

/** Loads once per name; the engine stays in the page, or in a worker of it. */
async function open(
  name: string,
  source: string,
  { plain = false, files, ...options }: OpenOptions = {},
): Promise<EngineStats> {
  engines.get(name)?.dispose();
  const device = options.worker
    ? { worker: starting(name) }
    : { device: await (plain ? openDevice([]) : sharedDevice()) };
  const url = new URL(source, location.href);
  const engine = await load(files ? await picked(url, files) : url.href, { tune: "off", ...options, ...device });
  engines.set(name, engine);
  return engine.stats();
}

/** Tokens of jobs at once, or the codes of their errors, while there is no memory for buffers with this label. */
async function starved(name: string, jobs: readonly Job[], label: string): Promise<(number[] | string)[]> {
  const outcome = (each: Job) =>
    answer(name, each).then(
      ({ tokens }) => tokens,
      (error: Error & { code?: string }) => error.code ?? String(error),
    );
  return starving(await sharedDevice(), label, () => Promise.all(jobs.map(outcome)));
}

/** A second engine `name` on the weights of `from`. */
async function twin(
  name: string,
  from: string,
  swiftkv: SwiftKv | boolean,
  options: ConvertOptions = {},
): Promise<EngineStats> {
  const onProgress = ({ phase, tokens }: CalibrationProgress) => report(`calibration: ${phase}, ${tokens} tokens`);
  const engine = await convert(engines.get(from)!, swiftkv, { ...options, onProgress });
  engines.get(name)?.dispose();
  engines.set(name, engine);
  return engine.stats();
}

async function answer(name: string, { prompt, options, abortAfter = 0 }: Job): Promise<Answer> {
  const controller = new AbortController();
  const session = engines.get(name)!.session();
  let prefills = 0;
  const onPrefill = (done: number) => {
    report(`${name}: ${done} tokens of the prompt are read`);
    if (++prefills === -abortAfter) controller.abort();
  };
  const reply = session.generate(prompt, { ...options, signal: controller.signal, onPrefill });
  let seen = 0;
  let streamed = "";
  for await (const token of reply) {
    streamed += token.text;
    if (++seen === abortAfter) controller.abort();
  }
  const { text, tokens, logprobs, promptTokens, finish, stats, attended: read } = await reply.result;
  if (finish !== "abort" && streamed !== text)
    throw new Error(`streamed ${JSON.stringify(streamed)}, result ${JSON.stringify(text)}`);
  session.dispose();
  const { reusedTokens, evictedTokens, kvBytesPerToken } = stats;
  const attended = read && { ...read, chosen: [...read.chosen], kept: [...read.kept] };
  return { text, tokens, logprobs, promptTokens, finish, reusedTokens, evictedTokens, kvBytesPerToken, attended };
}

/** A reply, and how often the page's thread had a turn until its first token. */
async function turns(name: string, prompt: Prompt, options: GenerateOptions): Promise<{ turns: number; text: string }> {
  let count = 0;
  const counting = setInterval(() => count++, 0);
  let turns: number | null = null;
  const reply = engines.get(name)!.session().generate(prompt, options);
  for await (const { id } of reply) if (id >= 0) turns ??= count;
  clearInterval(counting);
  return { turns: turns!, text: (await reply.result).text };
}

export interface Completed {
  /** In the order in which they were asked for: a whole completion, or the chunks of a stream. */
  answers: (ChatCompletion | ChatCompletionChunk[])[];
  /** Of all of them together. */
  cost: Pick<EngineStats, "submits" | "readbacks" | "readbackBytes">;
  milliseconds: number;
}

/** Completions at once. */
async function complete(name: string, requests: readonly ChatCompletionRequest[]): Promise<Completed> {
  const engine = engines.get(name)!;
  const { completions } = engine.chat;
  const before = engine.stats();
  const started = performance.now();
  const answers = await Promise.all(
    requests.map(async (request) => {
      const answer = await completions.create(request);
      if ("choices" in answer) return answer;
      const chunks: ChatCompletionChunk[] = [];
      for await (const chunk of answer) chunks.push(chunk);
      return chunks;
    }),
  );
  const milliseconds = performance.now() - started;
  const after = engine.stats();
  const per = (count: keyof Completed["cost"]) => after[count] - before[count];
  const cost = { submits: per("submits"), readbacks: per("readbacks"), readbackBytes: per("readbackBytes") };
  return { answers, cost, milliseconds };
}

/** What became of loading each source and asking for two tokens: "loaded", or the name of the error. */
async function outcomes(sources: readonly string[]): Promise<string[]> {
  const device = await openDevice();
  const found: string[] = [];
  for (const source of sources) {
    try {
      const options = { device, tune: "off", kv: "f32", context: 64 } as const;
      const engine = await load(new URL(source, location.href).href, options);
      await engine
        .session()
        .generate({ tokens: [1, 3] }, { maxTokens: 2 })
        .result.finally(() => engine.dispose());
      found.push("loaded");
    } catch (error) {
      found.push(error instanceof Error && error.name !== "Error" ? error.name : String(error));
    }
  }
  device.destroy();
  return found;
}

/** The file of a calibrated student, in base64. */
const studentOf = async (name: string): Promise<string> => toBase64(await saveStudent(engines.get(name)!));

/** The files of its checkpoint, in base64. */
async function checkpointOf(name: string, source: string): Promise<Record<string, string>> {
  const files = new Map<string, Uint8Array[]>();
  for await (const { file, bytes } of saveCheckpoint(engines.get(name)!, source))
    files.set(file, [...(files.get(file) ?? []), bytes]);
  const whole = [...files].map(async ([file, pieces]): Promise<[string, string]> => {
    const joined = await new Blob(pieces as Uint8Array<ArrayBuffer>[]).arrayBuffer();
    return [file, toBase64(new Uint8Array(joined))];
  });
  return Object.fromEntries(await Promise.all(whole));
}

/** Chats that the model makes up, as tokens. */
async function chats(name: string, options: SampleOptions): Promise<number[][]> {
  const all: number[][] = [];
  for await (const chat of sampleChats(engines.get(name)!, options)) all.push(chat);
  return all;
}

function toBase64(bytes: Uint8Array): string {
  let text = "";
  for (const byte of bytes) text += String.fromCharCode(byte);
  return btoa(text);
}

/** What became of a training. */
interface Distilled {
  reports: DistilProgress[];
  /** In base64. */
  checkpoints: string[];
  /** "made", or the name and message of the error. */
  outcome: string;
  /** Buffers that are left over. */
  left: number;
}

/** Trains a student, as engine `name`. `resume` in base64; aborted at report `abortAt` (never: 0). */
async function train(
  name: string,
  from: string,
  swiftkv: SwiftKv,
  { resume, ...options }: Omit<DistilOptions, "resume"> & { resume?: string },
  abortAt = 0,
): Promise<Distilled> {
  const before = liveBuffers();
  const controller = new AbortController();
  const reports: DistilProgress[] = [];
  const checkpoints: string[] = [];
  const outcome = await distil(engines.get(from)!, swiftkv, {
    ...options,
    ...(resume === undefined ? {} : { resume: fromBase64(resume) }),
    onCheckpoint: (bytes) => void checkpoints.push(toBase64(bytes)),
    onProgress: (progress) => {
      report(`distil: ${progress.phase} ${progress.done}`);
      reports.push(progress);
      if (reports.length === abortAt) controller.abort();
    },
    signal: controller.signal,
  }).then(
    (engine) => {
      engines.get(name)?.dispose();
      engines.set(name, engine);
      return "made";
    },
    (error: Error) => `${error.name}: ${error.message}`,
  );
  return { reports, checkpoints, outcome, left: outcome === "made" ? 0 : liveBuffers() - before };
}

const fromBase64 = (text: string): Uint8Array<ArrayBuffer> => Uint8Array.from(atob(text), (c) => c.charCodeAt(0));

/** The student's file that a checkpoint holds; both in base64. */
const exported = async (name: string, checkpoint: string): Promise<string> =>
  toBase64(await exportStudent(engines.get(name)!, fromBase64(checkpoint)));

/** A calibration that is aborted at its nth report (never: 0): its reports, what it ended with, and buffers left over. */
async function calibration(
  from: string,
  swiftkv: SwiftKv,
  options: ConvertOptions,
  abortAt: number,
): Promise<{ reports: CalibrationProgress[]; outcome: string; left: number }> {
  const before = liveBuffers();
  const controller = new AbortController();
  const reports: CalibrationProgress[] = [];
  const onProgress = (progress: CalibrationProgress) => {
    reports.push(progress);
    if (reports.length === abortAt) controller.abort();
  };
  const outcome = await convert(engines.get(from)!, swiftkv, {
    ...options,
    onProgress,
    signal: controller.signal,
  }).then(
    (engine) => (engine.dispose(), "made"),
    (error: Error) => `${error.name}: ${error.message}`,
  );
  return { reports, outcome, left: liveBuffers() - before };
}

const harness = {
  ...devices,
  ...gpus,
  ...losses,
  ...memory,
  ...pictures,
  ...savingIn(sharedDevice),
  ...workers,
  studentOf,
  checkpointOf,
  chats,
  train,
  exported,
  calibration,
  kernel,
  moreCases,
  sampling,
  outcomes,
  open,
  twin,
  shareLayers: async (name: string, options: Omit<ShareOptions, "onProgress" | "signal">) => {
    const tried: number[] = [];
    const sharing = await shareLayers(engines.get(name)!, {
      ...options,
      onProgress: (at) => void tried.push(at.tried),
    });
    return { ...sharing, tried };
  },
  model: (name: string) => engines.get(name)!.model,
  answer,
  starved,
  answers: (name: string, jobs: readonly Job[]) => Promise.all(jobs.map((job) => answer(name, job))),
  tokenize: (name: string, text: string) => engines.get(name)!.tokenize(text),
  detokenize: (name: string, tokens: readonly number[]) => engines.get(name)!.detokenize(tokens),
  score: async (name: string, tokens: readonly number[]) => [...(await engines.get(name)!.score(tokens))],
  complete,
  evaluate: async (name: string, prompt: readonly number[], continuation: readonly number[], withLogits = false) => {
    const logits: number[][] = [];
    const onLogits = (row: Float32Array) => void logits.push([...row]);
    const { logprobs } = await engines.get(name)!.evaluate(prompt, continuation, withLogits ? { onLogits } : {});
    return { logprobs: [...logprobs], logits };
  },
  turns,
  stats: (name: string) => engines.get(name)!.stats(),
  pipelinesCompiled,
  profile: (name: string, phase: "prefill" | "decode", tokens: number) => engines.get(name)!.profile(phase, tokens),
  close(name: string) {
    engines.get(name)?.dispose();
    engines.delete(name);
  },
};

export type Harness = typeof harness;
Object.assign(globalThis, { harness });
