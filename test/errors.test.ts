// What a program can tell errors apart by: each place gives the code that the table in src/errors.ts promises.

import { expect, test } from "playwright/test";
import { TokenEngine } from "../src/engine/engine.ts";
import { DeviceLostError, EngineError, InputError, ModelError, UnsupportedError } from "../src/errors.ts";
import { openCheckpoint } from "../src/io/checkpoint.ts";
import { load } from "../src/load.ts";
import { ChatTemplate } from "../src/text/chat.ts";
import { FakeModel } from "./engine/fake.ts";

async function codeOf(work: () => unknown): Promise<unknown> {
  try {
    await work();
  } catch (error) {
    return error instanceof EngineError ? error.code : error;
  }
  return "no error";
}

test("each class has a code of its own, takes a finer one, and keeps its cause", () => {
  const cause = new Error("why");
  expect(new UnsupportedError("x").code).toBe("unsupported-model");
  expect(new ModelError("x").code).toBe("bad-file");
  expect(new InputError("x").code).toBe("bad-option");
  expect(new DeviceLostError("x").code).toBe("device-lost");
  expect(new InputError("x", { code: "disposed", cause })).toMatchObject({ code: "disposed", cause, message: "x" });
  expect(new ModelError("x", { cause })).toMatchObject({ code: "bad-file", cause, name: "ModelError" });
  expect("cause" in new ModelError("x")).toBe(false);
});

test("a source that is none", async () => {
  for (const source of ["no such thing", "/folder/", [], [new File([], "a.txt")], 5])
    expect(await codeOf(() => openCheckpoint(source as string, {})), String(source)).toBe("bad-source");
});

/** Opens a model of a host that gives every request the same answer. */
const answered = (source: string, status: number, code = "") =>
  codeOf(() => {
    const headers = { "x-error-code": code };
    return openCheckpoint(source, { fetch: async () => new Response(null, { status, headers }), retryMs: 0 });
  });

test("what a host answers", async () => {
  expect(await answered("org/model", 401)).toBe("not-public");
  expect(await answered("org/model", 403, "GatedRepo")).toBe("gated");
  expect(await answered("org/model", 404, "RevisionNotFound")).toBe("not-found");
  expect(await answered("https://host.example/model/", 403)).toBe("not-public");
  expect(await answered("https://host.example/model/", 404)).toBe("not-found");
  expect(await answered("https://host.example/model.gguf", 404)).toBe("not-found");
  for (const status of [418, 503]) expect(await answered("https://host.example/model/", status)).toBe("network");
  const offline = async (): Promise<Response> => Promise.reject(new TypeError("Failed to fetch"));
  expect(await codeOf(() => openCheckpoint("org/model", { fetch: offline, retryMs: 0 }))).toBe("network");
});

test("files that are there and wrong", async () => {
  expect(await codeOf(() => openCheckpoint([new File(["<html>"], "model.gguf")], {}))).toBe("bad-file");
  expect(await codeOf(() => openCheckpoint([new File(["{"], "config.json")], {}))).toBe("bad-file");
  expect(await codeOf(() => openCheckpoint([new File(["{}"], "config.json")], {}))).toBe("not-found"); // no weights
});

test("a prompt that cannot be taken", async () => {
  const engine = new TokenEngine(new FakeModel({ blocks: 1, vocabulary: 10 })); // 32 tokens of context
  const check = (prompt: number[], maxTokens = 1) => codeOf(() => engine.check({ prompt, maxTokens }));
  expect(await check([])).toBe("bad-prompt");
  expect(await check([10])).toBe("bad-prompt");
  expect(await check(Array.from({ length: 32 }, () => 1))).toBe("context-too-small");
  expect(await check([1], 0)).toBe("bad-option");
  const template = new ChatTemplate("{{ raise_exception('no') }}", {});
  expect(await codeOf(() => template.render([{ role: "user", content: "a" }]))).toBe("bad-prompt");
});

test("where there is no navigator, as in Node 20, load says what is missing", async () => {
  const own = Object.getOwnPropertyDescriptor(globalThis, "navigator");
  Reflect.deleteProperty(globalThis, "navigator");
  try {
    await expect(load("org/model")).rejects.toMatchObject({ name: "UnsupportedError", code: "no-webgpu" });
  } finally {
    if (own) Object.defineProperty(globalThis, "navigator", own);
  }
});
