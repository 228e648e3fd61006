// Bytes per token against what they cost in quality: a point for each row of a quality report.

import { count } from "../shared/numbers.ts";
import type { QualityRow } from "../quality/report.ts";
import { small } from "../quality/table.ts";
import { label, outline, shape, ticks } from "./plot.ts";

const WIDTH = 420;
const HEIGHT = 290;
const ROOM = { left: 84, right: 24, top: 34, bottom: 46 };
/** Where the logarithmic axis ends below; what lies beneath, zero included, stands on its line. */
const FLOOR = 1e-5;

type Point = Required<Pick<QualityRow, "row" | "kl" | "bytesPerToken">>;

interface Scales {
  x: (bytes: number) => number;
  y: (kl: number) => number;
  xs: number[];
  /** Powers of ten, the floor first. */
  ys: number[];
}

function scalesOf(points: readonly Point[]): Scales {
  const xs = ticks(Math.max(...points.map(({ bytesPerToken }) => bytesPerToken)), 10);
  const top = Math.max(FLOOR * 10, ...points.map(({ kl }) => kl));
  const count = Math.ceil(Math.log10(top / FLOOR) - 1e-9);
  const ys = Array.from({ length: count + 1 }, (_, i) => FLOOR * 10 ** i);
  const x = (bytes: number): number => ROOM.left + (bytes / xs.at(-1)!) * (WIDTH - ROOM.left - ROOM.right);
  const y = (kl: number): number => {
    const share = Math.log10(Math.max(kl, FLOOR) / FLOOR) / count;
    return HEIGHT - ROOM.bottom - share * (HEIGHT - ROOM.top - ROOM.bottom);
  };
  return { x, y, xs, ys };
}

/** Rows without KL are left out; null where none has one. */
export function scatter(rows: readonly QualityRow[]): SVGSVGElement | null {
  const points = rows.flatMap(({ row, kl, bytesPerToken }) => (kl === undefined ? [] : [{ row, kl, bytesPerToken }]));
  if (points.length === 0) return null;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot scatter", role: "img" });
  svg.setAttribute("aria-label", `KL by bytes a token: ${points.map(spoken).join("; ")}`);
  const scales = scalesOf(points);
  svg.append(...axes(scales), ...points.map((point, i) => dot(point, i, scales)), ...names(points, scales));
  return svg;
}

const spoken = ({ row, kl, bytesPerToken }: Point): string =>
  `${row}: ${count(bytesPerToken)} bytes, ${small(kl)} nats`;

function axes({ x, y, xs, ys }: Scales): SVGElement[] {
  const levels = ys.map((value, i) => level(y(value), i === 0 ? `≤ ${power(value)}` : power(value)));
  const feet = xs.map((value) => label("tick", x(value), HEIGHT - ROOM.bottom + 18, count(value)));
  const titles = [
    label("tick", WIDTH / 2, HEIGHT - 6, "bytes of the cache a prompt token"),
    aligned(label("tick", 4, 14, "KL (dense‖row), nats a token"), "start"),
  ];
  return [...levels.flat(), ...feet, ...titles];
}

const power = (value: number): string => value.toFixed(Math.max(0, -Math.round(Math.log10(value))));

function level(y: number, text: string): SVGElement[] {
  const line = shape("line", { class: "grid", x1: ROOM.left, x2: WIDTH - ROOM.right, y1: y, y2: y });
  return [line, aligned(label("tick", ROOM.left - 8, y + 4, text), "end")];
}

function aligned(text: SVGElement, anchor: "start" | "end"): SVGElement {
  text.setAttribute("text-anchor", anchor);
  return text;
}

const dot = ({ kl, bytesPerToken }: Point, index: number, { x, y }: Scales): SVGElement =>
  shape("path", {
    class: "dot",
    d: outline(index),
    transform: `translate(${x(bytesPerToken)} ${y(kl)}) scale(1.3)`,
  });

interface Box {
  left: number;
  right: number;
  y: number;
}

const LINE = 15;

/** A dot, as if it were a word on its line. */
const around = (x: number, y: number): Box => ({ left: x - 7, right: x + 7, y: y + 4 });

/** Each beside its point, at the nearest height where it covers no other and no point. */
function names(points: readonly Point[], { x, y }: Scales): SVGElement[] {
  const taken = points.map(({ kl, bytesPerToken }) => around(x(bytesPerToken), y(kl)));
  return points.map(({ row, kl, bytesPerToken }) => {
    const [at, half] = [x(bytesPerToken), (row.length * 7) / 2];
    const middle = Math.min(Math.max(at, ROOM.left + half), WIDTH - ROOM.right - half);
    const heights = [-11, 20, -11 - LINE, 20 + LINE, -11 - 2 * LINE].map((aside) => y(kl) + aside);
    const box = (height: number): Box => ({ left: middle - half, right: middle + half, y: height });
    const free = heights.find((height) => !taken.some((other) => meet(other, box(height)))) ?? heights[0]!;
    taken.push(box(free));
    return label("value", middle, free, row);
  });
}

const meet = (a: Box, b: Box): boolean => a.left < b.right && b.left < a.right && Math.abs(a.y - b.y) < LINE;

const STYLE = `
svg { background: #ffffff; color: #17705f; font: 12px system-ui, sans-serif; }
text { fill: #17211e; } .tick { fill: #53615c; } .grid { stroke: #d5ddd9; } .dot { fill: currentColor; }
@media (prefers-color-scheme: dark) {
  svg { background: #1b2220; color: #5fd0b8; }
  text { fill: #e4eae7; } .tick { fill: #9daba5; } .grid { stroke: #2b3532; }
}`;

/** The drawing as a file of its own. */
export function standalone(svg: SVGSVGElement): string {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  const style = shape("style", {});
  style.textContent = STYLE;
  copy.prepend(style);
  copy.setAttribute("width", String(2 * WIDTH));
  copy.setAttribute("height", String(2 * HEIGHT));
  return `${new XMLSerializer().serializeToString(copy)}\n`;
}
