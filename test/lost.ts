// What the tests of lost devices call inside the page: a loss at a given point, and the tokens that come all the same.
import { type EngineEvent, load, type LoadOptions, type Prompt } from "../src/index.ts";
import { destructible } from "./device.ts";
import { report } from "./progress.ts";

/** When a device goes away: so many milliseconds after report number `at` of a phase (0: the first). */
export interface Point {
  phase: "load" | "prefill" | "decode" | "save" | "idle";
  at: number;
  delay: number;
}

export interface Outlasted {
  /** Of a reply, of how it goes on once it was saved and opened, and the same of one that follows it. */
  tokens: number[][];
  events: EngineEvent["type"][];
  losses: number;
  /** Reports of each phase. */
  counts: Record<Point["phase"], number>;
}

declare global {
  /** Ends the browser's GPU process: what a test offers to the page. */
  var killGpu: () => Promise<void>;
}

const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * Loads a model and asks for two replies, which are saved, opened and go on, with pauses between; the device goes away at `point`, by `device.destroy()` or with
 * the GPU process.
 */
async function lostAt(
  source: string,
  prompts: readonly [Prompt, Prompt],
  options: LoadOptions,
  point: Point | null,
  how: "destroy" | "kill",
): Promise<Outlasted> {
  const made = destructible();
  const counts = { load: 0, prefill: 0, decode: 0, save: 0, idle: 0 };
  let gone: Promise<unknown> = Promise.resolve();
  const lose = () => (how === "kill" ? globalThis.killGpu() : made.destroy());
  const reached = (phase: Point["phase"]) => {
    report(`${phase} ${counts[phase]}`);
    if (point?.phase === phase && counts[phase] === point.at) gone = sleep(point.delay).then(lose);
    counts[phase]++;
  };
  const events: EngineEvent["type"][] = [];
  const engine = await load(new URL(source, location.href).href, {
    ...options,
    ...(how === "destroy" && { device: made.device }),
    onProgress: () => reached("load"),
    onEvent: ({ type }) => void events.push(type),
  });
  const tokens: number[][] = [];
  for (const prompt of prompts) {
    const session = engine.session();
    const reply = session.generate(prompt, { maxTokens: 24, ignoreEnd: true, onPrefill: () => reached("prefill") });
    for await (const _ of reply) reached("decode");
    tokens.push((await reply.result).tokens);
    reached("save");
    await session.save("lost");
    const saved = await engine.open("lost");
    tokens.push((await saved.resume({ maxTokens: 32 }).result).tokens);
    reached("idle");
    await sleep(20);
  }
  await gone;
  if (point) while (events.length === 0) await sleep(10); // a device that goes away says so later
  const after = await engine.session().generate(prompts[0], { maxTokens: 24, ignoreEnd: true }).result;
  tokens.push(after.tokens);
  const { deviceLosses: losses } = engine.stats();
  engine.dispose();
  return { tokens, events, losses, counts };
}

/** GPU processes that end, one after the other, until the browser gives no adapter any more: how a reply ends then. */
async function killedForGood(source: string, prompt: Prompt, options: LoadOptions) {
  const events: EngineEvent["type"][] = [];
  const onEvent = ({ type }: EngineEvent) => void events.push(type);
  const engine = await load(new URL(source, location.href).href, { ...options, onEvent });
  const outcomes: string[] = [];
  for (let kill = 0; kill < 2; kill++) {
    await globalThis.killGpu();
    const { result } = engine.session().generate(prompt, { maxTokens: 4, ignoreEnd: true });
    outcomes.push(
      await result.then(
        () => "fulfilled",
        (error: Error) => error.name,
      ),
    );
  }
  engine.dispose();
  return { outcomes, events };
}

export const losses = { lostAt, killedForGood };
