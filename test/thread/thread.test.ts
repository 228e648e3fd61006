// The protocol between a page and the worker of its engine, over a port in one process.
import { expect, test } from "playwright/test";
import type {
  ChatCompletionChunk,
  ChatCompletions,
  ConvertOptions,
  DistilOptions,
  Engine,
  KeptPrefix,
  Token,
} from "../../src/api.ts";
import * as errors from "../../src/errors.ts";
import { DeviceLostError, InputError, ModelError, UnsupportedError, WorkerLostError } from "../../src/errors.ts";
import { load } from "../../src/start.ts";
import { packError, unpackError } from "../../src/thread/errors.ts";
import { Host } from "../../src/thread/host.ts";
import type { Call, FromWorker, Service } from "../../src/thread/protocol.ts";
import { openStream } from "../../src/thread/stream.ts";
import type { Target } from "../../src/thread/target.ts";
import { continuation, FakeModel } from "../engine/fake.ts";
import { engineOver, GatedModel, served, tokenizer } from "./served.ts";

const PROMPT = [3, 1, 4, 1, 5, 9, 2, 6];
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve, 0));

async function read(tokens: AsyncIterable<Token>, most = Infinity): Promise<number[]> {
  const ids: number[] = [];
  for await (const { id } of tokens) if (ids.push(id) === most) break;
  return ids;
}

test("replies are those of the engine itself, several at once, and a late reader gets all tokens", async () => {
  const { engine, close } = await served(engineOver(new FakeModel()));
  const prompts = [0, 1, 2, 3, 4, 5].map((i) => [i, ...PROMPT]);
  const replies = prompts.map((tokens) => engine.session().generate({ tokens }, { maxTokens: 20 }));
  const streamed = await Promise.all(replies.map((reply) => read(reply)));
  expect(streamed).toEqual(prompts.map((tokens) => continuation(tokens, 20, 97)));
  const results = await Promise.all(replies.map(({ result }) => result));
  expect(results.map(({ tokens }) => tokens)).toEqual(streamed);
  expect(results[0]).toMatchObject({
    finish: "length",
    promptTokens: prompts[0],
    text: tokenizer.decode(streamed[0]!, { skipSpecial: true }),
  });
  expect(await read(replies[0]!)).toEqual(streamed[0]);
  close();
});

test("model, stats and the tokenizer answer without waiting; stats are those at the last reply's end", async () => {
  const model = new FakeModel();
  const { engine, close } = await served(engineOver(model));
  expect(engine.model).toEqual({ name: "fake", context: 2048 });
  expect(engine.stats()).toEqual({ submits: 0 });
  await engine.session().generate({ tokens: PROMPT }, { maxTokens: 5 }).result;
  expect(engine.stats()).toEqual({ submits: model.batches.length });
  const text = "Once upon a time";
  expect(engine.tokenize(text)).toEqual(tokenizer.encode(text));
  expect(engine.detokenize(engine.tokenize(text, { addSpecial: false }))).toBe(text);
  expect(() => engine.render([])).toThrow(InputError);
  close();
});

test("a reply that was cut goes on, in its session and in a fork, and the worker tells of it", async () => {
  const { engine, close } = await served(engineOver(new FakeModel()));
  const session = engine.session();
  const whole = continuation(PROMPT, 12, 97);
  expect((await session.generate({ tokens: PROMPT }, { maxTokens: 5 }).result).tokens).toEqual(whole.slice(0, 5));
  const fork = session.fork();
  const reply = session.resume({ maxTokens: 7 });
  expect(await read(reply)).toEqual(whole.slice(5));
  expect((await reply.result).tokens).toEqual(whole);
  expect(await session.conversation()).toMatchObject({ prompt: { tokens: PROMPT }, reply: { tokens: whole } });
  expect(await read(fork.resume({ maxTokens: 2 }))).toEqual(whole.slice(5, 7));
  session.dispose();
  expect(() => session.resume()).toThrow(InputError);
  await expect(engine.session().resume().result).rejects.toThrow("resume: got no reply that was cut");
  close();
});

