// A line chart as SVG: tokens per second over context, with the spread of the runs as a band.

import { count, figure } from "./numbers.ts";

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
  const band = [
    ...points.map((point) => place(point, point.max)),
    ...points.toReversed().map((point) => place(point, point.min)),
  ];
  root.append(shape("polygon", { class: "band", points: band.join(" ") }));
  root.append(
    shape("polyline", { class: "line", points: points.map((point) => place(point, point.median)).join(" ") }),
  );
  for (const point of points) {
    root.append(shape("circle", { class: "dot", cx: x(point.x), cy: y(point.median), r: 3.5 }));
    root.append(label("value", x(point.x), y(point.max) - 9, figure(point.median)));
    root.append(label("tick", x(point.x), HEIGHT - 10, short(point.x)));
  }
  return root;
}

/** 2048 → 2K, 2016 → 2.0K */
const short = (tokens: number): string =>
  tokens < 1024 ? String(tokens) : `${tokens % 1024 === 0 ? tokens / 1024 : (tokens / 1024).toFixed(1)}K`;

function label(className: string, x: number, y: number, text: string): SVGElement {
  const element = shape("text", { class: className, x, y, "text-anchor": "middle" });
  element.textContent = text;
  return element;
}

function shape<K extends keyof SVGElementTagNameMap>(
  tag: K,
  attributes: Record<string, string | number>,
): SVGElementTagNameMap[K] {
  const element = document.createElementNS("http://www.w3.org/2000/svg", tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, String(value));
  return element;
}
