// The local server: who is let in, and the `openai` client against Fable behind it.

import { spawn } from "node:child_process";
import { once } from "node:events";
import { type IncomingMessage, request as send, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import OpenAI from "openai";
import { expect, test as base } from "playwright/test";
import { type Backend, apiServer } from "../../demo/server/http.mjs";

const SERVE = join(import.meta.dirname, "../../demo/server/serve.mjs");

/** Answers with what it was asked; streams a hundred chunks unless it is stopped. */
class Echo implements Backend {
  readonly model = "echo";
  readonly created = 1;
  readonly stopped: boolean[] = [];
  /** Bytes of a chunk. */
  size = 10;

  async run(kind: string, body: { stream?: boolean }, { signal, onChunk }: Parameters<Backend["run"]>[2]) {
    if ("fail" in body) throw Object.assign(new Error("a path on the disk"), { code: null });
    if ("wrong" in body) throw Object.assign(new Error("wrong: got 1"), { code: "bad-option", caller: true });
    if (!body.stream) return { kind, body };
    for (let i = 0; i < 100 && !signal.aborted; i++) {
      onChunk({ text: "x".repeat(this.size) });
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    this.stopped.push(signal.aborted);
    return null;
  }
}

async function listening(server: Server): Promise<number> {
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

interface Sent {
  method?: string;
  path?: string;
  headers?: Record<string, string>;
  body?: string;
}

/** Status and body. Node's own client, because fetch sets no Host. */
async function ask(port: number, { method = "POST", path = "/v1/completions", headers = {}, body = "{}" }: Sent) {
  const type = { "content-type": "application/json" };
  const call = send({ port, host: "127.0.0.1", method, path, headers: { ...type, ...headers } });
  const answered = new Promise<IncomingMessage>((resolve) => call.on("response", resolve));
  call.on("error", () => {}); // a body that is too large is not read to its end
  call.end(method === "POST" ? body : undefined);
  const response = await answered;
  let text = "";
  for await (const piece of response) text += piece;
  return { status: response.statusCode, text };
}

base("who is let in: this machine's names, allowed pages, the right token, bounded JSON", async () => {
  const server = apiServer(new Echo(), { token: "sesame", cors: "https://app.example" });
  const port = await listening(server);
  const right = { authorization: "Bearer sesame" };
  const cases: [Sent, number][] = [
    [{ headers: right }, 200],
    [{ headers: { ...right, host: "localhost:1" } }, 200],
    [{ headers: { ...right, host: "evil.example" } }, 403],
    [{ headers: { ...right, host: "127.0.0.1.evil.example" } }, 403],
    [{ headers: { ...right, origin: "https://evil.example" } }, 403],
    [{ headers: { ...right, origin: "https://app.example" } }, 200],
    [{ headers: { origin: "https://app.example" }, method: "OPTIONS" }, 204],
    [{}, 401],
    [{ headers: { authorization: "Bearer Sesame" } }, 401],
    [{ headers: { ...right, "content-type": "text/plain" } }, 415],
    [{ headers: right, body: "{" }, 400],
    [{ headers: right, body: "[]" }, 400],
    [{ headers: right, body: `{"a": "${"x".repeat(17 * 2 ** 20)}"}` }, 413],
    [{ headers: right, method: "GET" }, 405],
    [{ headers: right, method: "GET", path: "/v1/models" }, 200],
    [{ headers: right, method: "GET", path: "/v1/models/echo" }, 200],
    [{ headers: right, method: "GET", path: "/v1/models/other" }, 404],
    [{ headers: right, path: "/v1/embeddings" }, 404],
    [{ headers: right, body: '{"model": "other"}' }, 404],
    [{ headers: right, body: '{"wrong": 1}' }, 400],
    [{ headers: right, body: '{"fail": 1}' }, 500],
  ];
  for (const [sent, status] of cases)
    expect([sent.headers, sent.path, (await ask(port, sent)).status]).toEqual([sent.headers, sent.path, status]);
  expect((await ask(port, { headers: right, body: '{"wrong": 1}' })).text).toContain("wrong: got 1");
  expect((await ask(port, { headers: right, body: '{"fail": 1}' })).text).not.toContain("disk");
  server.close();
});

base("a stream ends with [DONE]; a client that hangs up, or does not read, ends the generation", async () => {
  const echo = new Echo();
  const server = apiServer(echo);
  const port = await listening(server);
  const { text } = await ask(port, { body: '{"stream": true}' });
  expect(text.split("\n\n").slice(-2)).toEqual(["data: [DONE]", ""]);
  expect(text.match(/^data: \{/gm)!.length).toBe(100);
  const start = () => {
    const call = send({
      port,
      host: "127.0.0.1",
      method: "POST",
      path: "/v1/completions",
      headers: { "content-type": "application/json" },
    });
    call.on("error", () => {});
    call.end('{"stream": true}');
    return call;
  };
  const leaving = start();
  await once(leaving, "response");
  leaving.destroy();
  await expect.poll(() => echo.stopped).toEqual([false, true]);
  echo.size = 2 ** 20;
  const idle = start();
  idle.on("response", () => {}); // reads no further than its buffers hold
  await expect.poll(() => echo.stopped).toEqual([false, true, true]);
  idle.destroy();
  server.close();
});

const test = base.extend<object, { url: string }>({
  url: [
    // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of fixtures off the pattern
    async ({}, use) => {
      const served = spawn(process.execPath, [SERVE, "--port", "0", "--context", "1024", "--token", "sesame"]);
      let said = "";
      served.stdout.on("data", (piece: Buffer) => (said += piece.toString()));
      served.stderr.on("data", (piece: Buffer) => (said += piece.toString()));
      await expect.poll(() => said, { timeout: 100_000 }).toMatch(/is served at http/);
      await use(/http:\S+/.exec(said)![0]);
      served.kill();
      await once(served, "exit");
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

const clientOf = (baseURL: string) => new OpenAI({ baseURL, apiKey: "sesame", maxRetries: 0 });
const messages = [{ role: "user" as const, content: "Tell me a story about a cat." }];

test("the openai client: models, a whole reply, a stream, usage", async ({ url }) => {
  const client = clientOf(url);
  const names: string[] = [];
  for await (const { id } of client.models.list()) names.push(id);
  expect(names).toEqual(["fable"]);
  const asked = { model: "fable", messages, temperature: 0, max_tokens: 12 };
  const whole = await client.chat.completions.create(asked);
  expect(whole.choices[0]).toMatchObject({ finish_reason: "length" });
  expect(whole.usage).toMatchObject({ completion_tokens: 12 });
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    stream_options: { include_usage: true },
  });
  let text = "";
  let cached = 0;
  for await (const { choices, usage } of stream) {
    text += choices[0]?.delta.content ?? "";
    cached = usage?.prompt_tokens_details?.cached_tokens ?? cached;
  }
  expect(text).toBe(whole.choices[0]!.message.content);
  expect(cached).toBeGreaterThan(0);
});

test("the openai client: JSON of a schema, and a call of a tool, parsed", async ({ url }) => {
  const client = clientOf(url);
  const parameters = {
    type: "object",
    properties: { animal: { enum: ["cat", "dog"] }, legs: { type: "integer", minimum: 0, maximum: 9 } },
    required: ["animal", "legs"],
    additionalProperties: false,
  };
  const asked = { model: "fable", messages, temperature: 0, max_tokens: 90 };
  const { choices } = await client.chat.completions.create({
    ...asked,
    response_format: { type: "json_schema", json_schema: { name: "animal", schema: parameters } },
  });
  expect(Object.keys(JSON.parse(choices[0]!.message.content!) as object)).toEqual(["animal", "legs"]);
  const runner = client.chat.completions.stream({
    ...asked,
    tools: [{ type: "function", function: { name: "draw", parameters } }],
    tool_choice: { type: "function", function: { name: "draw" } },
  });
  const final = await runner.finalChatCompletion();
  const [call] = final.choices[0]!.message.tool_calls!;
  expect(final.choices[0]!.finish_reason).toBe("tool_calls");
  expect(call).toMatchObject({ type: "function", function: { name: "draw" } });
  expect(Object.keys(JSON.parse((call as { function: { arguments: string } }).function.arguments) as object)).toEqual([
    "animal",
    "legs",
  ]);
});

test("the openai client: errors keep their words; a stopped stream gives the engine back", async ({ url }) => {
  const client = clientOf(url);
  const asked = { model: "fable", messages, temperature: 0 };
  await expect(client.chat.completions.create({ ...asked, store: true })).rejects.toMatchObject({
    status: 400,
    message: expect.stringContaining("store; got true"),
  });
  await expect(client.chat.completions.create({ ...asked, model: "gpt-9" })).rejects.toMatchObject({
    status: 404,
    code: "model_not_found",
  });
  await expect(new OpenAI({ baseURL: url, apiKey: "no", maxRetries: 0 }).models.list()).rejects.toMatchObject({
    status: 401,
  });
  const stream = await client.chat.completions.create({
    ...asked,
    stream: true,
    max_tokens: 900,
    logit_bias: { 0: -100, 4: -100 },
  });
  for await (const { choices } of stream) if (choices[0]!.delta.content) break;
  const text = await client.completions.create({
    model: "fable",
    prompt: "Once upon a time",
    temperature: 0,
    max_tokens: 5,
  });
  expect(text.choices[0]!.text.length).toBeGreaterThan(0);
  expect(text.usage!.completion_tokens).toBe(5);
});