test("sessions are opened, and beginnings kept, by the worker", async () => {
  const asked: unknown[] = [];
  const own = engineOver(new FakeModel());
  const given: Partial<Engine> = {
    open: async (name) => (asked.push(name), own.session()),
    sessions: { list: async () => [], delete: async (name) => asked.push(name) },
    prefixes: {
      keep: async (prompt, { onPrefill } = {}) => {
        onPrefill!(3, 4);
        return { id: "a", tokens: asked.push(prompt) } as KeptPrefix & { computedTokens: number };
      },
      list: async () => [],
      delete: async () => 7,
    },
  };
  const { engine, close } = await served(Object.assign(own, given));
  const opened = await engine.open("notes");
  expect(await read(opened.generate({ tokens: PROMPT }, { maxTokens: 3 }))).toEqual(continuation(PROMPT, 3, 97));
  expect([await engine.sessions.list(), await engine.sessions.delete("old")]).toEqual([[], 2]);
  const told: number[] = [];
  const onPrefill = (done: number, total: number) => void told.push(done, total);
  expect(await engine.prefixes.keep({ text: "x" }, { onPrefill })).toMatchObject({ id: "a", tokens: 3 });
  expect(told).toEqual([3, 4]);
  expect([await engine.prefixes.list(), await engine.prefixes.delete()]).toEqual([[], 7]);
  expect(asked).toEqual(["notes", "old", { text: "x" }]);
  engine.dispose();
  await expect(engine.sessions.delete()).rejects.toThrow("engine: it was disposed"); // as without a worker
  close();
});

for (const how of ["the signal", "leaving the loop", "dispose"])
  test(`${how} ends a reply while a step waits, and no step follows it`, async () => {
    const model = new GatedModel();
    const { engine, close } = await served(engineOver(model));
    const stopping = new AbortController();
    const session = engine.session();
    const reply = session.generate({ tokens: PROMPT }, { signal: stopping.signal });
    const ids: number[] = [];
    let stepsAtEnd = 0;
    for await (const { id } of reply) {
      if (ids.push(id) < 5) continue;
      model.shut();
      await turn();
      await turn(); // the last step before the gate is done
      stepsAtEnd = model.batches.length;
      if (how === "the signal") stopping.abort();
      if (how === "dispose") session.dispose();
      break;
    }
    const { finish, tokens } = await reply.result; // though the gate is shut
    expect(finish).toBe("abort");
    expect(tokens.slice(0, 5)).toEqual(ids);
    expect(tokens).toEqual(continuation(PROMPT, tokens.length, 97));
    model.open();
    await turn();
    await turn();
    expect(model.batches.length - stepsAtEnd).toBeLessThanOrEqual(1);
    if (how === "dispose") expect(() => session.generate({ tokens: PROMPT })).toThrow(InputError);
    else expect(await read(session.generate({ tokens: PROMPT }, { maxTokens: 3 }))).toHaveLength(3);
    close();
  });

test("a signal that was aborted before ends a reply before its first step", async () => {
  const model = new FakeModel();
  const { engine, close } = await served(engineOver(model));
  const reply = engine.session().generate({ tokens: PROMPT }, { signal: AbortSignal.abort() });
  expect(await reply.result).toMatchObject({ finish: "abort", tokens: [] });
  expect(model.batches).toHaveLength(0);
  close();
});

test("what generate throws elsewhere rejects the reply and its readers, with class, code and message", async () => {
  const { engine, close } = await served(engineOver(new FakeModel({ blocks: 1 })));
  const reply = engine.session().generate({ tokens: Array.from({ length: 40 }, () => 1) });
  const error = await reply.result.catch((cause: unknown) => cause);
  expect(error).toBeInstanceOf(InputError);
  expect(error).toMatchObject({ code: "context-too-small", message: expect.stringContaining("got 40 tokens") });
  await expect(read(reply)).rejects.toBe(error);
  close();
});

