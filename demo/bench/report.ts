// A benchmark result as tables and charts.

import type { CompareResult } from "./compare.ts";
import type { BenchResult } from "./measure.ts";
import type { QualityResult } from "../quality/result.ts";
import { button, make, saveFile } from "../shared/dom.ts";
import { bytes, count, figure, percent, seconds } from "../shared/numbers.ts";
import { plot } from "./plot.ts";

/** Fills `target`. `name` = the model as people call it. */
export function showResult(target: HTMLElement, result: BenchResult, name: string): void {
  target.replaceChildren(
    ...heading(result, name),
    machine(result),
    charts(result),
    speeds(result),
    ...result.kernels.map((kernels) => kernelTable(kernels, result.measured)),
    downloads(result),
  );
}

/** What was measured where, and whether the result is meaningful. */
export function heading({ adapter }: Pick<BenchResult, "adapter">, name: string): HTMLElement[] {
  const title = make("h2", { textContent: `${name} on ${adapter.name}` });
  return adapter.software ? [title, make("p", { className: "warning", textContent: SOFTWARE })] : [title];
}

export const downloads = (result: BenchResult | CompareResult | QualityResult): HTMLElement =>
  make(
    "div",
    { className: "actions" },
    button("Download JSON", "quiet", () => download(result)),
  );

const SOFTWARE = "A software adapter: these figures say whether it works, not how fast a GPU would be.";

function machine({ measured, memory, loadMs, browser, options, model }: BenchResult): HTMLElement {
  const facts: readonly [string, string][] = [
    ["Copy bandwidth", `${figure(measured.copyGBs)} GB/s`],
    ["FMA peak", `${figure(measured.fmaGflops)} GFLOP/s`],
    ["One dispatch", `${figure(measured.dispatchMicros)} µs`],
    ["Weights", bytes(memory.weightBytes)],
    ["Keys and values", `${options.kv}, ${bytes(memory.kvBytesPerToken)} a token`],
    ["Context", `${count(model.context)} tokens`],
    ["Loaded in", seconds(loadMs)],
    ["Browser", browser.replace("/", " ")],
  ];
  return factList(facts);
}

export function factList(facts: readonly (readonly [string, string])[]): HTMLElement {
  const pairs = facts.map(([term, value]) =>
    make("div", {}, make("dt", { textContent: term }), make("dd", { textContent: value })),
  );
  return make("dl", { className: "machine" }, ...pairs);
}

function charts({ rows }: BenchResult): HTMLElement {
  const chart = (title: string, phase: "prefill" | "decode"): HTMLElement => {
    const points = rows.map((row) => ({ x: row.promptTokens, ...row[phase] }));
    const figureElement = make(
      "figure",
      {},
      make("figcaption", {}, make("strong", { textContent: title }), " tokens a second, by length of context"),
    );
    figureElement.append(plot({ title, unit: "tokens a second", className: phase, points }));
    return figureElement;
  };
  return make("div", { className: "charts" }, chart("Prefill", "prefill"), chart("Decode", "decode"));
}

function speeds({ rows, skipped, options }: BenchResult): HTMLElement {
  const first = count(rows[0]?.promptTokens ?? 0);
  const body = rows.map((row) => [
    count(row.promptTokens),
    figure(row.prefill.median),
    `${figure(row.prefill.min)} – ${figure(row.prefill.max)}`,
    figure(row.prefill.gflops),
    shareOf(row.prefill.percentOfFma, row.prefill.fmaGflops),
    seconds(row.firstTokenMs),
    figure(row.decode.median),
    `${figure(row.decode.min)} – ${figure(row.decode.max)}`,
    figure(row.decode.gbs),
    shareOf(row.decode.percentOfCopy, row.decode.copyGBs),
    `${row.decodeToFirst.toFixed(2)} ×`,
  ]);
  const head = [
    "Context",
    "Prefill tok/s",
    "min – max",
    "GFLOP/s",
    "of FMA peak",
    "First token",
    "Decode tok/s",
    "min – max",
    "GB/s",
    "of copy peak",
    `to ${first}`,
  ];
  const last = ` The last column: time of a new token against that at ${first}.`;
  const left = skipped.length > 0 ? ` Beyond the context, left out: ${skipped.map(count).join(", ")}.` : "";
  const timed = options.decodeRuns === options.runs ? "" : ` of prefill and ${options.decodeRuns} of decode`;
  const each = options.runs === 1 ? "One run" : `Median of ${options.runs} runs`;
  const runs = `${each}${timed} after ${options.warmups} to warm up, ${options.newTokens} new tokens each. Prompts are read anew every time; new tokens are written at all lengths in turn. Shares are of what the adapter could do just before each run, which stands beside them; where a run beat it, the machine was unsteady.`;
  return table("Speed", head, [{ rows: body }], runs + last + left);
}

