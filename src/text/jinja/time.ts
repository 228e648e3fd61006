// strftime of C, in its own locale.
import { fail } from "./values.ts";

const two = (value: number): string => String(value).padStart(2, "0");
const word = (date: Date, part: Intl.DateTimeFormatOptions): string => date.toLocaleDateString("en-US", part);
const hour12 = (date: Date): number => date.getHours() % 12 || 12;
/** Days since the first of January. */
const dayOfYear = (date: Date): number =>
  Math.round(
    (Date.UTC(date.getFullYear(), date.getMonth(), date.getDate()) - Date.UTC(date.getFullYear(), 0, 1)) / 864e5,
  );
/** `first`: the day on which weeks begin, 0 is Sunday. */
const week = (date: Date, first: number): number =>
  Math.floor((dayOfYear(date) + 7 - ((date.getDay() + 7 - first) % 7)) / 7);

const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  a: (date) => word(date, { weekday: "short" }),
  A: (date) => word(date, { weekday: "long" }),
  b: (date) => word(date, { month: "short" }),
  B: (date) => word(date, { month: "long" }),
  c: (date) => formatTime(date, "%a %b %e %H:%M:%S %Y"),
  d: (date) => two(date.getDate()),
  D: (date) => formatTime(date, "%m/%d/%y"),
  e: (date) => String(date.getDate()).padStart(2, " "),
  f: (date) => String(date.getMilliseconds() * 1000).padStart(6, "0"),
  F: (date) => formatTime(date, "%Y-%m-%d"),
  h: (date) => word(date, { month: "short" }),
  H: (date) => two(date.getHours()),
  I: (date) => two(hour12(date)),
  j: (date) => String(dayOfYear(date) + 1).padStart(3, "0"),
  m: (date) => two(date.getMonth() + 1),
  M: (date) => two(date.getMinutes()),
  n: () => "\n",
  p: (date) => (date.getHours() < 12 ? "AM" : "PM"),
  R: (date) => formatTime(date, "%H:%M"),
  s: (date) => String(Math.floor(date.getTime() / 1000)),
  S: (date) => two(date.getSeconds()),
  t: () => "\t",
  T: (date) => formatTime(date, "%H:%M:%S"),
  u: (date) => String(date.getDay() || 7),
  U: (date) => two(week(date, 0)),
  w: (date) => String(date.getDay()),
  W: (date) => two(week(date, 1)),
  x: (date) => formatTime(date, "%m/%d/%y"),
  X: (date) => formatTime(date, "%H:%M:%S"),
  y: (date) => two(date.getFullYear() % 100),
  Y: (date) => String(date.getFullYear()),
  z: () => "",
  Z: () => "",
  "%": () => "%",
};

/** `-` before a letter drops the zero or space in front, as the C library of Linux has it. */
export const formatTime = (date: Date, format: string): string =>
  format.replace(/%(-?)([^])/g, (directive, dash, letter: string) => {
    const text = Object.hasOwn(DIRECTIVES, letter) ? DIRECTIVES[letter]!(date) : null;
    if (text === null) return fail(`strftime_now: the directive ${directive} is not supported`);
    return dash ? text.replace(/^[0 ]+(?=.)/, "") : text;
  });
