// What a model thinks before it answers, taken apart from the answer while both come.

const BEGIN = "<think>";
const END = "</think>";

/** Control tokens in some vocabularies: here they are text. */
export const THOUGHT_MARKS: readonly string[] = [BEGIN, END];

/** What became known with a piece of a reply. */
export interface Thinking {
  thought: string;
  answer: string;
}

/** Space around both belongs to neither. A reply without the first mark is an answer. */
export class ThoughtReader {
  #place: "before" | "thought" | "between" | "answer" = "before";
  /** Arrived and not yet given out. */
  #held = "";
  /** Something of the thought has been given out. */
  #begun = false;

  /** `begun`: the prompt ends within a thought. */
  constructor(begun: boolean) {
    if (begun) this.#place = "thought";
  }

  get isThinking(): boolean {
    return this.#place === "thought";
  }

  push(text: string): Thinking {
    this.#held += text;
    const thinking = { thought: "", answer: "" };
    while (this.#step(thinking));
    return thinking;
  }

  /** The rest: a thought that was never finished is one. */
  finish(): Thinking {
    const rest = this.#held;
    this.#held = "";
    if (this.#place === "thought") return { thought: this.#begun ? rest.trimEnd() : rest.trim(), answer: "" };
    return { thought: "", answer: this.#place === "between" ? "" : rest };
  }

  /** Whether there may be more to read. */
  #step(thinking: Thinking): boolean {
    if (this.#place === "before") return this.#begin();
    if (this.#place === "thought") return this.#think(thinking);
    if (this.#place === "between") {
      this.#held = this.#held.trimStart();
      if (this.#held === "") return false;
      this.#place = "answer";
    }
    thinking.answer += this.#held;
    this.#held = "";
    return false;
  }

  #begin(): boolean {
    const text = this.#held.trimStart();
    if (text.startsWith(BEGIN)) {
      this.#held = text.slice(BEGIN.length);
      this.#place = "thought";
      return true;
    }
    if (BEGIN.startsWith(text)) return false;
    this.#place = "answer";
    return true;
  }

  #think(thinking: Thinking): boolean {
    if (!this.#begun) this.#held = this.#held.trimStart();
    const end = this.#held.indexOf(END);
    const length = (end < 0 ? this.#held.slice(0, safeLength(this.#held)) : this.#held.slice(0, end)).trimEnd().length;
    thinking.thought += this.#held.slice(0, length);
    this.#begun ||= length > 0;
    this.#held = this.#held.slice(end < 0 ? length : end + END.length);
    if (end >= 0) this.#place = "between";
    return end >= 0;
  }
}

/** How much of the text cannot be the beginning of the mark that ends a thought. */
function safeLength(text: string): number {
  let length = Math.min(END.length - 1, text.length);
  while (!text.endsWith(END.slice(0, length))) length--;
  return text.length - length;
}
