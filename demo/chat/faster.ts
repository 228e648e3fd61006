// The work behind the panel "Faster reading": switching how the model runs, comparing, fitting a student.

import { convert, InputError } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";
import type { CalibrationProgress, Engine, Prompt } from "../../src/index.ts";
import { count, seconds } from "../shared/numbers.ts";
import { SAMPLE } from "../quality/sample.ts";
import { checkText } from "../quality/texts.ts";
import type { FitText } from "./fitting.ts";
import { fitted, opened } from "./shelf.ts";
import type { Student } from "./shelf.ts";
import type { SwiftKvPanel } from "./swiftkv.ts";
import { fit, keyOf, likenessOf, readTrial, trialOf, turn } from "./twin.ts";
import type { Reading, RunMode, Trial } from "./twin.ts";

/** What the page has, and what it does with a new engine. */
export interface Host {
  engine(): Engine;
  mode(): RunMode;
  /** The engine that replaces the last one, which is disposed of. */
  adopt(engine: Engine, mode: RunMode): void;
  messages(): readonly Turn[];
  /** The conversation and what waits in the box. */
  conversation(): string;
  write(messages: readonly Turn[]): Prompt;
  panel(): SwiftKvPanel;
}

export interface Faster {
  /** Switches how the model runs. The conversation stays; the next reply processes it again. */
  takeUp(next: RunMode, signal?: AbortSignal): Promise<void>;
  /** Reads one prompt and reply both ways, then returns to the original one. */
  compare(signal: AbortSignal): Promise<void>;
  /** Fits a student of the chosen shape to a text, and goes on with it. */
  fit(text: FitText, signal: AbortSignal): Promise<void>;
  /** Goes on with a student from a file. */
  open(file: File, signal: AbortSignal): Promise<void>;
}

const nameOf = ({ swiftkv }: RunMode): string => (swiftkv ? "SwiftKV" : "Dense");

export function faster(host: Host): Faster {
  const takeUp = async (next: RunMode, signal?: AbortSignal): Promise<void> => {
    host.panel().progress(`${nameOf(next)}: preparing`, null);
    host.adopt(await turn(host.engine(), next, signal), next);
  };
  const read = async (swiftkv: boolean, trial: Trial, signal: AbortSignal): Promise<Reading> => {
    const next = host.panel().mode(swiftkv);
    if (keyOf(next) !== keyOf(host.mode())) await takeUp(next, signal);
    const onPrefill = (done: number, total: number): void =>
      host.panel().progress(`${nameOf(next)}: reading ${count(done)} of ${count(total)} tokens`, done / total);
    return readTrial(host.engine(), trial, { signal, onPrefill });
  };
  /** The engine that runs a new student, which stays at hand. */
  const goOn = (engine: Engine, kv: string, student: Student | null): void => {
    if (student) host.panel().keep(student);
    host.adopt(engine, { swiftkv: engine.model.swiftkv, kv, student });
  };
  return {
    takeUp,
    async compare(signal) {
      const here = host.mode();
      const trial = trialOf(host.engine(), host.messages(), host.write);
      try {
        const dense = await read(false, trial, signal);
        host.panel().record(dense.first);
        const student = await read(true, trial, signal);
        host.panel().record(student.first, likenessOf(dense, student));
      } finally {
        if (keyOf(host.mode()) !== keyOf(here)) await takeUp(here);
      }
      host.panel().tell(trial.builtIn ? "On a built-in story" : "On this conversation");
    },
    async fit(chosen, signal) {
      const { swiftkv, kv } = host.panel().mode(true);
      if (!swiftkv) return;
      host.panel().progress("Preparing", null);
      const text = await textOf(chosen, host);
      const started = performance.now();
      const onProgress = (progress: CalibrationProgress): void => host.panel().progress(...lineOf(progress));
      const made = await fit(host.engine(), { swiftkv, kv, student: null }, text, { signal, onProgress });
      const info = made.engine.model.calibration;
      goOn(made.engine, kv, info && fitted(swiftkv, made.file, info, performance.now() - started));
    },
    async open(file, signal) {
      host.panel().progress(`${file.name}: preparing`, null);
      const { kv } = host.panel().mode(true);
      const before = host.engine();
      const engine = await convert(before, true, { kv, student: file, signal });
      before.dispose();
      const { swiftkv } = engine.model;
      goOn(engine, kv, swiftkv && opened(swiftkv, file, engine.model));
    },
  };
}

async function textOf(chosen: FitText, host: Host): Promise<string> {
  if (chosen === "stories") return SAMPLE;
  if (chosen instanceof File) {
    const text = await chosen.text();
    checkText({ name: chosen.name, text });
    return text;
  }
  const text = host.conversation();
  if (text.trim() === "")
    throw new InputError(
      "calibrate: got an empty conversation, want one with a text. Add a long text, or choose another.",
    );
  return text;
}

function lineOf({ phase, tokens, totalTokens, secondsLeft }: CalibrationProgress): [string, number | null] {
  const left = secondsLeft === null ? "" : `, ${seconds(1000 * secondsLeft)} left`;
  if (phase === "solve") return [`Solving the equations${left}`, null];
  return [`Reading ${count(tokens)} of ${count(totalTokens)} tokens${left}`, tokens / totalTokens];
}
