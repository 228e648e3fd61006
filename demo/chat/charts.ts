// Speed and memory over the conversation on view, reply by reply, in the settings. uPlot is fetched when they are first seen.

import type uPlot from "uplot";
import type { GenerationStats } from "../../src/index.ts";
import { find, make } from "../shared/dom.ts";
import { bytes, count, rate } from "../shared/numbers.ts";

/** A figure of each reply; null where a reply has none. */
interface Measure {
  title: string;
  of: (stats: GenerationStats) => number | null;
  write: (value: number) => string;
}

const positive = (value: number): number | null => (value > 0 ? value : null);

const MEASURES: readonly Measure[] = [
  { title: "Reading", of: (stats) => positive(stats.prefillTokensPerSecond), write: rate },
  { title: "Writing", of: (stats) => positive(stats.decodeTokensPerSecond), write: rate },
  { title: "Keys and values", of: cacheBytes, write: bytes },
];

/** Of the conversation after a reply. */
function cacheBytes({ kvBytesPerToken, promptTokens, newTokens }: GenerationStats): number {
  return kvBytesPerToken * (promptTokens + newTokens);
}

const HEIGHT = 92;

/** Connects #charts: drawn when they are on view, and again when what `replies` gives or the colours change. */
export function charts(replies: () => readonly GenerationStats[]): () => void {
  const section = find("charts", HTMLElement);
  let drawn: uPlot[] = [];
  let asked = 0;
  const draw = async (): Promise<void> => {
    const own = ++asked;
    const { default: Plot } = await import("uplot");
    if (own !== asked) return; // something newer is to be drawn
    for (const plot of drawn) plot.destroy();
    const stats = replies();
    const figures = MEASURES.map((measure) => figure(measure, stats));
    const empty = make("p", { className: "hint", textContent: "Shown from the first reply on." });
    section.replaceChildren(
      make("h3", { textContent: "Over this conversation" }),
      ...(stats.length > 0 ? [...figures.map(({ element }) => element), table(stats)] : [empty]),
    );
    drawn = stats.length > 0 ? figures.map(({ plot }) => plot(Plot, section.clientWidth)) : [];
  };
  const refresh = (): void => void (section.clientWidth > 0 && draw());
  let width = 0;
  new ResizeObserver(() => {
    if (section.clientWidth === width) return;
    width = section.clientWidth;
    refresh();
  }).observe(section);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", refresh);
  return refresh;
}

/** A curve with its last value, or that of the reply pointed at. */
function figure({ title, of, write }: Measure, replies: readonly GenerationStats[]) {
  const values = replies.map(of);
  const last = values.findLastIndex((value) => value !== null);
  const shown = make("span");
  const show = (at: number): void => {
    const value = values[at] ?? null;
    shown.textContent = value === null ? "–" : `${write(value)}${at === last ? "" : `, reply ${count(at + 1)}`}`;
  };
  show(last);
  const label = `${title} by reply: ${values.map((value) => (value === null ? "none" : write(value))).join(", ")}`;
  const canvas = make("div", { attributes: { role: "img", "aria-label": label } });
  const caption = make("figcaption", {}, make("strong", { textContent: title }), shown);
  const plot = (Plot: typeof uPlot, width: number): uPlot => {
    const numbers = values.map((_, at) => at + 1);
    const setCursor = ({ cursor }: uPlot): void => show(cursor.idx ?? last);
    return new Plot(
      { ...optionsOf(canvas, replies.length), width, hooks: { setCursor: [setCursor] } },
      [numbers, values],
      canvas,
    );
  };
  return { element: make("figure", {}, caption, canvas), plot };
}

function optionsOf(element: HTMLElement, replies: number): Omit<uPlot.Options, "width"> {
  const style = getComputedStyle(document.documentElement);
  const [ink, line, accent] = ["--muted", "--line", "--accent"].map((name) => style.getPropertyValue(name));
  const axis = {
    stroke: ink!,
    grid: { stroke: line!, width: 1 },
    ticks: { show: false },
    font: `11px ${getComputedStyle(element).fontFamily}`,
  };
  return {
    height: HEIGHT,
    legend: { show: false },
    cursor: { y: false, drag: { x: false, y: false } },
    scales: { x: { time: false, range: [0.5, replies + 0.5] }, y: { range: (_, __, most) => [0, 1.15 * (most || 1)] } },
    axes: [
      { ...axis, grid: { show: false }, size: 20, gap: 2, incrs: [1, 2, 5, 10, 20, 50, 100, 200, 500] },
      { ...axis, size: 44, gap: 4, space: 28, values: (_, ticks) => ticks.map(short) },
    ],
    series: [{}, { stroke: accent!, width: 2, points: { show: true, size: 5, fill: accent! }, spanGaps: true }],
  };
}

/** 1.2k, 340k, 5M: four characters for an axis. */
const short = (value: number): string =>
  new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 }).format(value).replace("K", "k");

/** The same in numbers. */
function table(replies: readonly GenerationStats[]): HTMLElement {
  const head = ["Reply", ...MEASURES.map(({ title }) => title)];
  const rows = replies.map((stats, at) =>
    make(
      "tr",
      {},
      make("th", { scope: "row", textContent: count(at + 1) }),
      ...MEASURES.map(({ of, write }) => {
        const value = of(stats);
        return make("td", { textContent: value === null ? "–" : write(value) });
      }),
    ),
  );
  return make(
    "details",
    { className: "folded" },
    make("summary", { textContent: "In numbers" }),
    make(
      "table",
      {},
      make("thead", {}, make("tr", {}, ...head.map((name) => make("th", { scope: "col", textContent: name })))),
      make("tbody", {}, ...rows),
    ),
  );
}
