// Line charts as SVG: tokens per second over context, with the spread of the runs as a band; and several lines in one.

import { count, figure } from "../shared/numbers.ts";

export interface Series {
  title: string;
  unit: string;
  className: string;
  points: readonly { x: number; median: number; min: number; max: number }[];
}

const WIDTH = 400;
const HEIGHT = 230;
const PAD = { left: 16, right: 16, top: 40, bottom: 32 };

/** One chart. x is logarithmic, y starts at zero. */
export function plot(series: Series): SVGSVGElement {
  const { points } = series;
  const root = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: `plot ${series.className}`, role: "img" });
  root.setAttribute(
    "aria-label",
    `${series.title}: ${points.map((p) => `${count(p.x)} tokens ${figure(p.median)} ${series.unit}`).join(", ")}`,
  );
  const [first, last] = [points[0]?.x ?? 1, points.at(-1)?.x ?? 2];
  const top = Math.max(...points.map((point) => point.max)) * 1.08 || 1;
  // A single point stands in the middle.
  const share = (x: number): number => (first === last ? 0.5 : Math.log2(x / first) / Math.log2(last / first));
  const inset = 26; // room for the labels of the first and the last point
  const x = (value: number): number => PAD.left + inset + share(value) * (WIDTH - PAD.left - PAD.right - 2 * inset);
  const y = (value: number): number => HEIGHT - PAD.bottom - (value / top) * (HEIGHT - PAD.top - PAD.bottom);
  const place = (point: { x: number }, value: number): string => `${x(point.x).toFixed(1)},${y(value).toFixed(1)}`;

  for (const level of [0, 0.5, 1]) {
    const height = y((top / 1.08) * level);
    root.append(shape("line", { class: "grid", x1: PAD.left, x2: WIDTH - PAD.right, y1: height, y2: height }));
  }
  if (points.length >= LEAST_FOR_A_LINE) drawLine(root, points, place);
  for (const point of points) {
    root.append(shape("circle", { class: "dot", cx: x(point.x), cy: y(point.median), r: 3.5 }));
    root.append(label("value", x(point.x), y(point.max) - 9, figure(point.median)));
    root.append(label("tick", x(point.x), HEIGHT - 10, short(point.x)));
  }
  return root;
}

/** Two points have nothing between them that a line could show. */
const LEAST_FOR_A_LINE = 3;

function drawLine(
  root: SVGSVGElement,
  points: Series["points"],
  place: (point: { x: number }, value: number) => string,
): void {
  const band = [
    ...points.map((point) => place(point, point.max)),
    ...points.toReversed().map((point) => place(point, point.min)),
  ];
  root.append(shape("polygon", { class: "band", points: band.join(" ") }));
  root.append(
    shape("polyline", { class: "line", points: points.map((point) => place(point, point.median)).join(" ") }),
  );
}

/** 2048 → 2K, 2016 → 2.0K */
const short = (tokens: number): string =>
  tokens < 1024 ? String(tokens) : `${tokens % 1024 === 0 ? tokens / 1024 : (tokens / 1024).toFixed(1)}K`;

export function label(className: string, x: number, y: number, text: string): SVGElement {
  const element = shape("text", { class: className, x, y, "text-anchor": "middle" });
  element.textContent = text;
  return element;
}

export function shape<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}

// Several lines over a common axis, each with its prediction as a dashed line.

export interface Line {
  name: string;
  /** Colour and marker. */
  index: number;
  points: readonly { x: number; median: number; min: number; max: number; predicted: number | null }[];
}

export interface LinesOptions {
  title: string;
  lines: readonly Line[];
  /** Where the y axis ends, at least. */
  top: number;
  format: (value: number) => string;
  /** `format` for the labels of the y axis. */
  axis: (value: number) => string;
}

const ROOM = { left: 62, right: 16, top: 14, bottom: 28 };

