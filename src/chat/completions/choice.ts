// One of the replies of a request, as pieces in OpenAI's shape.
import type { Generation, GenerationResult, Token } from "../../api.ts";
import type { CompletionDelta, CompletionFinish, LogprobEntry, TokenLogprob, ToolCall } from "../../completions.ts";
import { TextStream } from "../../text/stream.ts";
import type { Language } from "../session.ts";
import { withMarks } from "../tools/formats.ts";
import { ReplyReader, type ReplyReading } from "../tools/reply.ts";
import type { Calling } from "./request.ts";

/** What came of a reply at once. */
export interface Piece {
  delta: CompletionDelta;
  logprobs: LogprobEntry[] | null;
}

interface How {
  language: Language;
  calling: Calling | null;
  /** Null: the model does not think first. `begun`: its prompt ends within a thought. */
  thinking: { begun: boolean } | null;
  stop: readonly string[];
  logprobs: boolean;
}

export class Choice {
  readonly result: Promise<GenerationResult>;
  readonly #generation: Generation;
  readonly #how: How;
  #calls = 0;
  #thoughtTokens = 0;

  constructor(generation: Generation, how: How) {
    this.#generation = generation;
    this.result = generation.result;
    this.result.catch(() => {}); // those who read the pieces get the error
    this.#how = how;
  }

  /** In order; the error of the generation ends them. Whoever leaves early ends the reply. */
  async *pieces(): AsyncGenerator<Piece, void> {
    const { calling, thinking } = this.#how;
    if (calling || thinking) return yield* this.#read(calling);
    let shown = "";
    for await (const token of this.#generation) {
      const logprobs = this.#logprobs(token);
      shown += token.text;
      if (token.text !== "" || logprobs) yield { delta: { content: token.text }, logprobs };
    }
    const { text } = await this.result;
    const tail = text.slice(shown.length); // after an abort: what was still held back
    if (tail !== "") yield { delta: { content: tail }, logprobs: null };
  }

  /** Thoughts and calls may be marked by control tokens, which are no text: here they are. */
  async *#read(calling: Calling | null): AsyncGenerator<Piece, void> {
    const { language, stop, thinking } = this.#how;
    const text = new TextStream(withMarks(language.tokenizer), stop);
    const reader = new ReplyReader(thinking, calling);
    const single = calling?.single === true;
    for await (const token of this.#generation) {
      const piece = language.endTokens.has(token.id) ? "" : text.push(token.id).text;
      const before = reader.isThinking;
      const delta = this.#delta(reader.push(piece), single);
      if (before || reader.isThinking) this.#thoughtTokens++;
      const logprobs = this.#logprobs(token);
      if (delta || logprobs) yield { delta: delta ?? { content: "" }, logprobs };
      if (single && this.#calls > 0) return;
    }
    for (const reading of [reader.push(text.finish()), reader.finish()]) {
      const delta = this.#delta(reading, single);
      if (delta) yield { delta, logprobs: null };
    }
  }

  #delta({ thought, text, calls }: ReplyReading, single: boolean): CompletionDelta | null {
    const kept = single ? calls.slice(0, 1 - Math.min(1, this.#calls)) : calls;
    if (thought === "" && text === "" && kept.length === 0) return null;
    const numbered = kept.map((call: ToolCall) => ({ index: this.#calls++, ...call }));
    return {
      ...(thought !== "" && { reasoning_content: thought }),
      ...(text !== "" && { content: text }),
      ...(numbered.length > 0 && { tool_calls: numbered }),
    };
  }

  #logprobs({ id, logprob, top = [] }: Token): LogprobEntry[] | null {
    if (!this.#how.logprobs) return null;
    const others = top.map((each) => this.#entry(each.id, each.logprob));
    return [{ ...this.#entry(id, logprob), top_logprobs: others }];
  }

  #entry(id: number, logprob: number): TokenLogprob {
    const { tokenizer } = this.#how.language;
    const bytes = tokenizer.literal.bytesOf(id);
    return { token: tokenizer.decode([id]), logprob, bytes: tokenizer.isText(id) ? [...bytes] : null };
  }

  /** Tokens of thoughts, their marks included, once all pieces have come. */
  get thoughtTokens(): number {
    return this.#thoughtTokens;
  }

  /** Once all pieces have come. */
  async finish(): Promise<CompletionFinish> {
    if (this.#calls > 0) return "tool_calls";
    const { finish } = await this.result;
    return finish === "length" ? "length" : "stop";
  }
}