/** A share of a peak, with the peak. */
const shareOf = (share: number, peak: number): string =>
  `${share > 100 ? "unsteady," : `${percent(share)} of`} ${figure(peak)}`;

function kernelTable(
  { phase, tokens, rows }: BenchResult["kernels"][number],
  peak: BenchResult["measured"],
): HTMLElement {
  const total = rows.reduce((sum, row) => sum + row.microseconds, 0);
  const body = rows.map((row) => {
    const gbs = row.bytes / row.microseconds / 1e3;
    const gflops = row.flops / row.microseconds / 1e3;
    // A kernel is compared with the limit that it is closer to.
    const share = Math.max(gbs / peak.copyGBs, gflops / peak.fmaGflops);
    const time = [figure(row.microseconds / 1e3), percent((100 * row.microseconds) / total)];
    return [
      row.label,
      row.kernel,
      count(row.calls),
      ...time,
      figure(gbs),
      figure(gflops),
      share > 1 ? "unsteady" : percent(100 * share),
    ];
  });
  const head = ["Step", "Kernel", "Calls", "ms", "of all", "GB/s", "GFLOP/s", "of peak"];
  const title =
    phase === "prefill"
      ? `Kernels, prefill of ${count(tokens)} tokens`
      : `Kernels, one new token after ${count(tokens)}`;
  return table(
    title,
    head,
    [{ rows: body }],
    `${figure(total / 1e3)} ms together. Peak is copy bandwidth (${figure(peak.copyGBs)} GB/s) or FMA (${figure(peak.fmaGflops)} GFLOP/s), whichever is nearer.`,
    "kernels",
  );
}

/** Rows that belong together, below a title of their own if they have one. */
export interface RowGroup {
  title?: string;
  rows: readonly string[][];
}

export function table(
  title: string,
  head: readonly string[],
  groups: readonly RowGroup[],
  note: string,
  className = "",
): HTMLElement {
  const heads = head.map((text) => make("th", { textContent: text, scope: "col" }));
  const grid = make(
    "table",
    { className },
    make("caption", { textContent: title }),
    make("thead", {}, make("tr", {}, ...heads)),
    ...groups.map((group) => bodyOf(group, head.length)),
  );
  const frame = make(
    "div",
    { className: "frame", tabIndex: 0, attributes: { role: "region", "aria-label": title } },
    grid,
  );
  return make("section", {}, frame, make("p", { className: "hint", textContent: note }));
}

function bodyOf({ title, rows }: RowGroup, columns: number): HTMLElement {
  const body = make("tbody", {}, ...rows.map((texts) => make("tr", {}, ...cells(texts))));
  if (title !== undefined)
    body.prepend(make("tr", {}, make("th", { textContent: title, scope: "rowgroup", colSpan: columns })));
  return body;
}

const cells = (texts: readonly string[]): HTMLElement[] =>
  texts.map((text, index) =>
    index === 0 ? make("th", { textContent: text, scope: "row" }) : make("td", { textContent: text }),
  );

function download(result: BenchResult | CompareResult | QualityResult): void {
  const kind = "kind" in result ? `-${result.kind}` : "";
  const name = `longprompt-${result.model.name}${kind}-${result.date.slice(0, 10)}.json`;
  saveFile(new Blob([JSON.stringify(result, null, 2)], { type: "application/json" }), name);
}
