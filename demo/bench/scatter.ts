// Bytes per token against what they cost: in KL, in needles that are lost, in time; and the first two against each other, for
// rows of equal bytes. A point for each row of a quality report.

import { count, figure } from "../shared/numbers.ts";
import type { QualityRow } from "../quality/result.ts";
import { small } from "../quality/table.ts";
import { label, outline, shape, ticks } from "./plot.ts";

const WIDTH = 420;
const HEIGHT = 290;
const ROOM = { left: 84, right: 24, top: 34, bottom: 46 };
/** Where a logarithmic axis ends below at the latest; what lies beneath, zero included, stands on its last line. */
const FLOOR = 1e-5;

interface Point {
  row: string;
  /** Of the row in the report, from 1 on: its name in the drawing. */
  number: number;
  across: number;
  up: number;
}

interface Axis {
  levels: { value: number; text: string }[];
  /** Where a value stands between the lowest level, 0, and the highest, 1. */
  share: (value: number) => number;
}

/** What an axis shows of a row. */
interface Figure {
  title: string;
  of: (row: QualityRow) => number | undefined;
  axis: (values: readonly number[]) => Axis;
  text: (value: number) => string;
}

interface Subject {
  across: Figure;
  up: Figure;
  /** Above the drawing on the page. */
  better: string;
  /** Whether more is better upwards; across, less always is. */
  rises: boolean;
  /** Bytes are not shown, so only rows of about the same are, and no line joins the best. */
  atEqualBytes?: true;
}

const power = (value: number): string => value.toFixed(Math.max(0, -Math.round(Math.log10(value))));
const percent = (value: number): string => `${Math.round(100 * value)} %`;

export const decades: Figure["axis"] = (values) => {
  const most = Math.max(10 * FLOOR, ...values);
  const above = values.filter((value) => value > FLOOR);
  const least = above.length > 0 ? Math.min(...above) : FLOOR;
  const first = Math.floor(Math.log10(least) + 1e-9);
  const steps = Math.max(1, Math.ceil(Math.log10(most) - first - 1e-9));
  const levels = Array.from({ length: steps + 1 }, (_, i) => 10 ** (first + i));
  const isBelow = values.some((value) => value < levels[0]!);
  return {
    levels: levels.map((value, i) => ({ value, text: i === 0 && isBelow ? `≤ ${power(value)}` : power(value) })),
    share: (value) => (Math.log10(Math.max(value, levels[0]!)) - first) / steps,
  };
};

const doublings: Figure["axis"] = (values) => {
  const powers = values.map(Math.log2);
  const [first, last] = [Math.floor(Math.min(...powers)), Math.ceil(Math.max(...powers))];
  const levels = Array.from({ length: last - first + 1 }, (_, i) => 2 ** (first + i));
  return {
    levels: levels.map((value) => ({ value, text: count(value) })),
    share: (value) => (Math.log2(value) - first) / Math.max(1, last - first),
  };
};

const linear =
  (text: (value: number) => string, top?: number): Figure["axis"] =>
  (values) => {
    const levels = ticks(top ?? Math.max(...values), 10);
    return { levels: levels.map((value) => ({ value, text: text(value) })), share: (value) => value / levels.at(-1)! };
  };

const BYTES: Figure = {
  title: "bytes of the cache a prompt token",
  of: ({ bytesPerToken }) => bytesPerToken,
  axis: doublings,
  text: (value) => `${count(value)} bytes`,
};
const DIVERGENCE: Figure = {
  title: "KL (dense‖row), nats a token",
  of: ({ kl }) => kl,
  axis: decades,
  text: (value) => `${small(value)} nats`,
};
const NEEDLES: Figure = {
  title: "digits of needles found",
  of: ({ needle }) => needle,
  axis: linear(percent, 1),
  text: percent,
};
const TIME: Figure = {
  title: "milliseconds for a token of the reply",
  of: ({ decodeMs }) => decodeMs,
  axis: linear(count),
  text: (value) => `${figure(value)} ms`,
};

const LOW = "lower and further left is better";
const HIGH = "higher and further left is better";
const SUBJECTS: readonly Subject[] = [
  { across: BYTES, up: DIVERGENCE, better: LOW, rises: false },
  { across: BYTES, up: NEEDLES, better: HIGH, rises: true },
  { across: BYTES, up: TIME, better: LOW, rises: false },
  { across: DIVERGENCE, up: NEEDLES, better: HIGH, rises: true, atEqualBytes: true },
];

export interface Drawing {
  svg: SVGSVGElement;
  better: string;
}

/** One for each subject that rows have both figures of; rows without them are left out of that drawing. */
export const scatters = (rows: readonly QualityRow[]): Drawing[] =>
  SUBJECTS.flatMap((subject) => {
    const shown = subject.atEqualBytes ? alike(rows) : rows;
    const points = shown.flatMap((row) => {
      const [across, up] = [subject.across.of(row), subject.up.of(row)];
      const number = rows.indexOf(row) + 1;
      return across === undefined || up === undefined ? [] : [{ row: row.row, number, across, up }];
    });
    if (points.length === 0) return [];
    const bytes = subject.atEqualBytes ? `, rows of ${rangeOf(shown)} bytes a token` : "";
    return [{ svg: scatter(subject, points, bytes), better: subject.better }];
  });

/** Bytes differ by less than this from those of the row in the middle, either way. */
const ALIKE = 1.5;

