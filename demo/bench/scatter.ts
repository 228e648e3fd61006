// Bytes per token against what they cost: in KL, in needles that are lost, in time. A point for each row of a quality report.

import { count, figure } from "../shared/numbers.ts";
import type { QualityRow } from "../quality/result.ts";
import { small } from "../quality/table.ts";
import { label, outline, shape, ticks } from "./plot.ts";

const WIDTH = 420;
const HEIGHT = 290;
const ROOM = { left: 84, right: 24, top: 34, bottom: 46 };
/** Where a logarithmic axis ends below; what lies beneath, zero included, stands on its line. */
const FLOOR = 1e-5;

interface Point {
  row: string;
  /** Of the row in the report, from 1 on: its name in the drawing. */
  number: number;
  bytes: number;
  value: number;
}

/** What a drawing has upwards. */
interface Subject {
  title: string;
  /** Above the drawing on the page. */
  better: string;
  valueOf: (row: QualityRow) => number | undefined;
  /** Whether more is better. */
  rises: boolean;
  /** Levels of the axis, the lowest first, and where a value stands between the lowest, 0, and the highest, 1. */
  axis: (values: readonly number[]) => { levels: { value: number; text: string }[]; share: (value: number) => number };
  text: (value: number) => string;
}

const power = (value: number): string => value.toFixed(Math.max(0, -Math.round(Math.log10(value))));
const percent = (value: number): string => `${Math.round(100 * value)} %`;

const logarithmic: Subject["axis"] = (values) => {
  const steps = Math.ceil(Math.log10(Math.max(FLOOR * 10, ...values) / FLOOR) - 1e-9);
  const levels = Array.from({ length: steps + 1 }, (_, i) => FLOOR * 10 ** i);
  return {
    levels: levels.map((value, i) => ({ value, text: i === 0 ? `≤ ${power(value)}` : power(value) })),
    share: (value) => Math.log10(Math.max(value, FLOOR) / FLOOR) / steps,
  };
};

const linear =
  (text: (value: number) => string, top?: number): Subject["axis"] =>
  (values) => {
    const levels = ticks(top ?? Math.max(...values), 10);
    return { levels: levels.map((value) => ({ value, text: text(value) })), share: (value) => value / levels.at(-1)! };
  };

const SUBJECTS: readonly Subject[] = [
  {
    title: "KL (dense‖row), nats a token",
    better: "lower and further left is better",
    valueOf: ({ kl }) => kl,
    rises: false,
    axis: logarithmic,
    text: (value) => `${small(value)} nats`,
  },
  {
    title: "digits of needles found",
    better: "higher and further left is better",
    valueOf: ({ needle }) => needle,
    rises: true,
    axis: linear(percent, 1),
    text: percent,
  },
  {
    title: "milliseconds for a token of the reply",
    better: "lower and further left is better",
    valueOf: ({ decodeMs }) => decodeMs,
    rises: false,
    axis: linear(count),
    text: (value) => `${figure(value)} ms`,
  },
];

export interface Drawing {
  svg: SVGSVGElement;
  better: string;
}

/** One for each subject that rows have a figure of; rows without it are left out of that drawing. */
export const scatters = (rows: readonly QualityRow[]): Drawing[] =>
  SUBJECTS.flatMap((subject) => {
    const points = rows.flatMap((row, i) => {
      const value = subject.valueOf(row);
      return value === undefined ? [] : [{ row: row.row, number: i + 1, bytes: row.bytesPerToken, value }];
    });
    return points.length > 0 ? [{ svg: scatter(subject, points), better: subject.better }] : [];
  });

interface Scales {
  x: (bytes: number) => number;
  y: (value: number) => number;
  xs: number[];
  levels: { value: number; text: string }[];
}

function scalesOf({ axis }: Subject, points: readonly Point[]): Scales {
  const powers = points.map(({ bytes }) => Math.log2(bytes));
  const [first, last] = [Math.floor(Math.min(...powers)), Math.ceil(Math.max(...powers))];
  const xs = Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
  const { levels, share } = axis(points.map(({ value }) => value));
  const across = (bytes: number): number => (Math.log2(bytes) - first) / Math.max(1, last - first);
  const x = (bytes: number): number => ROOM.left + across(bytes) * (WIDTH - ROOM.left - ROOM.right);
  const y = (value: number): number => HEIGHT - ROOM.bottom - share(value) * (HEIGHT - ROOM.top - ROOM.bottom);
  return { x, y, xs, levels };
}

function scatter(subject: Subject, points: readonly Point[]): SVGSVGElement {
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot scatter", role: "img" });
  const spoken = points.map(({ row, bytes, value }) => `${row}: ${count(bytes)} bytes, ${subject.text(value)}`);
  svg.setAttribute("aria-label", `${subject.title}, by bytes a token: ${spoken.join("; ")}`);
  const scales = scalesOf(subject, points);
  const dots = points.map((point) => dot(point, scales));
  svg.append(...axes(subject.title, scales), frontier(subject, points, scales), ...dots, ...numbers(points, scales));
  return svg;
}

