// The result of recipes and SwiftKV shapes side by side as charts and tables.

import { variantName } from "./compare.ts";
import type { CompareResult, CompareRow, CompareVariant } from "./compare.ts";
import type { Spread } from "./measure.ts";
import { make } from "../shared/dom.ts";
import { bytes, count, figure, percent } from "../shared/numbers.ts";
import { linesPlot, marker } from "./plot.ts";
import type { Line, LinesOptions } from "./plot.ts";
import { downloads, factList, heading, table } from "./report.ts";

/** Fills `target`. `name` = the model as people call it. */
export function showComparison(target: HTMLElement, result: CompareResult, name: string): void {
  target.replaceChildren(
    ...heading(result, `${name}, side by side`),
    summary(result),
    machine(result),
    charts(result),
    speeds(result),
    memory(result),
    downloads(result),
  );
}

/** Finer than elsewhere, since neighbours are compared: 763 ms, 1.22 s. */
const duration = (milliseconds: number): string =>
  milliseconds < 950 ? `${Math.round(milliseconds)} ms` : `${figure(milliseconds / 1000)} s`;
/** The labels of an axis that ends at `top`, all in the same unit. */
const axisIn =
  (top: number) =>
  (milliseconds: number): string =>
    top >= 1000 ? `${round(milliseconds / 1000)} s` : `${round(milliseconds)} ms`;
const round = (value: number): number => Number(value.toPrecision(6));
const times = (value: number): string => `${value.toFixed(2)} ×`;
const perToken = (milliseconds: number): string => `${figure(milliseconds)} ms`;
const span = ({ min, max }: { min: number; max: number }): string => `${duration(min)} – ${duration(max)}`;

const last = (variant: CompareVariant): CompareRow => variant.rows.at(-1)!;

/** The summary in a sentence or two, at the longest prompt: who reads fastest, and who writes fastest. */
const summary = (result: CompareResult): HTMLElement =>
  make("p", { className: "lead", textContent: [...readingText(result), ...writingText(result)].join(" ") });

function readingText({ variants, options }: CompareResult): string[] {
  const students = variants.filter(({ swiftkv }) => swiftkv);
  if (students.length === 0) return [];
  const fastest = students.reduce((best, variant) => (last(variant).speedup > last(best).speedup ? variant : best));
  const dense = variants.find(({ swiftkv, kv }) => !swiftkv && kv === fastest.kv) ?? variants[0]!;
  const { promptTokens, firstTokenMs, speedup, predictedSpeedup } = last(fastest);
  return [
    `A prompt of ${count(promptTokens)} tokens is read in ${duration(firstTokenMs.median)} with ${variantName(fastest, options.kv)} and in ${duration(last(dense).firstTokenMs.median)} by the dense model: ${times(speedup)} the speed, where counting operations predicts ${times(predictedSpeedup)}.`,
  ];
}

function writingText({ variants, options }: CompareResult): string[] {
  if (options.kv.length === 1) return [];
  const [first] = variants as [CompareVariant];
  const fastest = variants.reduce((best, each) =>
    last(each).decodeMs.median < last(best).decodeMs.median ? each : best,
  );
  if (fastest === first) return [];
  const share = percent((100 * last(fastest).promptBytes) / last(first).promptBytes);
  return [
    `After ${count(last(first).promptTokens)} tokens a new one takes ${perToken(last(fastest).decodeMs.median)} with ${variantName(fastest, options.kv)} and ${perToken(last(first).decodeMs.median)} with ${variantName(first, options.kv)}; the prompt takes ${share} of its bytes.`,
  ];
}

function machine({ measured, memory, model, browser, options, interleaved }: CompareResult): HTMLElement {
  return factList([
    ["Copy bandwidth", `${figure(measured.copyGBs)} GB/s`],
    ["FMA peak", `${figure(measured.fmaGflops)} GFLOP/s`],
    ["Layers", count(model.layers)],
    ["Weights", bytes(memory.weightBytes)],
    ["Keys and values", options.kv.join(", ")],
    ["Context", `${count(model.context)} tokens`],
    ["Order of runs", interleaved ? "interleaved" : "not interleaved"],
    ["Browser", browser.replace("/", " ")],
  ]);
}

// Charts

function charts(result: CompareResult): HTMLElement {
  const { variants, options } = result;
  const shaped = options.kv.filter((recipe) => variants.some(({ swiftkv, kv }) => swiftkv && kv === recipe));
  const shown = variants.filter(({ kv }) => shaped.includes(kv));
  const top = Math.max(...shown.flatMap(({ rows }) => rows.map((row) => row.firstTokenMs.max)));
  const figures = shaped.map((kv) =>
    readingChart(
      options.kv.length > 1 ? `Time to the first token, ${kv}` : "Time to the first token",
      variants.filter((variant) => variant.kv === kv),
      top,
    ),
  );
  return make("div", { className: "charts" }, ...figures, chart(writing(result)), chart(storage(result)));
}

/** A line for each variant with the FLOP model's dashed beside it. */
const readingChart = (title: string, variants: readonly CompareVariant[], top: number): HTMLElement =>
  chart({
    title,
    note: " by length of prompt. Dashed: what counting operations predicts.",
    lines: variants.map(lineOf),
    top,
    format: duration,
    axis: axisIn(top),
  });

