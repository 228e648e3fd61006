// Replies taken apart while they come: text, and whole calls of functions.
import type { Tool, ToolCall } from "../../completions.ts";
import type { CallFormat } from "./call.ts";

/** What became known with a piece of a reply. */
export interface Reading {
  text: string;
  calls: ToolCall[];
}

export class CallReader {
  readonly #format: CallFormat;
  readonly #tools: readonly Tool[];
  /** Arrived and not yet given out. */
  #held = "";
  /** Nothing has been given out: a format without a mark may begin here. */
  #first = true;
  /** A call has just ended: its end mark, where it has not come yet, and space are no text. */
  #after: "end" | "space" | null = null;

  /** `tools`: what may be called. */
  constructor(format: CallFormat, tools: readonly Tool[]) {
    this.#format = format;
    this.#tools = tools;
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
    const found = this.#format.read(this.#held, at.mark, this.#tools);
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
    const { ends } = this.#format;
    this.#held = this.#held.trimStart();
    const end = this.#after === "end" ? ends.find((each) => this.#held.startsWith(each)) : undefined;
    if (end !== undefined) {
      this.#held = this.#held.slice(end.length).trimStart();
      this.#after = "space";
    }
    const isOpen = this.#after === "end" && ends.some((each) => each.startsWith(this.#held));
    if (this.#held === "" || (!atEnd && isOpen)) return false;
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
