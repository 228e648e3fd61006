// chat.completions over a session that says what it is told: Fable's tokens, no engine.
import { readFileSync } from "node:fs";
import type { GenerateOptions, Generation, Prompt, Session, Token } from "../../src/api.ts";
import { Completions } from "../../src/chat/completions/completions.ts";
import type { Speaker } from "../../src/chat/session.ts";
import { Feed } from "../../src/engine/feed.ts";
import { Grammars } from "../../src/grammar/constraint.ts";
import { MARKS } from "../../src/chat/tools/formats.ts";
import { ChatTemplate } from "../../src/text/chat.ts";
import { TextStream } from "../../src/text/stream.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";

const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(`demo/models/fable/${name}`, "utf8"));

/** Fable's tokenizer with further control tokens. */
async function tokenizerWith(marks: readonly string[]): Promise<Tokenizer> {
  const file = json("tokenizer.json") as { added_tokens: { id: number }[] };
  const first = Math.max(...file.added_tokens.map(({ id }) => id), 5000) + 1;
  const added = marks.map((content, i) => ({ id: first + i, content, special: true, normalized: false }));
  return Tokenizer.create({
    json: { ...file, added_tokens: [...file.added_tokens, ...added] },
    config: json("tokenizer_config.json"),
  });
}

export const PLAIN_TEMPLATE =
  "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}{% if add_generation_prompt %}assistant:{% endif %}";

/** What a session was asked for. */
export interface Asked {
  prompt: Prompt;
  options: GenerateOptions;
}

export async function scripted(
  replies: readonly string[],
  { template = PLAIN_TEMPLATE, marks = [] as readonly string[], finish = "stop" as "stop" | "length" } = {},
) {
  const tokenizer = await tokenizerWith(marks);
  const endTokens = new Set([tokenizer.idOf("<|end|>")!]);
  const asked: Asked[] = [];
  const ended: string[] = [];
  const session: Pick<Session, "generate" | "dispose"> = {
    generate: (prompt, options = {}) => {
      const text = replies[asked.push({ prompt, options }) - 1]!;
      const ids = [...tokenizer.encode(text, { addSpecial: false }), ...(finish === "stop" ? endTokens : [])];
      return saying(ids, tokenizer, options, finish, ended);
    },
    dispose: () => {},
  };
  const grammars = new Grammars({ tokenizer, size: tokenizer.vocabularySize, endTokens, marks: MARKS });
  const speaker = {
    tokenizer,
    template: new ChatTemplate(template, {}),
    endTokens,
    grammars: async () => grammars,
  } as unknown as Speaker;
  const model = { name: "scripted", sampling: { temperature: 0.5, topP: 0.9 } };
  return { completions: new Completions({ model, speaker, session: () => session }), asked, ended, tokenizer };
}

/** A token at each turn of the event loop; an abort ends it. */
function saying(
  ids: readonly number[],
  tokenizer: Tokenizer,
  { signal, topLogprobs = 0 }: GenerateOptions,
  finish: "stop" | "length",
  ended: string[],
): Generation {
  const feed = new Feed<Token>();
  let aborted = false;
  const stream = new TextStream(tokenizer, []);
  const run = async () => {
    for (const [i, id] of ids.entries()) {
      await new Promise((resolve) => setImmediate(resolve));
      aborted ||= signal?.aborted === true;
      if (aborted) break;
      const text = stream.push(id).text + (i === ids.length - 1 ? stream.finish() : "");
      const top = Array.from({ length: topLogprobs }, (_, rank) => ({ id: rank, logprob: -rank }));
      feed.push({ id, text, logprob: -i / 8, ...(topLogprobs > 0 && { top }) });
    }
    feed.end();
    const how = aborted ? "abort" : finish;
    ended.push(how);
    const tokens = feed.items.map(({ id }) => id);
    const stats = { promptTokens: 12, reusedTokens: 5, newTokens: tokens.length };
    return { text: tokenizer.decode(tokens, { skipSpecial: true }), tokens, finish: how, stats };
  };
  return {
    result: run() as unknown as Generation["result"],
    async *[Symbol.asyncIterator]() {
      try {
        yield* feed;
      } finally {
        aborted = true;
      }
    },
  };
}
