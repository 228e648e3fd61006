// An engine behind a port, in one process: messages are copied as between threads, and the model is a fake.
import { readFileSync } from "node:fs";
import { MessageChannel } from "node:worker_threads";
import type { Engine, EngineStats, GenerateOptions, Generation, ModelInfo, Session } from "../../src/api.ts";
import { ChatSession, type Speaker } from "../../src/chat/session.ts";
import { TokenEngine } from "../../src/engine/engine.ts";
import type { Batch, Launched } from "../../src/model/model.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { ThreadEngine } from "../../src/thread/engine.ts";
import { Host } from "../../src/thread/host.ts";
import { Language, type LanguageFiles, languageFiles } from "../../src/thread/language.ts";
import { Link } from "../../src/thread/link.ts";
import { type FromWorker, type Service, SERVICE, type ToWorker } from "../../src/thread/protocol.ts";
import { Target } from "../../src/thread/target.ts";
import { FakeModel } from "../engine/fake.ts";

const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(`demo/models/fable/${name}`, "utf8"));
const FILES = { json: json("tokenizer.json"), config: json("tokenizer_config.json") };
export const tokenizer = await Tokenizer.create(FILES);

/** A fake whose steps wait while its gate is shut. */
export class GatedModel extends FakeModel {
  #gate: Promise<void> = Promise.resolve();
  open: () => void = () => {};

  shut(): void {
    this.#gate = new Promise((resolve) => (this.open = resolve));
  }

  override async submit(batch: Batch): Promise<Launched> {
    await this.#gate;
    return super.submit(batch);
  }
}

/** What is asked of an engine beside its replies; a test gives what it needs. */
type Given = Partial<Omit<Engine, "session" | "model" | "stats">>;

interface FakeEngine extends Engine {
  /** What replies were asked with, and those that were begun. */
  asked: (GenerateOptions | undefined)[];
  replies: Generation[];
}

/** An engine whose replies are the fake model's. */
export function engineOver(model: FakeModel, given: Given = {}): FakeEngine {
  const engine = new TokenEngine(model);
  const price = () => ({ kvBytesPerToken: 2, evictedTokens: 0 });
  const open: Speaker["open"] = (last) => new ChatSession(speaker, last);
  const speaker = { tokenizer, template: null, endTokens: new Set(), engine, price, open } as unknown as Speaker;
  const sessions: ChatSession[] = [];
  const asked: FakeEngine["asked"] = [];
  const replies: Generation[] = [];
  const made: Pick<FakeEngine, "model" | "stats" | "session" | "dispose" | "asked" | "replies"> = {
    model: { name: "fake", context: engine.context } as ModelInfo,
    stats: () => ({ submits: model.batches.length }) as EngineStats,
    session: () => {
      const session = new ChatSession(speaker);
      sessions.push(session);
      const answer = session.generate.bind(session);
      const generate: Session["generate"] = (prompt, options) => {
        asked.push(options);
        const reply = answer(prompt, options);
        replies.push(reply);
        return reply;
      };
      return Object.assign(session, { generate });
    },
    dispose: () => sessions.forEach((session) => session.dispose()),
    asked,
    replies,
  };
  return { ...made, ...given } as FakeEngine;
}

export interface Served {
  engine: ThreadEngine;
  link: Link;
  /** From the worker, in order. */
  heard: FromWorker[];
  /** Whether the page has ended the worker. */
  ended: () => boolean;
  close: () => void;
}

/** The page's side of an engine that a worker has. */
export async function served(engine: Engine, more: Partial<Service> = {}): Promise<Served> {
  const { port1: page, port2: worker } = new MessageChannel();
  const load: Service["load"] = async (_, { onLanguage }) => {
    onLanguage(languageFiles(FILES, null));
    return engine;
  };
  const host = new Host((message) => worker.postMessage(message, []), { load, ...more } as Service);
  worker.on("message", (message: ToWorker) => host.hear(message));
  const heard: FromWorker[] = [];
  let isEnded = false;
  const link = new Link({ post: (message) => page.postMessage(message, []), close: () => (isEnded = true) });
  page.on("message", (message: FromWorker) => {
    heard.push(message);
    link.hear(message);
  });
  const service = new Target<Service>(link, SERVICE);
  let files: LanguageFiles | null = null;
  const { target, made } = service.make("load", "model/", { onLanguage: (told) => void (files = told) });
  await made;
  const called = { engine: target, home: { service, engines: 0 }, language: await Language.of(files!) };
  return {
    engine: await ThreadEngine.of(called),
    link,
    heard,
    ended: () => isEnded,
    close: () => page.close(),
  };
}
