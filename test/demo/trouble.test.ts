// Every code of the engine's errors has its card, and the words of an error choose nothing.

import { expect, test } from "playwright/test";
import { explain } from "../../demo/shared/trouble.ts";
import { DeviceLostError, InputError, ModelError, UnsupportedError } from "../../src/index.ts";
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
  "bad-option": [input("bad-option"), "The engine did not accept this"],
  "bad-source": [input("bad-source"), "That is no model"],
  "bad-prompt": [input("bad-prompt"), "The model does not take this message"],
  "context-too-small": [input("context-too-small"), "Too long for the context"],
  disposed: [input("disposed"), "The model is no longer loaded"],
  "no-timestamps": [input("no-timestamps"), "This browser times no kernels"],
  "device-lost": [new DeviceLostError("x: y"), "The GPU went away"],
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
