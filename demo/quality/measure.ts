// What one engine makes of the material: its logits for given continuations, its replies, and whether it finds what it is
// asked for. Everything goes through generation or `evaluate`, never through `score`: see docs/quality.md.

import type { Engine, Evaluation } from "../../src/index.ts";
import { equalLength, likeliest, mean } from "./metrics.ts";
import { promptOf, replyOf } from "./probes.ts";
import type { Probe } from "./probes.ts";
import type { Question } from "./questions.ts";
import type { Window } from "./texts.ts";

export const MEASURES = ["ce", "greedy", "needle", "second", "qa"] as const;
export type Measure = (typeof MEASURES)[number];

/** Tokens of a greedy reply: the most that its equal part can be. */
export const GREEDY_TOKENS = 64;

export interface Material {
  windows: readonly Window[];
  needles: readonly Probe[];
  /** For Fable only. */
  notes: readonly Probe[];
  /** Asked after another question about the same text has been answered. */
  seconds: readonly Probe[];
  questions: readonly Question[];
}

/** Shares from 0 to 1. */
export interface Found {
  length: number;
  depth: number;
  /** Of the value's tokens, those that are the likeliest after the ones before. */
  right: number;
  /** All of them are: greedy decoding gives the value. */
  exact: boolean;
}

export interface Times {
  prefillMs: number[];
  /** Per token after the first. */
  decodeMs: number[];
}

export interface Findings extends Times {
  /** Greedy replies to the windows. */
  replies: number[][];
  needles: Found[];
  notes: Found[];
  seconds: Found[];
  /** Whether the right answer was the likeliest. */
  answers: boolean[];
}

export interface Run {
  engine: Engine;
  material: Material;
  measures: readonly Measure[];
  signal: AbortSignal | undefined;
  /** Hears the logits [V] before token `index` of a window's continuation. */
  onLogits: (window: number, index: number, logits: Float32Array) => void;
  /** Called before each piece of work, and at the end, with the cost of all that is done. */
  onStep: (step: string, done: number) => void;
}

const DECODE_COST = 6; // of a decoded token, in prompt tokens
const costOf = (prompt: number, decoded: number): number => prompt + DECODE_COST * decoded;
const QUESTION_COST = 4 * costOf(110, 8);

/** Of a whole run, in prompt tokens. */
export function totalCost(
  { windows, needles, notes, seconds, questions }: Material,
  measures: readonly Measure[],
): number {
  const sum = (costs: number[]): number => costs.reduce((all, cost) => all + cost, 0);
  const of: Record<Measure, () => number> = {
    ce: () => sum(windows.map(windowCost)),
    greedy: () => sum(windows.map(replyCost)),
    needle: () => sum([...needles, ...notes].map(probeCost)),
    second: () => sum(seconds.map(probeCost)),
    qa: () => QUESTION_COST * questions.length,
  };
  return sum(measures.map((measure) => of[measure]()));
}

const windowCost = ({ prompt, continuation }: Window): number => costOf(prompt.length, continuation.length);
const replyCost = ({ prompt }: Window): number => costOf(prompt.length, GREEDY_TOKENS);
const probeCost = ({ prompt, lead, value }: Probe): number => costOf(prompt.length, lead.length + value.length);

