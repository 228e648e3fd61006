// Row after row of a quality report: its engine, what it makes of the material, and how near that is to the dense model.

import { parseRecipe } from "../../src/recipes.ts";
import type { Engine } from "../../src/index.ts";
import { explore, meanEqual, totalCost } from "./measure.ts";
import type { Findings, Found, Material, Measure } from "./measure.ts";
import { divergence, likeliest, mean, surprise } from "./metrics.ts";
import type { QualityProgress, QualityRow } from "./result.ts";
import type { Row } from "./rows.ts";
import type { Window } from "./texts.ts";

export interface Comparison {
  dense: Engine;
  rows: readonly Row[];
  material: Material;
  measures: readonly Measure[];
  signal: AbortSignal | undefined;
  /** The engine of a row. It is given back before the next one is opened. */
  open: (row: Row) => Promise<Engine>;
  report: (progress: QualityProgress) => void;
  onRow: (row: QualityRow) => void;
}

/** Dense first, then row after row. */
export async function compareAll(comparison: Comparison): Promise<void> {
  const { dense, rows, material, measures, signal, open, report, onRow } = comparison;
  const clock = new Clock((1 + rows.length) * totalCost(material, measures), report);
  const kept = material.windows.map((): Float32Array[] => []);
  const run = { material, measures, signal };
  const onDense = (window: number, _: number, logits: Float32Array): void => void kept[window]!.push(logits);
  const base = await explore({ ...run, engine: dense, onLogits: onDense, onStep: clock.of("dense f16") });
  for (const row of rows) {
    clock.open(`${row.text}: compiling`);
    const engine = await open(row);
    try {
      const nearness = new Nearness(material.windows, kept);
      const onLogits = nearness.add.bind(nearness);
      const findings = await explore({ ...run, engine, onLogits, onStep: clock.of(row.text) });
      onRow(judge(row, engine, { measures, material, findings, base, nearness }));
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
  measures: readonly Measure[];
  material: Material;
  findings: Findings;
  base: Findings;
  nearness: Nearness;
}

function judge(row: Row, { model }: Engine, { measures, material, findings, base, nearness }: Evidence): QualityRow {
  const has = (measure: Measure): boolean => measures.includes(measure);
  const timed = has("ce") || has("greedy");
  const recipe = parseRecipe(model.kv);
  const bytes = material.windows.map(({ prompt }) => recipe.price(model.kvShape, prompt.length).kvBytesPerToken);
  const { ce, kl, top1 } = nearness;
  return {
    row: row.text,
    ...(has("ce") && { tokens: ce.length, ce: mean(ce), kl: mean(kl), top1: mean(top1) }),
    ...(has("greedy") && { greedy: meanEqual(findings.replies, base.replies) }),
    ...(has("needle") && needleFigures(findings)),
    ...(has("second") && { second: mean(findings.seconds.map(({ right }) => right)) }),
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
  readonly #report: Comparison["report"];
  readonly #started = performance.now();
  #before = 0;
  #done = 0;

  constructor(total: number, report: Comparison["report"]) {
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
