// Every code of the engine's errors has its card, and the words of an error choose nothing.

import { expect, test } from "playwright/test";
import { shareOf } from "../../demo/chat/loading.ts";
import { fileKind } from "../../demo/shared/dropped.ts";
import { explain, tooLong } from "../../demo/shared/trouble.ts";
import { DeviceLostError, InputError, ModelError, UnsupportedError, WorkerLostError } from "../../src/index.ts";
import type { ErrorCode, InputCode, ModelCode, UnsupportedCode } from "../../src/index.ts";

const unsupported = (code: UnsupportedCode): Error => new UnsupportedError("x: y", { code });
const model = (code: ModelCode): Error => new ModelError("x: y", { code });
const input = (code: InputCode): Error => new InputError("x: y", { code });

const CARDS: Record<ErrorCode, readonly [Error, string]> = {
  "no-webgpu": [unsupported("no-webgpu"), "This browser gives the page no GPU"],
  "no-adapter": [unsupported("no-adapter"), "This browser gives the page no GPU"],
  "adapter-refused": [unsupported("adapter-refused"), "This graphics card refuses a part of the engine"],
  "out-of-memory": [unsupported("out-of-memory"), "Not enough memory"],
  "unsupported-model": [unsupported("unsupported-model"), "This engine cannot run that model"],
  "bad-file": [model("bad-file"), "The model's files do not fit together"],
  "not-found": [model("not-found"), "There is no such model"],
  "not-public": [model("not-public"), "No such model, or not a public one"],
  gated: [model("gated"), "This model asks for a login"],
  network: [model("network"), "No connection to the model's host"],
  "storage-full": [model("storage-full"), "The browser has no room to keep this model"],
  "bad-option": [input("bad-option"), "The engine did not accept this"],
  "bad-source": [input("bad-source"), "That is no model"],
  "bad-prompt": [input("bad-prompt"), "The model does not take this message"],
  "context-too-small": [input("context-too-small"), "Too long for the context"],
  "other-engine": [input("other-engine"), "It belongs to another model"],
  disposed: [input("disposed"), "The model is no longer loaded"],
  "no-timestamps": [input("no-timestamps"), "This browser times no kernels"],
  "device-lost": [new DeviceLostError("x: y"), "The GPU went away"],
  "no-worker": [unsupported("no-worker"), "The engine's worker does not start"],
  "worker-lost": [new WorkerLostError("x: y"), "The engine's worker went away"],
};

test("each code reaches its card, with the error's own words below", () => {
  for (const [code, [error, title]] of Object.entries(CARDS))
    expect(explain(error), code).toMatchObject({ title, detail: "x: y" });
  expect(explain(model("out-of-memory")).title).toBe("Not enough memory");
});

test("words choose no card", () => {
  const words = "out of memory; HTTP 404 gated; the context is too long; no public model; failed to fetch";
  expect(explain(new InputError(words)).title).toBe("The engine did not accept this");
  for (const error of [new Error(words), new TypeError(words), words])
    expect(explain(error)).toMatchObject({ title: "Something broke", detail: words });
});

test("on an insecure address the way out is another address", () => {
  Object.assign(globalThis, { isSecureContext: false });
  try {
    expect(explain(unsupported("no-webgpu")).title).toBe("WebGPU needs a secure address");
    expect(explain(unsupported("no-adapter")).title).toBe("This browser gives the page no GPU");
  } finally {
    Reflect.deleteProperty(globalThis, "isSecureContext");
  }
});

test("a repository of GGUF files is no failure: its files are offered", () => {
  const choices = [{ source: "https://x/m-Q4_K_M.gguf", precision: "Q4_K_M", bytes: 4e8 }];
  const error = new ModelError("x: no config.json", { code: "not-found", choices });
  expect(explain(error)).toMatchObject({ title: expect.stringContaining("choose one"), choices });
});

test("too long: the advice helps", () => {
  const error = input("context-too-small");
  const alone = tooLong({ message: 3000, all: 3500, context: 2048, trained: 2048 }, error);
  expect(alone.remedies).toEqual(["pickModel"]);
  expect(alone.advice).toEqual(["Shorten it by 953 tokens or more: alone, it already has 3,000."]);
  const full = tooLong({ message: 100, all: 2100, context: 2048, trained: 8192 }, error);
  expect(full.remedies).toEqual(["newChat", "settings", "pickModel"]);
  expect(full.advice.join()).toMatch(/alone, the message fits \(100 tokens\).*trained for 8,192 tokens/);
});

test("files are told apart by name, then by content", async () => {
  const kind = (name: string, content: BlobPart, type = ""): Promise<string> =>
    fileKind(new File([content], name, { type }));
  expect(await kind("x.gguf", "")).toBe("model");
  expect(await kind("config.json", "{}")).toBe("model");
  expect(await kind("notes.txt", "Grüße")).toBe("text");
  expect(await kind("notes", "é".repeat(3000))).toBe("text"); // the sample ends within a character or not
  expect(await kind("photo.jpg", new Uint8Array([255, 216]), "image/jpeg")).toBe("picture");
  expect(await kind("paper.pdf", "%PDF")).toBe("pdf");
  expect(await kind("letter.docx", "PK")).toBe("document");
  expect(await kind("tool.bin", new Uint8Array([0, 1, 2, 255]))).toBe("other");
});

test("every phase of loading has its own part of the bar, and none goes back", () => {
  const phases = ["open", "tokenizer", "download", "compile", "tune", "ready"] as const;
  const places = phases.flatMap((phase) => [null, 0.5, 1].map((share) => shareOf({ phase, share })));
  expect(places).toEqual(places.toSorted((a, b) => a - b));
  expect(shareOf({ phase: "download", share: 1 })).toBeLessThan(0.8);
  expect(places.at(-1)).toBe(1);
});