test("an error keeps its class, code, message, choices and cause", () => {
  const choices = [{ source: "a/b.gguf", precision: "Q4_K_M", bytes: 5 }];
  const made = [
    new UnsupportedError("a", { code: "no-adapter", cause: new RangeError("why") }),
    new ModelError("b", { code: "gated", choices }),
    new InputError("c"),
    new DeviceLostError("d"),
    new WorkerLostError("e"),
    new TypeError("f"),
    new Error("g", { cause: "text" }),
    new DOMException("h", "QuotaExceededError"),
    "a text",
    undefined,
  ];
  for (const error of made) {
    const got = unpackError(structuredClone(packError(error)));
    expect(got).toEqual(error);
    if (!(error instanceof Error)) continue;
    expect(Object.getPrototypeOf(got)).toBe(Object.getPrototypeOf(error));
    expect({ ...(got as Error), name: (got as Error).name, cause: (got as Error).cause }).toEqual({
      ...error,
      name: error.name,
      cause: error.cause,
    });
  }
  const classes = Object.values(errors).filter(
    (each) => typeof each === "function" && String(each).startsWith("class"),
  );
  const known = made.map((error) => error?.constructor);
  expect(classes.filter((each) => each !== errors.EngineError && !known.includes(each))).toEqual([]);
  expect(unpackError(packError(turn))).toBe(String(turn)); // what cannot be copied
});

test("a call that was aborted rejects with the very reason of the page", async () => {
  const asked: AbortSignal[] = [];
  const score: Engine["score"] = (_, { signal } = {}) =>
    new Promise((_, reject) => {
      asked.push(signal!);
      signal!.addEventListener("abort", () => reject(signal!.reason));
    });
  const { engine, close } = await served(engineOver(new FakeModel(), { score }));
  const reason = { why: () => "no such thing can be sent" };
  const stopping = new AbortController();
  const scored = engine.score([1], { signal: stopping.signal }).catch((error: unknown) => error);
  await turn();
  stopping.abort(reason);
  expect(await scored).toBe(reason);
  expect(asked[0]!.aborted).toBe(true);
  close();
});

test("callbacks are called in order; one that throws ends its reply with its own error, and no other reply", async () => {
  const model = new FakeModel({ rows: 1 });
  const { engine, close } = await served(engineOver(model));
  const session = engine.session();
  const seen: number[] = [];
  const onPrefill = (done: number, total: number): number => seen.push(done, total);
  await session.generate({ tokens: PROMPT }, { maxTokens: 3, onPrefill }).result;
  expect(seen.length).toBeGreaterThan(4);
  expect(seen.slice(-2)).toEqual([8, 8]);
  const error = new Error("mine");
  const other = session.generate({ tokens: [7, ...PROMPT] }, { maxTokens: 9 });
  const failing = session.generate(
    { tokens: PROMPT },
    {
      onPrefill: () => {
        throw error;
      },
    },
  );
  await expect(failing.result).rejects.toBe(error);
  await expect(read(failing)).rejects.toBe(error);
  expect(await read(other)).toEqual(continuation([7, ...PROMPT], 9, 97));
  const steps = model.batches.length;
  await turn();
  await turn();
  expect(model.batches.length - steps).toBeLessThanOrEqual(1); // the failed reply asked for all of the context
  close();
});

test("a training waits for what onCheckpoint does, and hears that it failed", async () => {
  const order: string[] = [];
  const trained = engineOver(new FakeModel());
  const distil = async (_: Engine, __: object, { onCheckpoint }: DistilOptions): Promise<Engine> => {
    order.push("step");
    await onCheckpoint!(Uint8Array.of(1, 2));
    order.push("next step");
    return trained;
  };
  const { engine, close } = await served(engineOver(new FakeModel()), { distil });
  const onCheckpoint = async (bytes: Uint8Array): Promise<void> => {
    await turn();
    order.push(`saved ${bytes}`);
  };
  const student = await engine.distil({ layers: 1, group: 1 }, { texts: "a", onCheckpoint });
  expect(order).toEqual(["step", "saved 1,2", "next step"]);
  expect(await read(student.session().generate({ tokens: PROMPT }, { maxTokens: 4 }))).toHaveLength(4);
  const full = new DOMException("full", "QuotaExceededError");
  const failing = engine.distil({ layers: 1, group: 1 }, { texts: "a", onCheckpoint: () => Promise.reject(full) });
  await expect(failing).rejects.toBe(full);
  expect(order.filter((each) => each === "next step")).toHaveLength(1);
  close();
});