/** Runs everything that is asked for. */
export async function explore(run: Run): Promise<Findings> {
  const { material, measures } = run;
  const findings: Findings = {
    prefillMs: [],
    decodeMs: [],
    replies: [],
    needles: [],
    notes: [],
    seconds: [],
    answers: [],
  };
  const walk = new Walk(run);
  if (measures.includes("ce"))
    for (const [i, window] of material.windows.entries())
      await walk.step(`text ${i + 1} of ${material.windows.length}`, windowCost(window), () =>
        readWindow(run, i, measures.includes("greedy") ? null : findings),
      );
  if (measures.includes("greedy"))
    for (const [i, window] of material.windows.entries())
      await walk.step(`reply ${i + 1} of ${material.windows.length}`, replyCost(window), async () => {
        findings.replies.push(await reply(run, window, findings));
      });
  const asked = [["needle", "needles"] as const, ["needle", "notes"] as const, ["second", "seconds"] as const];
  for (const [measure, kind] of asked)
    if (measures.includes(measure))
      for (const [i, probe] of material[kind].entries())
        await walk.step(`${kind} ${i + 1} of ${material[kind].length}`, probeCost(probe), async () => {
          findings[kind].push(await find(run, probe));
        });
  if (measures.includes("qa"))
    for (const [i, question] of material.questions.entries())
      await walk.step(`question ${i + 1} of ${material.questions.length}`, QUESTION_COST, async () => {
        findings.answers.push(await answer(run, question));
      });
  walk.end();
  return findings;
}

/** Says what is being done, and how much has been. */
class Walk {
  readonly #run: Run;
  #done = 0;

  constructor(run: Run) {
    this.#run = run;
  }

  async step(name: string, cost: number, work: () => Promise<void>): Promise<void> {
    this.#run.signal?.throwIfAborted();
    this.#run.onStep(name, this.#done);
    await work();
    this.#done += cost;
  }

  end(): void {
    this.#run.onStep("done", this.#done);
  }
}

const signalOf = ({ signal }: Run): { signal?: AbortSignal } => (signal ? { signal } : {});

/** `times`: where no reply will be timed. Logits on their way back make tokens slower. */
async function readWindow(run: Run, index: number, times: Times | null): Promise<void> {
  const { prompt, continuation } = run.material.windows[index]!;
  const onLogits = (logits: Float32Array, at: number): void => run.onLogits(index, at, logits);
  const evaluation = await run.engine.evaluate(prompt, continuation, { onLogits, ...signalOf(run) });
  if (times) note(times, evaluation, continuation.length);
}

function note(times: Times, { prefillMs, decodeMs }: Pick<Evaluation, "prefillMs" | "decodeMs">, tokens: number): void {
  times.prefillMs.push(prefillMs);
  if (tokens > 1) times.decodeMs.push(decodeMs / (tokens - 1));
}

async function reply(run: Run, { prompt }: Window, times: Times): Promise<number[]> {
  const session = run.engine.session();
  try {
    const options = { maxTokens: GREEDY_TOKENS, temperature: 0, ignoreEnd: true, reuse: false, ...signalOf(run) };
    const { tokens, stats, finish } = await session.generate({ tokens: prompt }, options).result;
    if (finish === "abort") throw new DOMException("quality: stopped", "AbortError");
    note(times, stats, tokens.length);
    return tokens;
  } finally {
    session.dispose();
  }
}

async function find(run: Run, { length, depth, prompt, lead, value }: Probe): Promise<Found> {
  const hits: number[] = [];
  const onLogits = (logits: Float32Array, index: number): void => {
    const at = index - lead.length;
    if (at >= 0) hits.push(likeliest(logits) === value[at] ? 1 : 0);
  };
  await run.engine.evaluate(prompt, [...lead, ...value], { onLogits, ...signalOf(run) });
  return { length, depth, right: mean(hits), exact: hits.every((hit) => hit === 1) };
}

async function answer(run: Run, { passage, question, lead, answer: right, wrong }: Question): Promise<boolean> {
  const prompt = promptOf(run.engine, passage, question);
  const likelihoods: number[] = [];
  for (const choice of [right, ...wrong]) {
    const parts = replyOf(run.engine, lead, choice);
    const { logprobs } = await run.engine.evaluate(prompt, [...parts.lead, ...parts.value], signalOf(run));
    likelihoods.push(mean(logprobs.slice(parts.lead.length)));
  }
  const [own, ...others] = likelihoods;
  return others.every((other) => own! > other);
}

/** Mean tokens until the first difference. */
export const meanEqual = (replies: readonly number[][], others: readonly number[][]): number =>
  mean(replies.map((tokens, i) => equalLength(tokens, others[i]!)));