/** The cost of context: a line that does not rise has none. */
export const writing = (result: CompareResult): Chart =>
  ofAll(result, ({ decodeMs }) => decodeMs, {
    title: "A new token",
    note: " after so many tokens",
    format: perToken,
    axisIn,
  });

export const storage = (result: CompareResult): Chart =>
  ofAll(result, ({ promptBytes: y }) => ({ median: y, min: y, max: y }), {
    title: "Keys and values",
    note: " of a prompt of so many tokens",
    format: bytes,
    axisIn: () => bytes,
  });

/** A line for each variant, whatever its recipe. */
function ofAll(
  { variants, options }: CompareResult,
  figureOf: (row: CompareRow) => Pick<Spread, "median" | "min" | "max">,
  { axisIn, ...texts }: Pick<Chart, "title" | "note" | "format"> & { axisIn: (top: number) => Chart["axis"] },
): Chart {
  const lines = variants.map((variant, index) => ({
    name: variantName(variant, options.kv),
    index,
    points: variant.rows.map((row) => ({ x: row.promptTokens, ...figureOf(row), predicted: null })),
  }));
  const top = Math.max(...lines.flatMap(({ points }) => points.map(({ max }) => max)));
  return { ...texts, lines, top, axis: axisIn(top) };
}

export interface Chart extends LinesOptions {
  /** What the caption says after the title. */
  note: string;
}

/** Lines by length of prompt; the legend hides and shows them. */
function chart({ note, ...options }: Chart): HTMLElement {
  const { title, lines, format } = options;
  const { svg, groups } = linesPlot(options);
  const keys = lines.map((line, index) => key(line, groups[index]!, format));
  const caption = make("figcaption", {}, make("strong", { textContent: title }), note);
  const longest = count(lines[0]!.points.at(-1)!.x);
  const legend = make("p", { className: "hint", textContent: `At ${longest} tokens:` });
  const element = make("figure", {}, caption, legend, make("ul", { className: "keys" }, ...keys));
  caption.after(svg);
  return element;
}

function lineOf({ swiftkv, kv, rows }: CompareVariant, index: number): Line {
  const points = rows.map(({ promptTokens, firstTokenMs, predictedMs }) => ({
    x: promptTokens,
    ...firstTokenMs,
    predicted: swiftkv ? predictedMs : null,
  }));
  return { name: variantName({ swiftkv, kv }, [kv]), index, points };
}

function key(line: Line, group: SVGGElement, format: (value: number) => string): HTMLElement {
  const box = make("input", { type: "checkbox", checked: true });
  box.addEventListener("change", () => group.classList.toggle("off", !box.checked));
  const { median } = line.points.at(-1)!;
  const label = make("label", { className: "check" }, box, marker(line.index), line.name);
  return make("li", {}, label, make("span", { className: "hint", textContent: format(median) }));
}

// Tables

function speeds({ variants, skipped, options, interleaved, notes }: CompareResult): HTMLElement {
  const lengths = variants[0]!.rows.map((row) => row.promptTokens);
  const groups = lengths.map((length, at) => ({
    title: `${count(length)} tokens`,
    rows: variants.map((variant) => speedCells(variantName(variant, options.kv), variant.rows[at]!)),
  }));
  const head = [
    "Variant",
    "First token",
    "min – max",
    "Prefill tok/s",
    "Speed-up",
    "Predicted",
    "of predicted",
    "Decode, a token",
    "to dense",
  ];
  const order = interleaved
    ? "The variants took turns run by run."
    : "The caches do not fit together, so the variants were measured one after the other, not interleaved.";
  const left = skipped.length > 0 ? [`Beyond the context, left out: ${skipped.map(count).join(", ")}.`] : [];
  const note = [
    `${options.runs === 1 ? "One run" : `Median of ${options.runs} runs`} after ${options.warmups} to warm up, ${options.newTokens} new tokens each, nothing reused.`,
    order,
    "Speed-up, prediction and decode are against the dense model with the same recipe, or where that is not here, with the first one.",
    ...notes,
    ...left,
  ];
  return table("Speed", head, groups, note.join(" "));
}

const speedCells = (name: string, row: CompareRow): string[] => [
  name,
  duration(row.firstTokenMs.median),
  span(row.firstTokenMs),
  figure(row.prefill.median),
  times(row.speedup),
  times(row.predictedSpeedup),
  percent(100 * row.ofPredicted),
  perToken(row.decodeMs.median),
  times(row.decodeToDense),
];

function memory({ variants, options, model }: CompareResult): HTMLElement {
  const rows = variants.map((variant) => [
    variantName(variant, options.kv),
    `${count(variant.kvBytesPerToken)} B`,
    percent(100 * variant.kvToDense),
    bytes(variant.kvBytes),
  ]);
  const head = ["Variant", "Bytes a token", "of dense", `Cache for ${count(model.context)} tokens`];
  return table("Keys and values", head, [{ rows }], "The cache is what was allocated.");
}