test("what an object was made with is called for as long as it lives", async () => {
  let tell: ConvertOptions["onProgress"];
  const convert: Service["convert"] = async (_, __, { onProgress }) => {
    tell = onProgress;
    return engineOver(new FakeModel());
  };
  const { engine, close } = await served(engineOver(new FakeModel()), { convert });
  const seen: number[] = [];
  await engine.convert(false, { onProgress: ({ tokens }) => void seen.push(tokens) });
  tell!({ phase: "read", tokens: 5, totalTokens: 9, secondsLeft: null });
  await expect.poll(() => seen).toEqual([5]);
  close();
});

test("objects of the worker go back to it as themselves", async () => {
  const made = { spec: { grammar: "root ::= 1" } };
  const inner = engineOver(new FakeModel(), { constraint: async () => made });
  const saved: Engine[] = [];
  const saveStudent = async (engine: Engine) => {
    saved.push(engine);
    return Uint8Array.of(7);
  };
  const { engine, close } = await served(inner, { saveStudent });
  const constraint = await engine.constraint(made.spec);
  expect(constraint).toEqual(made);
  const reply = engine.session().generate({ tokens: PROMPT }, { constraint });
  await expect(reply.result).rejects.toThrow("want what engine.constraint() of this engine returned"); // the fake's is none
  expect(inner.asked[0]!.constraint).toBe(made);
  expect(await engine.studentFile()).toEqual(Uint8Array.of(7));
  expect(saved[0]).toBe(inner);
  close();
});

test("an argument that cannot go to a worker is refused by name", async () => {
  const { engine, close } = await served(engineOver(new FakeModel()));
  const variables = { now: () => 5 };
  const reply = engine.session().generate({ messages: [], variables });
  await expect(reply.result).rejects.toThrow(InputError);
  await expect(reply.result).rejects.toThrow(/^worker: generate; got an argument/);
  expect(await read(engine.session().generate({ tokens: PROMPT }, { maxTokens: 2 }))).toHaveLength(2);
  close();
});

test("a page that takes nothing up is sent few tokens, and the reply goes on without it", async () => {
  const heard: FromWorker[] = [];
  const inner = engineOver(new FakeModel());
  const service: Partial<Service> = { load: async () => inner };
  const host = new Host((message) => heard.push(message), service as Service);
  const call = (asked: Pick<Call, "call" | "object" | "path" | "args" | "makes" | "room">): void =>
    host.hear({ type: "call", places: [], ...asked });
  call({ call: 1, object: 0, path: ["load"], args: ["", {}], makes: 1, room: 0 });
  call({ call: 2, object: 1, path: ["session"], args: [], makes: 2, room: 0 });
  const args = [{ tokens: PROMPT }, { maxTokens: 50 }];
  call({ call: 3, object: 2, path: ["generate"], args, makes: null, room: 4 });
  await expect.poll(() => inner.replies.length).toBe(1);
  expect((await inner.replies[0]!.result).tokens).toHaveLength(50);
  const sent = (): number => heard.filter(({ type }) => type === "item").length;
  expect(sent()).toBe(4);
  host.hear({ type: "more", call: 3, count: 10 });
  await turn();
  expect(sent()).toBe(14);
  host.hear({ type: "leave", call: 3 });
  await turn();
  expect(heard.at(-1)).toMatchObject({ type: "done", call: 3, value: { finish: "length" } });
});

/** Chunks from 0 on, and how many of them were asked for. */
function counting(count: number) {
  const state = { made: 0, left: false };
  async function* chunks() {
    try {
      while (state.made < count) yield { created: state.made++ } as ChatCompletionChunk;
    } finally {
      state.left = state.made < count;
    }
  }
  return { state, chunks };
}

test("streams: made as far ahead as there is room, left when their reader leaves", async () => {
  const { state, chunks } = counting(100);
  const signals: AbortSignal[] = [];
  const create = async (_: object, { signal }: { signal?: AbortSignal } = {}) => {
    signals.push(signal!);
    return chunks();
  };
  const { engine, close } = await served(
    engineOver(new FakeModel(), {
      chat: { completions: { create: create as unknown as ChatCompletions["create"] } },
    }),
  );
  const stream = await engine.chat.completions.create({ messages: [], stream: true });
  await turn();
  await turn();
  expect(state.made).toBe(16);
  const seen: number[] = [];
  for await (const { created } of stream) if (seen.push(created) === 20) break;
  expect(seen).toEqual(Array.from({ length: 20 }, (_, i) => i));
  await turn();
  await turn();
  expect(state).toEqual({ made: 36, left: true });
  expect(signals[0]!.aborted).toBe(true);
  close();
});