function axes(title: string, { x, y, xs, levels }: Scales): SVGElement[] {
  const feet = xs.map((value) => label("tick", x(value), HEIGHT - ROOM.bottom + 18, count(value)));
  const titles = [
    label("tick", WIDTH / 2, HEIGHT - 6, "bytes of the cache a prompt token"),
    aligned(label("tick", 4, 14, title), "start"),
  ];
  return [...levels.flatMap(({ value, text }) => level(y(value), text)), ...feet, ...titles];
}

function level(y: number, text: string): SVGElement[] {
  const line = shape("line", { class: "grid", x1: ROOM.left, x2: WIDTH - ROOM.right, y1: y, y2: y });
  return [line, aligned(label("tick", ROOM.left - 8, y + 4, text), "end")];
}

function aligned(text: SVGElement, anchor: "start" | "end"): SVGElement {
  text.setAttribute("text-anchor", anchor);
  return text;
}

/** The points that no other one beats in fewer bytes, or as many, from few bytes to many. */
export function unbeaten(points: readonly Point[], rises: boolean): Point[] {
  const best: Point[] = [];
  const rank = ({ value }: Point): number => (rises ? -value : value);
  for (const point of points.toSorted((a, b) => a.bytes - b.bytes || rank(a) - rank(b)))
    if (best.every((other) => rank(point) < rank(other))) best.push(point);
  return best;
}

/** Steps through them: for so many bytes, the best that there is. */
function frontier({ rises }: Subject, points: readonly Point[], { x, y }: Scales): SVGElement {
  const places = unbeaten(points, rises).map(({ bytes, value }) => [x(bytes), y(value)] as const);
  const [first] = places;
  const steps = places.slice(1).map(([right, height]) => `H${right}V${height}`);
  return shape("path", { class: "frontier", d: `M${first![0]} ${first![1]}${steps.join("")}H${WIDTH - ROOM.right}` });
}

function dot({ row, number, bytes, value }: Point, { x, y }: Scales): SVGElement {
  const place = `translate(${x(bytes)} ${y(value)})`;
  const path = shape("path", { class: "dot", d: outline(number), transform: place });
  const name = shape("title", {});
  name.textContent = row;
  path.append(name);
  return path;
}

interface Place {
  x: number;
  y: number;
}

/** From the middle of a dot to that of its number, the nearest first. */
const ASIDE: readonly Place[] = [10, 19, 28].flatMap((far) => [
  { x: 0, y: -far },
  { x: 0, y: far },
  { x: far, y: 0 },
  { x: -far, y: 0 },
  { x: far, y: -far },
  { x: -far, y: far },
]);

/** Each beside its dot, at the nearest place where it covers no other and no dot. */
function numbers(points: readonly Point[], { x, y }: Scales): SVGElement[] {
  const taken: Place[] = points.map(({ bytes, value }) => ({ x: x(bytes), y: y(value) }));
  return points.map(({ number }, i) => {
    const { x: left, y: top } = taken[i]!;
    const places = ASIDE.map((aside) => ({ x: left + aside.x, y: top + aside.y }));
    const free = places.find((place) => !taken.some((other) => meet(other, place))) ?? places[0]!;
    taken.push(free);
    return label("value", free.x, free.y + 4, String(number));
  });
}

const meet = (a: Place, b: Place): boolean => Math.abs(a.x - b.x) < 13 && Math.abs(a.y - b.y) < 10;

const STYLE = `
svg { background: #ffffff; color: #17705f; font: 12px system-ui, sans-serif; }
text { fill: #17211e; } .tick { fill: #53615c; } .grid { stroke: #d5ddd9; } .dot { fill: currentColor; }
.frontier { fill: none; stroke: currentColor; stroke-opacity: 0.35; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
  svg { background: #1b2220; color: #5fd0b8; }
  text { fill: #e4eae7; } .tick { fill: #9daba5; } .grid { stroke: #2b3532; }
}`;

const LINE = 18;

/** The drawings, one below the other, and which number is which row, as a file of its own. */
export function standalone(drawings: readonly Drawing[], rows: readonly QualityRow[]): string {
  const top = HEIGHT * drawings.length;
  const height = top + LINE * Math.ceil(rows.length / 2) + LINE;
  const file = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, width: 2 * WIDTH, height: 2 * height });
  const style = shape("style", {});
  style.textContent = STYLE;
  const names = rows.map(({ row }, i) => {
    const place = { x: 10 + (i % 2) * (WIDTH / 2), y: top + LINE * (1 + Math.floor(i / 2)) };
    return aligned(label("value", place.x, place.y, `${i + 1}  ${row}`), "start");
  });
  file.append(style, ...drawings.map(({ svg }, i) => placed(svg, i * HEIGHT)), ...names);
  return `${new XMLSerializer().serializeToString(file)}\n`;
}

function placed(svg: SVGSVGElement, y: number): SVGSVGElement {
  const copy = svg.cloneNode(true) as SVGSVGElement;
  for (const [name, value] of Object.entries({ y, width: WIDTH, height: HEIGHT }))
    copy.setAttribute(name, String(value));
  return copy;
}