/** Both axes are linear and start at zero. `groups`: what belongs to each line, in their order. */
export function linesPlot(options: LinesOptions): { svg: SVGSVGElement; groups: SVGGElement[] } {
  const { title, lines, top, format, axis } = options;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot lines", role: "img" });
  svg.setAttribute("aria-label", `${title}. ${lines.map((line) => spoken(line, format)).join("; ")}`);
  const xs = ticks(Math.max(...lines.flatMap(({ points }) => points.map((point) => point.x))), 2);
  const ys = ticks(top, 10);
  const x = (value: number): number => ROOM.left + (value / xs.at(-1)!) * (WIDTH - ROOM.left - ROOM.right);
  const y = (value: number): number => HEIGHT - ROOM.bottom - (value / ys.at(-1)!) * (HEIGHT - ROOM.top - ROOM.bottom);
  const groups = lines.map((line) => lineGroup(line, x, y));
  svg.append(
    ...ys.flatMap((value) => level(y(value), value === 0 ? "0" : axis(value))),
    ...xs.slice(1).map((value) => label("tick", x(value), HEIGHT - 8, short(value))),
    ...groups.toReversed(), // the first lies on top
  );
  return { svg, groups };
}

/** A line across and its label to the left. */
function level(y: number, text: string): SVGElement[] {
  const name = label("tick", ROOM.left - 8, y + 4, text);
  name.setAttribute("text-anchor", "end");
  return [shape("line", { class: "grid", x1: ROOM.left, x2: WIDTH - ROOM.right, y1: y, y2: y }), name];
}

const spoken = ({ name, points }: Line, format: (value: number) => string): string =>
  `${name}: ${points.map((point) => `${count(point.x)} tokens ${format(point.median)}`).join(", ")}`;

type Scale = (value: number) => number;

function lineGroup({ index, points }: Line, x: Scale, y: Scale): SVGGElement {
  const group = shape("g", { class: `series series-${index % COLOURS}` });
  const predicted = points.flatMap((point) => (point.predicted === null ? [] : [[x(point.x), y(point.predicted)]]));
  group.append(shape("polyline", { class: "predicted", points: stretched(predicted).join(" ") }));
  group.append(shape("polyline", { class: "line", points: points.map((p) => `${x(p.x)},${y(p.median)}`).join(" ") }));
  for (const { x: at, median, min, max } of points) {
    group.append(shape("line", { class: "whisker", x1: x(at), x2: x(at), y1: y(min), y2: y(max) }));
    group.append(shape("path", { class: "dot", d: outline(index), transform: `translate(${x(at)} ${y(median)})` }));
  }
  return group;
}

/** A single point makes no line: a dash through it instead. */
function stretched(places: readonly (readonly number[])[]): readonly (readonly number[])[] {
  const [only, ...others] = places;
  if (!only || others.length > 0) return places;
  return [-16, 16].map((aside) => [only[0]! + aside, only[1]!]);
}

/** Colours in bench.css. */
const COLOURS = 7;
/** Circle, square, triangle, diamond around the origin, so that lines differ without colour too. */
const OUTLINES = [
  "M-3.8 0a3.8 3.8 0 1 0 7.6 0a3.8 3.8 0 1 0-7.6 0z",
  "M-3.5-3.5h7v7h-7z",
  "M0-4.6L4.4 3.4h-8.8z",
  "M0-5L5 0L0 5L-5 0z",
];
export const outline = (index: number): string => OUTLINES[index % OUTLINES.length]!;

/** A line's symbol for the legend. */
export function marker(index: number): SVGSVGElement {
  const svg = shape("svg", { viewBox: "-14 -7 28 14", class: `marker plot series-${index % COLOURS}` });
  svg.setAttribute("aria-hidden", "true");
  svg.append(shape("line", { class: "line", x1: -13, x2: 13, y1: 0, y2: 0 }));
  svg.append(shape("path", { class: "dot", d: outline(index) }));
  return svg;
}

/** From 0 in at most five round steps to `most` or a little beyond: of 1, 2, 5 (base 10) or 1 (base 2) × a power of `base`. */
export function ticks(most: number, base: 2 | 10): number[] {
  const power = base ** Math.floor(Math.log(most / 4) / Math.log(base));
  const step = (base === 2 ? [1, 2] : [1, 2, 5, 10]).map((factor) => factor * power).find((size) => most / size <= 5)!;
  return Array.from({ length: Math.ceil(most / step - 1e-9) + 1 }, (_, index) => index * step);
}
