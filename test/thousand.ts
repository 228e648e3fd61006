// A thousand chats on engines that stay: what test/thousand.full.test.ts calls inside the page.
import { type Engine, load, type Session } from "../src/index.ts";
import { pick, random } from "./kernels/spec.ts";
import { liveBuffers } from "./live.ts";

export interface Setting {
  source: string;
  recipes: readonly string[];
  context: number;
  /** Token ids below this. */
  vocabulary: number;
}

interface Talk {
  session: Session;
  tokens: number[];
}

const engines: Engine[] = [];
/** Conversations that may go on, of each engine. */
const talks: Talk[][] = [];
let setting: Setting;
let uniform: () => number;
let buffersBefore = 0;
let told = { chats: 0, tokens: 0, aborted: 0, continued: 0 };

const upTo = (most: number): number => Math.floor(uniform() * most);
const words = (count: number): number[] => Array.from({ length: count }, () => upTo(setting.vocabulary));

export async function open(given: Setting): Promise<void> {
  setting = given;
  uniform = random(77);
  buffersBefore = liveBuffers();
  const { source, context } = given;
  for (const kv of given.recipes) {
    engines.push(
      await load(new URL(source, location.href).href, { kv, context, chunk: 64, sequences: 3, tune: "off" }),
    );
    talks.push([]);
  }
}

/** `count` chats, up to six at a time: short and long, greedy and drawn, new and continued, whole and aborted. */
export async function chat(count: number): Promise<typeof told> {
  let left = count;
  const one = async (): Promise<void> => {
    while (left-- > 0) await oneChat(upTo(engines.length));
  };
  await Promise.all(Array.from({ length: 6 }, one));
  return told;
}

async function oneChat(at: number): Promise<void> {
  const open = talks[at]!;
  const going = uniform() < 0.4 ? open.splice(upTo(open.length), 1)[0] : undefined;
  const talk = going ?? { session: engines[at]!.session(), tokens: [] };
  const prompt = [...talk.tokens, ...words(1 + upTo(uniform() < 0.2 ? setting.context / 2 : 24))];
  const maxTokens = 1 + upTo(16);
  if (prompt.length + maxTokens > setting.context) return; // too long to go on
  const stopping = new AbortController();
  const abortAt = uniform() < 0.2 ? upTo(maxTokens) : -1;
  const sampling = pick(uniform, [
    {},
    { temperature: 1, seed: 3 },
    { temperature: 0.7, topK: 5, repetitionPenalty: 1.2 },
  ]);
  const reply = talk.session.generate(
    { tokens: prompt },
    { ...sampling, maxTokens, ignoreEnd: true, signal: stopping.signal },
  );
  if (abortAt === 0) stopping.abort();
  const tokens: number[] = [];
  for await (const { id } of reply) if (tokens.push(id) === abortAt) stopping.abort();
  const { finish } = await reply.result;
  told = {
    chats: told.chats + 1,
    tokens: told.tokens + tokens.length,
    aborted: told.aborted + (finish === "abort" ? 1 : 0),
    continued: told.continued + (going ? 1 : 0),
  };
  if (open.length < 8) open.push({ ...talk, tokens: [...prompt, ...tokens] });
}

/** The finish and length of a reply that needs the whole context of each engine: none of it is held by anything else. */
export async function fillAll(): Promise<[finish: string, tokens: number][]> {
  const filled: [string, number][] = [];
  for (const engine of engines) {
    const { finish, tokens } = await engine
      .session()
      .generate({ tokens: words(setting.context - 8) }, { maxTokens: 8, ignoreEnd: true }).result;
    filled.push([finish, tokens.length]);
  }
  return filled;
}

/** GPU buffers of the engines: while they live, and what is left after. */
export const buffers = (): number => liveBuffers() - buffersBefore;

export function close(): void {
  for (const engine of engines) engine.dispose();
  engines.length = talks.length = 0;
}