/** Rows of about as many bytes as most have; none where they are fewer than three. */
export function alike<R extends Pick<QualityRow, "bytesPerToken">>(rows: readonly R[]): R[] {
  const sorted = rows.map(({ bytesPerToken }) => bytesPerToken).toSorted((a, b) => a - b);
  const middle = sorted[Math.floor((sorted.length - 1) / 2)] ?? 0;
  const found = rows.filter(({ bytesPerToken: bytes }) => bytes < middle * ALIKE && middle < bytes * ALIKE);
  return found.length < 3 ? [] : found;
}

function rangeOf(rows: readonly QualityRow[]): string {
  const bytes = rows.map(({ bytesPerToken }) => bytesPerToken);
  const [least, most] = [count(Math.min(...bytes)), count(Math.max(...bytes))];
  return least === most ? least : `${least} to ${most}`;
}

interface Scales {
  x: (across: number) => number;
  y: (up: number) => number;
  feet: Axis["levels"];
  levels: Axis["levels"];
}

function scalesOf({ across, up }: Subject, points: readonly Point[]): Scales {
  const [width, height] = [WIDTH - ROOM.left - ROOM.right, HEIGHT - ROOM.top - ROOM.bottom];
  const [along, upwards] = [across.axis(points.map((point) => point.across)), up.axis(points.map((point) => point.up))];
  return {
    x: (value) => ROOM.left + along.share(value) * width,
    y: (value) => HEIGHT - ROOM.bottom - upwards.share(value) * height,
    feet: along.levels,
    levels: upwards.levels,
  };
}

/** `bytes`: of the rows, behind the title, where no axis shows them. */
function scatter(subject: Subject, points: readonly Point[], bytes: string): SVGSVGElement {
  const { across, up, rises, atEqualBytes } = subject;
  const svg = shape("svg", { viewBox: `0 0 ${WIDTH} ${HEIGHT}`, class: "plot scatter", role: "img" });
  const spoken = points.map((point) => `${point.row}: ${across.text(point.across)}, ${up.text(point.up)}`);
  svg.setAttribute("aria-label", `${up.title}${bytes}, by ${across.title}: ${spoken.join("; ")}`);
  const scales = scalesOf(subject, points);
  const dots = points.map((point) => dot(point, scales));
  const line = atEqualBytes ? [] : [frontier(rises, points, scales)];
  svg.append(...axes(across.title, up.title + bytes, scales), ...line, ...dots, ...numbers(points, scales));
  return svg;
}

function axes(across: string, up: string, { x, y, feet, levels }: Scales): SVGElement[] {
  const titles = [label("tick", WIDTH / 2, HEIGHT - 6, across), aligned(label("tick", 4, 14, up), "start")];
  const below = feet.map(({ value, text }) => label("tick", x(value), HEIGHT - ROOM.bottom + 18, text));
  return [...levels.flatMap(({ value, text }) => level(y(value), text)), ...below, ...titles];
}

function level(y: number, text: string): SVGElement[] {
  const line = shape("line", { class: "grid", x1: ROOM.left, x2: WIDTH - ROOM.right, y1: y, y2: y });
  return [line, aligned(label("tick", ROOM.left - 8, y + 4, text), "end")];
}

function aligned(text: SVGElement, anchor: "start" | "end"): SVGElement {
  text.setAttribute("text-anchor", anchor);
  return text;
}

/** The points that no other one beats further left, or as far, from left to right. */
export function unbeaten<P extends Pick<Point, "across" | "up">>(points: readonly P[], rises: boolean): P[] {
  const best: P[] = [];
  const rank = ({ up }: P): number => (rises ? -up : up);
  for (const point of points.toSorted((a, b) => a.across - b.across || rank(a) - rank(b)))
    if (best.every((other) => rank(point) < rank(other))) best.push(point);
  return best;
}

/** Steps through them: for so many bytes, the best that there is. */
function frontier(rises: boolean, points: readonly Point[], { x, y }: Scales): SVGElement {
  const places = unbeaten(points, rises).map(({ across, up }) => [x(across), y(up)] as const);
  const [first] = places;
  const steps = places.slice(1).map(([right, height]) => `H${right}V${height}`);
  return shape("path", { class: "frontier", d: `M${first![0]} ${first![1]}${steps.join("")}H${WIDTH - ROOM.right}` });
}

function dot({ row, number, across, up }: Point, { x, y }: Scales): SVGElement {
  const place = `translate(${x(across)} ${y(up)})`;
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
  const taken: Place[] = points.map(({ across, up }) => ({ x: x(across), y: y(up) }));
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
/** Letters of a row that half of the width has no room for. */
const LONG = 25;

/** The drawings, one below the other, and which number is which row, as a file of its own. */
export function standalone(drawings: readonly Drawing[], rows: readonly QualityRow[]): string {
  const top = HEIGHT * drawings.length;
  const across = rows.some(({ row }) => row.length > LONG) ? 1 : 2;
  const height = top + LINE * Math.ceil(rows.length / across) + LINE;
  const file = shape("svg", { viewBox: `0 0 ${WIDTH} ${height}`, width: 2 * WIDTH, height: 2 * height });
  const style = shape("style", {});
  style.textContent = STYLE;
  const names = rows.map(({ row }, i) => {
    const place = { x: 10 + (i % across) * (WIDTH / 2), y: top + LINE * (1 + Math.floor(i / across)) };
    return aligned(label("value", place.x, place.y, `${i + 1}. ${row}`), "start");
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
