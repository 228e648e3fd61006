// Replies taken apart while they come: text, and whole calls of functions.
import type { ToolCall } from "../../completions.ts";
import type { CallFormat } from "./formats.ts";

/** What became known with a piece of a reply. */
export interface Reading {
  text: string;
  calls: ToolCall[];
}

/** A call, or several, found at a place: how far they reach. "open": more must come first. null: it is text. */
type Found = { calls: ToolCall[]; length: number } | "open" | null;

export class CallReader {
  readonly #format: CallFormat;
  /** Arrived and not yet given out. */
  #held = "";
  /** Nothing has been given out: a format without a mark may begin here. */
  #first = true;
  /** A call has just ended: its end mark, where it has not come yet, and space are no text. */
  #after: "end" | "space" | null = null;

  constructor(format: CallFormat) {
    this.#format = format;
  }

  push(text: string): Reading {
    this.#held += text;
    return this.#read(false);
  }

  /** The rest: a call that was never finished is text. */
  finish(): Reading {
    return this.#read(true);
  }

  #read(atEnd: boolean): Reading {
    const reading: Reading = { text: "", calls: [] };
    while (this.#held !== "" && this.#step(reading, atEnd));
    return reading;
  }

  /** Whether there may be more to read. */
  #step(reading: Reading, atEnd: boolean): boolean {
    if (this.#after !== null && !this.#skipEnd(atEnd)) return false;
    const at = this.#begin(atEnd);
    this.#give(reading, at.index);
    if (at.mark === null) return false;
    const found = readCalls(this.#held, at.mark, this.#format);
    if (found === "open" && !atEnd) return false;
    if (found === "open" || found === null) {
      this.#give(reading, Math.max(1, at.mark.length));
      return true;
    }
    reading.calls.push(...found.calls);
    this.#held = this.#held.slice(found.length);
    this.#after = "end";
    return true;
  }

  #give(reading: Reading, length: number): void {
    if (length === 0) return;
    reading.text += this.#held.slice(0, length);
    this.#held = this.#held.slice(length);
    this.#first = false;
  }

  /** What comes after a call. False where more must come to tell. */
  #skipEnd(atEnd: boolean): boolean {
    const { end } = this.#format;
    this.#held = this.#held.trimStart();
    if (this.#after === "end" && end !== "" && this.#held.startsWith(end)) {
      this.#held = this.#held.slice(end.length).trimStart();
      this.#after = "space";
    }
    if (this.#held === "" || (!atEnd && this.#after === "end" && end.startsWith(this.#held))) return false;
    this.#after = null;
    this.#first = true; // another may follow without a mark
    return true;
  }

  /** Where a call may begin, and by which mark; null: all before is text. */
  #begin(atEnd: boolean): { index: number; mark: string | null } {
    const { begins } = this.#format;
    if (this.#first && begins.includes("") && /^\s*(\{|$)/.test(this.#held)) return { index: 0, mark: "" };
    const marks = begins.filter((mark) => mark !== "");
    const places = marks.map((mark) => ({ index: this.#held.indexOf(mark), mark })).filter(({ index }) => index >= 0);
    const [first] = places.toSorted((a, b) => a.index - b.index);
    if (first) return first;
    const length = atEnd ? 0 : Math.max(...marks.map((mark) => partOf(mark, this.#held)));
    return { index: this.#held.length - length, mark: null };
  }
}

/** Length of the longest beginning of `mark`, not all of it, that `text` ends with. */
function partOf(mark: string, text: string): number {
  let length = Math.min(mark.length - 1, text.length);
  while (!text.endsWith(mark.slice(0, length))) length--;
  return length;
}

/** The calls after the mark at the beginning of `text`. */
function readCalls(text: string, mark: string, { member }: CallFormat): Found {
  const start = mark.length + spaceAt(text, mark.length);
  const head = /^([\w.-]+)(?:\[CALL_ID\]\w*)?(?:\[ARGS\])?\s*(?=\{|$)/.exec(text.slice(start));
  const from = start + (head?.[0].length ?? 0);
  if (from === text.length) return "open";
  if (!"{[".includes(text[from]!)) return /^[\w.-]+\[[A-Z_]*\]?\w*$/.test(text.slice(start)) ? "open" : null;
  const length = jsonLength(text, from);
  if (length === null) return "open";
  const body = parsed(text.slice(from, from + length));
  const found = head ? [{ name: head[1], [member]: body }] : [body].flat();
  const calls = found.map(toCall);
  return calls.length > 0 && calls.every((call) => call !== null) ? { calls, length: from + length } : null;
}

const spaceAt = (text: string, from: number): number => /^\s*/.exec(text.slice(from))![0].length;

/** Length of the JSON object or list that begins at `from`; null where it does not end. */
function jsonLength(text: string, from: number): number | null {
  let depth = 0;
  const signs = /"(?:\\.|[^"\\])*("|$)|[{}[\]]/gs;
  signs.lastIndex = from;
  for (let sign = signs.exec(text); sign; sign = signs.exec(text)) {
    if (sign[0].startsWith('"')) continue;
    depth += "{[".includes(sign[0]) ? 1 : -1;
    if (depth === 0) return signs.lastIndex - from;
  }
  return null;
}

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return null;
  }
}

/** Null where it is none. */
function toCall(value: unknown): ToolCall | null {
  if (typeof value !== "object" || value === null) return null;
  const { name, arguments: given, parameters } = value as Record<string, unknown>;
  const inputs = given ?? parameters ?? {};
  if (typeof name !== "string" || (typeof inputs !== "object" && typeof inputs !== "string")) return null;
  const text = typeof inputs === "string" ? inputs : JSON.stringify(inputs);
  return { id: callId(), type: "function", function: { name, arguments: text } };
}

const SIGNS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";

/** Nine letters and digits: Mistral's templates take no other. */
const callId = (): string =>
  [...crypto.getRandomValues(new Uint8Array(9))].map((byte) => SIGNS[byte % SIGNS.length]).join("");
