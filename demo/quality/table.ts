// The figures of a quality report as texts: a column for each measure that was made.

import { count, figure, percent } from "../shared/numbers.ts";
import { GREEDY_TOKENS } from "./measure.ts";
import type { QualityResult, QualityRow } from "./result.ts";

interface Column {
  title: string;
  /** null: not measured. */
  text: (row: QualityRow) => string | null;
}

const of = (value: number | undefined, show: (value: number) => string): string | null =>
  value === undefined ? null : show(value);

const share = (value: number): string => percent(100 * value);
const milliseconds = (value: number): string => `${figure(value)} ms`;
/** Differences between rows are small, and count down to 1e-5. */
const nats = (value: number): string => value.toFixed(4);
/** 0, 0.0003, 0.0123, 1.23 */
export const small = (value: number): string =>
  value === 0 ? "0" : value < 1e-4 ? value.toExponential(1) : value.toFixed(value < 1 ? 4 : 2);

const COLUMNS: readonly Column[] = [
  { title: "Row", text: ({ row }) => row },
  { title: "Bytes a token", text: ({ bytesPerToken }) => count(bytesPerToken) },
  { title: "Cross-entropy", text: ({ ce }) => of(ce, nats) },
  { title: "Perplexity", text: ({ ce }) => of(ce, (value) => Math.exp(value).toFixed(3)) },
  { title: "KL", text: ({ kl }) => of(kl, small) },
  { title: "Top-1", text: ({ top1 }) => of(top1, share) },
  { title: `Greedy of ${GREEDY_TOKENS}`, text: ({ greedy }) => of(greedy, figure) },
  { title: "Needle", text: ({ needle }) => of(needle, share) },
  { title: "exact", text: ({ needleExact }) => of(needleExact, share) },
  { title: "Notes", text: ({ notes }) => of(notes, share) },
  { title: "Second", text: ({ second }) => of(second, share) },
  { title: "QA", text: ({ qa }) => of(qa, share) },
  { title: "Prefill", text: ({ prefillMs }) => of(prefillMs, milliseconds) },
  { title: "Decode", text: ({ decodeMs }) => of(decodeMs, milliseconds) },
];

export interface Table {
  head: string[];
  rows: string[][];
}

export function tableOf({ rows }: QualityResult): Table {
  const columns = COLUMNS.filter(({ text }) => rows.some((row) => text(row) !== null));
  return {
    head: columns.map(({ title }) => title),
    rows: rows.map((row) => columns.map(({ text }) => text(row) ?? "–")),
  };
}

/** Needles by length and depth: a line for each row of the report. */
export function needleTable({ rows }: QualityResult): Table | null {
  const [first] = rows;
  if (!first?.needleGrid || first.needleGrid.length < 2) return null;
  const cells = (row: QualityRow): string[] => (row.needleGrid ?? []).map(({ right }) => share(right));
  return {
    head: ["Needles", ...first.needleGrid.map(({ length, depth }) => `${count(length)} at ${count(depth)} %`)],
    rows: rows.map((row) => [row.row, ...cells(row)]),
  };
}

/** What was measured on what, in a sentence. */
export function noteOf({ options, rows }: QualityResult): string {
  const { texts, prompt, continuation } = options;
  const tokens = rows[0]?.tokens;
  const scored = tokens === undefined ? "" : `: ${count(tokens)} tokens, decoded through the cache`;
  return `Texts: ${texts.join(", ")}; prompts of ${count(prompt)} tokens, continuations of up to ${count(continuation)}${scored}. KL, top-1 and greedy are against the dense model with f16 keys and values.`;
}
