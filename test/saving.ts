// What the tests of saved sessions call inside a page.
import { type Engine, type GenerateOptions, load, type LoadOptions, type Prompt, type Session } from "../src/index.ts";
import { report } from "./progress.ts";

interface Cut {
  prompt: readonly number[];
  /** Tokens before the reply is cut, and after. */
  cut: number;
  more: number;
}

/** A prompt for each sampling. */
const turned = (prompt: readonly number[], by: number): number[] => [...prompt.slice(by), ...prompt.slice(0, by)];

/** What became of a reply that was saved in one engine and went on in another one. */
interface Resumed {
  undisturbed: number[];
  tokens: number[];
  /** What came after the cut. */
  fresh: number[];
  reusedTokens: number;
  savedTokens: number;
  cachedTokens: number;
  bytes: number;
  /** Of the part after the cut. */
  submits: number;
}

const tokensOf = async (session: Session, prompt: Prompt, options: GenerateOptions): Promise<number[]> =>
  (await session.generate(prompt, { ignoreEnd: true, ...options }).result).tokens;

const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "fulfilled",
    (error: Error & { code?: string }) => `${error.name} ${error.code ?? ""}: ${error.message}`,
  );

/** `deviceOf`: that of all engines of the page. */
export function savingIn(deviceOf: () => Promise<GPUDevice>) {
  const opened = new Map<string, Engine>();
  const sessions = new Map<string, Session>();
  const engineOf = async (source: string, options: LoadOptions) =>
    load(new URL(source, location.href).href, {
      tune: "off",
      ...(options.worker ? {} : { device: await deviceOf() }),
      context: 512,
      sequences: 2,
      ...options,
    });

  /** Replies under several samplings, each undisturbed, and cut, saved and gone on with in an engine that has seen nothing. */
  async function resumed(
    source: string,
    options: LoadOptions,
    { prompt, cut, more }: Cut,
    samplings: readonly GenerateOptions[],
  ): Promise<Resumed[]> {
    const first = await engineOf(source, options);
    const kept = [];
    for (const [i, sampling] of samplings.entries()) {
      const session = first.session();
      const tokens = turned(prompt, i);
      await tokensOf(session, { tokens }, { ...sampling, maxTokens: cut });
      const saved = await session.save(`reply ${i}`);
      const whole = { ...sampling, maxTokens: cut + more, reuse: false };
      kept.push({ undisturbed: await tokensOf(session, { tokens }, whole), saved });
    }
    first.dispose();
    const second = await engineOf(source, options);
    const results = [];
    for (const [i, { undisturbed, saved }] of kept.entries()) {
      const session = await second.open(`reply ${i}`);
      const before = second.stats();
      const reply = session.resume({ maxTokens: more });
      const fresh: number[] = [];
      for await (const { id } of reply) fresh.push(id);
      const { tokens, stats } = await reply.result;
      const submits = second.stats().submits - before.submits;
      const { tokens: savedTokens, cachedTokens, bytes } = saved;
      const { reusedTokens } = stats;
      results.push({ undisturbed, tokens, fresh, reusedTokens, savedTokens, cachedTokens, bytes, submits });
    }
    await second.sessions.delete();
    second.dispose();
    return results;
  }

  /** What opening a session says in engines and storage that do not fit it, and what is left once it is deleted. */
  async function refusedSessions(source: string, prompt: readonly number[], other: { source: string; kv: string }) {
    const own = await engineOf(source, { kv: "f16" });
    const session = own.session();
    const early = await outcome(session.save("early"));
    await tokensOf(session, { tokens: prompt }, { maxTokens: 3 });
    const { bytes } = await session.save("a");
    const { conversation, ...listed } = (await own.sessions.list())[0]!;
    const [recipe, model, small] = [
      await engineOf(source, { kv: other.kv }),
      await engineOf(other.source, { kv: "f16" }),
      await engineOf(source, { kv: "f16", context: 64 }),
    ];
    const others = [];
    for (const engine of [recipe, model, small]) others.push(await outcome(engine.open("a")));
    const missing = await outcome(own.open("b"));
    await damageSaved();
    const damaged = await outcome(own.open("a"));
    const deleted = await own.sessions.delete("a");
    const left = (await caches.keys()).filter((name) => name.startsWith("longprompt-saved:")).length;
    session.dispose();
    const disposed = await outcome(session.save("a"));
    for (const engine of [own, recipe, model, small]) engine.dispose();
    const late = [await outcome(own.sessions.list()), await outcome(own.prefixes.delete())];
    return { early, listed, conversation, bytes, others, missing, damaged, deleted, left, disposed, late };
  }

  /** The last reply of a conversation, each turn with as many new tokens, in an engine of its own. */
  async function alone(source: string, options: LoadOptions, turns: readonly (readonly [readonly number[], number])[]) {
    const engine = await engineOf(source, options);
    const session = engine.session();
    let reply: number[] = [];
    for (const [tokens, maxTokens] of turns) reply = await tokensOf(session, { tokens }, { maxTokens });
    engine.dispose();
    return reply;
  }

  /** A fork and its original go on, one after the other, each as if the other one was not there. */
  async function forked(
    source: string,
    options: LoadOptions,
    prompt: readonly number[],
    question: readonly number[],
    first: "fork" | "original" = "fork",
  ) {
    const engine = await engineOf(source, options);
    const session = engine.session();
    const begun = await tokensOf(session, { tokens: prompt }, { maxTokens: 20 });
    const { kvBytes } = engine.stats();
    const fork = session.fork();
    const second = { tokens: [...prompt, ...begun, ...question] };
    const resume = async () => (await session.resume({ maxTokens: 30 }).result).tokens;
    const early = first === "original" ? await resume() : null;
    const asked = await fork.generate(second, { maxTokens: 20, ignoreEnd: true }).result;
    const resumed = early ?? (await resume());
    const grown = engine.stats().kvBytes - kvBytes;
    session.dispose();
    const conversation = await fork.conversation();
    const again = (await fork.resume({ maxTokens: 10 }).result).tokens;
    engine.dispose();
    const want = {
      resumed: await alone(source, options, [[prompt, 50]]),
      asked: await alone(source, options, [[prompt, 20], [second.tokens, 30]]), // prettier-ignore
    };
    const { tokens, stats } = asked;
    return { tokens, reusedTokens: stats.reusedTokens, resumed, again, want, grown, conversation };
  }

  /** Two questions about a text that is kept, and a turn after the second; the first again in an engine that reads what was kept. */
  async function askedTwice(
    source: string,
    options: LoadOptions,
    asked: Record<"text" | "question" | "other", number[]> & { opening: string },
  ) {
    const { text, question, other } = asked;
    const ask = async (engine: Engine, tokens: readonly number[]) => {
      const { result } = engine.session().generate({ tokens }, { maxTokens: 8, ignoreEnd: true });
      const { tokens: reply, stats } = await result;
      const { reusedTokens, evictedTokens, kvBytesPerToken, promptTokens } = stats;
      return { tokens: reply, reusedTokens, evictedTokens, kvBytes: Math.round(kvBytesPerToken * promptTokens) };
    };
    const engine = await engineOf(source, options);
    const { bytes, computedTokens } = await engine.prefixes.keep({ tokens: text });
    const first = await ask(engine, [...text, ...question]);
    const again = await ask(engine, [...text, ...other]);
    const next = await ask(engine, [...text, ...other, ...again.tokens, ...question]);
    const opening = await engine.tokenize(asked.opening);
    engine.dispose();
    const second = await engineOf(source, options);
    const kept = await second.prefixes.keep({ tokens: text });
    const reopened = { computedTokens: kept.computedTokens, ...(await ask(second, [...text, ...question])) };
    await second.prefixes.delete();
    second.dispose();
    return { bytes, computedTokens, opening, replies: [first, again, next], reopened };
  }

  /** Milliseconds for reading a prompt by the model, saving what came of it, and reading that in another engine. */
  async function timed(source: string, options: LoadOptions, prompt: readonly number[]) {
    const first = await engineOf(source, options);
    const session = first.session();
    const onPrefill = (done: number) => report(`${done} tokens of the prompt are read`);
    const { stats, tokens } = await session.generate({ tokens: prompt }, { maxTokens: 2, ignoreEnd: true, onPrefill })
      .result;
    const from = performance.now();
    const { bytes } = await session.save("timed");
    const saveMs = performance.now() - from;
    first.dispose();
    const second = await engineOf(source, options);
    const start = performance.now();
    const opened = await second.open("timed");
    const openMs = performance.now() - start;
    const resumed = await opened.resume({ maxTokens: 1 }).result;
    await second.sessions.delete();
    second.dispose();
    const { reusedTokens } = resumed.stats;
    return { prefillMs: stats.prefillMs, saveMs, openMs, bytes, tokens, resumed: resumed.tokens, reusedTokens };
  }

  return {
    resumed,
    timed,
    refusedSessions,
    forked,
    askedTwice,
    savingOpen: async (name: string, source: string, options: LoadOptions = {}) => {
      opened.set(name, await engineOf(source, options));
    },
    savingClose(name: string) {
      opened.get(name)!.dispose();
      opened.delete(name);
    },
    /** A reply of so many tokens, to be saved. */
    async ask(name: string, prompt: Prompt, maxTokens: number) {
      const session = opened.get(name)!.session();
      sessions.set(name, session);
      return tokensOf(session, prompt, { maxTokens });
    },
    /** A reply that is JSON: undisturbed, cut and gone on with, and cut, saved, opened and gone on with. */
    async constrained(name: string, prompt: Prompt, json: object, cut: number) {
      const engine = opened.get(name)!;
      const options = { constraint: await engine.constraint({ json }), temperature: 1, seed: 3 };
      const undisturbed = (await engine.session().generate(prompt, options).result).text;
      const session = engine.session();
      const first = await session.generate(prompt, { ...options, maxTokens: cut }).result;
      await session.save("json");
      const resumed = (await session.resume().result).text;
      const reopened = (await (await engine.open("json")).resume().result).text;
      await engine.sessions.delete("json");
      return { undisturbed, first: first.text, resumed, reopened };
    },
    saveAs: async (name: string, as: string) => void (await sessions.get(name)!.save(as)),
    /** Tokens of a saved reply, with so many more; and Caches of saves that there are. */
    async openAndResume(name: string, as: string, maxTokens: number) {
      const session = await opened.get(name)!.open(as);
      const before = (await session.conversation())!.reply.tokens.length;
      const { tokens } = await session.resume({ maxTokens }).result;
      const left = (await caches.keys()).filter((each) => each.startsWith("longprompt-saved:")).length;
      return { before, tokens, left };
    },
    /** Keeps the beginning of prompts, then answers one of them. */
    async keepAndAsk(name: string, prefix: Prompt, prompt: Prompt, maxTokens: number) {
      const engine = opened.get(name)!;
      const before = engine.stats().dispatches;
      const kept = await engine.prefixes.keep(prefix);
      const dispatches = engine.stats().dispatches - before;
      const options = { maxTokens, ignoreEnd: true };
      const { tokens, stats } = await engine.session().generate(prompt, options).result;
      const fresh = await tokensOf(engine.session(), prompt, { ...options, reuse: false });
      return { ...kept, dispatches, answer: tokens, fresh, reusedTokens: stats.reusedTokens };
    },
    prefixes: async (name: string) => (await opened.get(name)!.prefixes.list()).map(({ title }) => title),
    keepOnly: (name: string, prefix: Prompt, mostBytes: number) =>
      outcome(opened.get(name)!.prefixes.keep(prefix, { mostBytes })),
    deletePrefixes: (name: string, id?: string) => opened.get(name)!.prefixes.delete(id),
  };
}

/** Flips a bit of the last piece of the only save. */
async function damageSaved(): Promise<void> {
  const name = (await caches.keys()).find((each) => each.startsWith("longprompt-saved:session:"))!;
  const cache = await caches.open(name);
  const request = (await cache.keys()).at(-1)!;
  const bytes = new Uint8Array(await (await cache.match(request))!.arrayBuffer());
  bytes[9]! ^= 4;
  await cache.put(request, new Response(bytes));
}
