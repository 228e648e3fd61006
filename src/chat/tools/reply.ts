// A reply taken apart while it comes: thoughts, text, calls of functions.
import type { Tool } from "../../completions.ts";
import type { CallFormat } from "./call.ts";
import { CallReader, type Reading } from "./reader.ts";
import { ThoughtReader } from "./thoughts.ts";

export interface ReplyReading extends Reading {
  thought: string;
}

export class ReplyReader {
  readonly #thoughts: ThoughtReader | null;
  readonly #calls: CallReader | null;

  constructor(thinking: { begun: boolean } | null, calling: { format: CallFormat; tools: readonly Tool[] } | null) {
    this.#thoughts = thinking && new ThoughtReader(thinking.begun);
    this.#calls = calling && new CallReader(calling.format, calling.tools);
  }

  get isThinking(): boolean {
    return this.#thoughts?.isThinking === true;
  }

  push(text: string): ReplyReading {
    const { thought, answer } = this.#thoughts?.push(text) ?? { thought: "", answer: text };
    return { thought, ...(this.#calls?.push(answer) ?? { text: answer, calls: [] }) };
  }

  /** What was held back. */
  finish(): ReplyReading {
    const { thought, answer } = this.#thoughts?.finish() ?? { thought: "", answer: "" };
    const last = this.#calls?.push(answer) ?? { text: answer, calls: [] };
    const rest = this.#calls?.finish() ?? { text: "", calls: [] };
    return { thought, text: last.text + rest.text, calls: [...last.calls, ...rest.calls] };
  }
}