test("a stream that there will not be rejects the call; one that breaks rejects its reader after what came before", async () => {
  const broken = new ModelError("broken", { code: "network" });
  async function* pieces() {
    yield { file: "a", bytes: Uint8Array.of(1) };
    throw broken;
  }
  const create = async (): Promise<never> => {
    throw new InputError("no", { code: "bad-prompt" });
  };
  const { engine, close } = await served(engineOver(new FakeModel(), { chat: { completions: { create } } }), {
    saveCheckpoint: pieces,
  });
  await expect(engine.chat.completions.create({ messages: [], stream: true })).rejects.toMatchObject({
    name: "InputError",
    code: "bad-prompt",
  });
  const files = engine.checkpointFiles("model/");
  expect((await files.next()).value).toEqual({ file: "a", bytes: Uint8Array.of(1) });
  await expect(files.next()).rejects.toEqual(broken);
  close();
});

test("where the worker dies, what runs and what comes later fails with one error, and stats stay", async () => {
  const model = new GatedModel();
  const score = () => new Promise<never>(() => {});
  const { engine, link, ended, close } = await served(engineOver(model, { score }));
  const session = engine.session();
  const reply = session.generate({ tokens: PROMPT });
  const scored = engine.score([1]);
  const seen: number[] = [];
  const reading = (async () => {
    for await (const { id } of reply) if (seen.push(id) === 3) model.shut();
  })();
  const outcomes = Promise.all([reply.result, reading, scored].map((each) => each.catch((error: unknown) => error)));
  await expect.poll(() => seen.length).toBeGreaterThan(2);
  const error = new WorkerLostError("worker: it went away");
  link.die(error);
  expect(await outcomes).toEqual([error, error, error]);
  expect(ended()).toBe(true);
  await expect(session.generate({ tokens: PROMPT }).result).rejects.toBe(error);
  await expect(engine.score([1])).rejects.toBe(error);
  await expect(engine.chat.completions.create({ messages: [], stream: true })).rejects.toBe(error);
  expect(() => engine.session()).toThrow(error);
  expect(engine.stats()).toEqual({ submits: expect.any(Number) });
  session.dispose();
  engine.dispose();
  model.open();
  close();
});

test("dispose ends replies, then the worker, with the last engine of it; later calls say so", async () => {
  const twin = engineOver(new FakeModel());
  const convert = async (): Promise<Engine> => twin;
  const { engine, ended, close } = await served(engineOver(new FakeModel()), { convert });
  const second = await engine.convert(false, {});
  const reply = engine.session().generate({ tokens: PROMPT });
  await read(reply, 2);
  const running = engine.session().generate({ tokens: PROMPT });
  engine.dispose();
  engine.dispose();
  expect(await running.result).toMatchObject({ finish: "abort" });
  await expect(engine.score([1])).rejects.toMatchObject({ name: "InputError", code: "disposed" });
  expect(() => engine.session()).toThrow(InputError);
  expect(ended()).toBe(false);
  expect(await read(second.session().generate({ tokens: PROMPT }, { maxTokens: 3 }))).toHaveLength(3);
  const last = second.session().generate({ tokens: PROMPT });
  second.dispose();
  expect(await last.result).toMatchObject({ finish: "abort" });
  await turn();
  expect(ended()).toBe(true);
  close();
});

test("without workers, as in Node, load says so", async () => {
  await expect(load("org/model", { worker: true })).rejects.toMatchObject({
    name: "UnsupportedError",
    code: "no-worker",
  });
});

test("a method is called as what it gives: data, an object that stays, or a stream", () => {
  const typed = (target: Target<Engine>): void => {
    void target.call("score", [1]);
    void target.make("session");
    // @ts-expect-error: a session stays in the worker
    void target.call("session");
    // @ts-expect-error: what score gives is data
    void target.make("score", [1]);
    // @ts-expect-error: tokens are numbers
    void target.call("score", ["a"]);
    // @ts-expect-error: no stream
    openStream(target, "stats", []);
  };
  expect(typed).toBeInstanceOf(Function);
});
