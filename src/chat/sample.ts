// Data without a data set: a model's own chats. The user's turn is sampled from where the chat template opens it, then the
// answer to it.
import type { Engine } from "../api.ts";
import { InputError } from "../errors.ts";

/** What `sampleChats` writes. */
export interface SampleOptions {
  /** Chats, each of one turn of the user and one of the assistant. */
  count: number;
  /** Same seed, same machine: same chats. Default 0. */
  seed?: number;
  /** Default 1: as the model was trained to expect turns. */
  temperature?: number;
  /** Tokens of a turn, at most. Default 256, or what the context leaves. */
  longest?: number;
  /** Ends it: the iteration rejects with the reason. */
  signal?: AbortSignal;
}

/** What the template writes around a conversation of one question and its answer, as tokens. */
interface Frame {
  opening: number[];
  between: number[];
  closing: number[];
  /** What ends the user's turn, where the model does not do it by an end token. */
  stops: readonly string[];
}

/**
 * Chats as the model would have them, each the tokens of a whole conversation: what `convert` calibrates on or `distil`
 * trains on (as `windows`, or joined as `tokens`) where there is no text. Throws InputError for a model without chat template.
 */
export async function* sampleChats(
  engine: Engine,
  { count, seed = 0, temperature = 1, longest = 256, signal }: SampleOptions,
): AsyncGenerator<number[]> {
  if (!Number.isInteger(count) || count < 1)
    throw new InputError(`sampleChats: count; got ${count}, want a whole number of at least 1.`);
  const frame = frameOf(engine);
  const session = engine.session();
  const turn = async (tokens: number[], number: number, stop: readonly string[]): Promise<number[]> => {
    const sampling = {
      temperature,
      seed: seed + number,
      maxTokens: Math.min(longest, engine.model.context - tokens.length - 1),
    };
    const reply = await session.generate({ tokens }, { ...sampling, stop, ...(signal && { signal }) }).result;
    signal?.throwIfAborted();
    return engine.tokenize(reply.text, { addSpecial: false });
  };
  try {
    for (let i = 0; i < count; i++) {
      const asked = [...frame.opening, ...(await turn(frame.opening, 2 * i, frame.stops)), ...frame.between];
      yield [...asked, ...(await turn(asked, 2 * i + 1, [])), ...frame.closing];
    }
  } finally {
    session.dispose();
  }
}

/** Stands for a turn's text in what the template writes. */
const [QUESTION, ANSWER, NEXT] = ["\u{f0001}", "\u{f0002}", "\u{f0003}"];

function frameOf(engine: Engine): Frame {
  if (!engine.model.hasChatTemplate)
    throw new InputError("sampleChats: got a model without chat template, want one with. Give texts instead.");
  const user = (content: string) => ({ role: "user", content });
  const whole = engine.render([user(QUESTION), { role: "assistant", content: ANSWER }, user(NEXT)]);
  const [opening, rest] = cut(whole, QUESTION);
  const [between, after] = cut(rest, ANSWER);
  const [closing] = cut(after, NEXT);
  const tokens = (text: string) => engine.tokenize(text, { addSpecial: false });
  return {
    opening: tokens(opening),
    between: tokens(between),
    closing: tokens(withoutEnd(closing, opening)),
    stops: [between.trim().split("\n")[0]!].filter((text) => text !== ""),
  };
}

/** Without the words that open the next turn of the user, which are the last of the opening. */
function withoutEnd(text: string, opening: string): string {
  let shared = 0;
  while (shared < text.length && text.at(-1 - shared) === opening.at(-1 - shared)) shared++;
  return text.slice(0, text.length - shared);
}

function cut(text: string, mark: string): [before: string, after: string] {
  const at = text.indexOf(mark);
  if (at < 0)
    throw new InputError(
      `sampleChats: got a chat template that changes what turns say, want one that does not. Give texts instead.`,
    );
  return [text.slice(0, at), text.slice(at + mark.length)];
}
