// What the tests of saved sessions call inside a page.
import { type Engine, type GenerateOptions, load, type LoadOptions, type Prompt, type Session } from "../src/index.ts";

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
  const engineOf = async (source: string, options: LoadOptions) =>
    load(new URL(source, location.href).href, { tune: "off", device: await deviceOf(), context: 512, ...options });

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
    second.dispose();
    await second.sessions.delete();
    return results;
  }

  return {
    resumed,
    savingOpen: async (name: string, source: string, options: LoadOptions = {}) => {
      opened.set(name, await engineOf(source, options));
    },
    savingClose(name: string) {
      opened.get(name)!.dispose();
      opened.delete(name);
    },
    /** Runs `code`, the body of an async function of an engine and what helps with it. */
    saving: async <T>(name: string, code: string, ...args: unknown[]): Promise<T> => {
      const run = new Function("engine", "outcome", "args", `return (async () => {${code}})()`);
      return (await run(opened.get(name), outcome, args)) as T;
    },
  };
}
