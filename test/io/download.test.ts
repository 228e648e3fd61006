// Range requests, streaming without them, retries, abort: on servers in memory.

import { expect, test } from "playwright/test";
import { InputError, ModelError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import { expectError } from "./failure.ts";
import { encode, pattern, safetensors, smallFolder, smallGguf, smallTensors } from "./formats.ts";
import { at, expectAllTensors, largeFolder } from "./large.ts";
import { serve } from "./server.ts";
import type { ServerOptions } from "./server.ts";

const base = "https://models.example/tiny/";
const retryMs = 1;

const openLarge = (options: ServerOptions = {}, more: object = {}) => {
  const server = serve(at(base, largeFolder()), { chunkBytes: 65536, ...options });
  const opened = openCheckpoint(base, { fetch: server.fetch, retryMs, ...more });
  return { server, opened };
};

test("range requests: each byte once, tensors in any order", async () => {
  const { server, opened } = openLarge();
  const checkpoint = await opened;
  expect(checkpoint.name).toBe("tiny");
  await expectAllTensors(checkpoint);
  const weights = server.log.filter(({ url }) => url.endsWith("model.safetensors"));
  expect(weights.length).toBeLessThanOrEqual(3);
  expect(weights.every(({ range }) => range !== null)).toBe(true);
  const size = server.files.get(`${base}model.safetensors`)!.length;
  const asked = weights.map(({ range }) => Math.min(range![1], size) - range![0]);
  expect(asked.reduce((a, b) => a + b)).toBe(size);
  await expectAllTensors(checkpoint); // again from the start
});

test("opening reads headers only", async () => {
  const { server, opened } = openLarge();
  (await opened).close();
  expect(server.sentBytes).toBeLessThan(400_000);
});

test("however many shards, one response is open at a time", async () => {
  const files = smallFolder();
  files.delete("model.safetensors");
  const weightMap: Record<string, string> = {};
  for (let i = 0; i < 10; i++) {
    const header = { [`t${i}`]: { dtype: "F32", shape: [250_000], data_offsets: [0, 1_000_000] } };
    files.set(`model-${i}.safetensors`, safetensors(header, pattern(1_000_000, i)));
    weightMap[`t${i}`] = `model-${i}.safetensors`;
  }
  files.set("model.safetensors.index.json", encode(JSON.stringify({ weight_map: weightMap })));
  for (const ranges of [true, false]) {
    const server = serve(at(base, files), { ranges });
    const checkpoint = await openCheckpoint(base, { fetch: server.fetch });
    for (let i = 9; i >= 0; i--) expect((await checkpoint.read(`t${i}`))[0]).toBe(i);
    expect(server.mostOpen).toBe(1);
  }
});

test("a GGUF by URL", async () => {
  const url = "https://models.example/x/My%20Model.gguf?download=true";
  const server = serve(new Map([[url, smallGguf()]]));
  const checkpoint = await openCheckpoint(url, { fetch: server.fetch });
  expect(checkpoint.name).toBe("My Model");
  expect(await checkpoint.read("model.norm.weight")).toEqual(smallTensors().at(-1)!.data);
});

test("a server without ranges is streamed once, front to back", async () => {
  const { server, opened } = openLarge({ ranges: false });
  const checkpoint = await opened;
  await expectAllTensors(checkpoint);
  const weights = () => server.log.filter(({ url }) => url.endsWith("model.safetensors")).length;
  expect(weights()).toBe(1);
  await expectAllTensors(checkpoint);
  expect(weights()).toBe(2);
});

test("a size the server hides is found by HEAD, or by taking the whole file", async () => {
  const hidden = openLarge({ hidden: ["content-range"] });
  await expectAllTensors(await hidden.opened);
  expect(hidden.server.log.some(({ method }) => method === "HEAD")).toBe(true);
  await expectAllTensors(await openLarge({ hidden: ["content-range", "content-length"] }).opened);
  await expectAllTensors(await openLarge({ ranges: false, hidden: ["content-length"] }).opened);
});

test("passing failures are retried, lasting ones named", async () => {
  const failures = [503, 429, 500, "network", 502];
  const { opened } = openLarge({
    interfere: (_, attempt) => {
      const failure = failures[Math.floor(attempt / 3)];
      if (attempt % 3 !== 1 || failure === undefined) return undefined;
      return failure === "network" ? new TypeError("Failed to fetch") : new Response(null, { status: Number(failure) });
    },
  });
  await expectAllTensors(await opened);
  const down = openLarge({ interfere: () => new Response(null, { status: 503 }) });
  await expectError(down.opened, ModelError, `${base}config.json`, "HTTP 503", "5 attempts");
  expect(down.server.log.length).toBe(5);
  const offline = openLarge({ interfere: () => new TypeError("Failed to fetch") });
  await expectError(offline.opened, ModelError, "Failed to fetch", "Is the network up");
  const teapot = openLarge({ interfere: () => new Response(null, { status: 418 }) });
  await expectError(teapot.opened, ModelError, "HTTP 418");
  expect(teapot.server.log.length).toBe(1);
});

test("a broken connection goes on where it broke", async () => {
  for (const ranges of [true, false]) {
    const { server, opened } = openLarge({
      ranges,
      breakAfter: (response) => (response % 2 === 0 ? 5_000_000 : undefined),
    });
    await expectAllTensors(await opened);
    const size = server.files.get(`${base}model.safetensors`)!.length;
    if (ranges) expect(server.sentBytes).toBeLessThan(size + 1_000_000);
  }
});

test("a connection that never gets anywhere fails, with and without ranges", async () => {
  for (const ranges of [true, false]) {
    const { opened } = openLarge({ ranges, breakAfter: () => 300_000 });
    const checkpoint = await opened;
    if (ranges) await expectAllTensors(checkpoint);
    else await expectError(checkpoint.read("second"), ModelError, "model.safetensors", "network error");
  }
});

test("a file replaced during the load is noticed", async () => {
  const { server, opened } = openLarge();
  const checkpoint = await opened;
  server.files.set(`${base}model.safetensors`, pattern(26_000_001, 9));
  await expectError(checkpoint.read("third"), ModelError, "changed while loading", "26000001");
  const sameSize = largeFolder().get("model.safetensors")!.fill(0);
  server.files.set(`${base}model.safetensors`, sameSize);
  await expectError(checkpoint.read("third"), ModelError, "changed while loading");
});

test("abort: while opening, while reading, while pausing; the checkpoint stays usable", async () => {
  const reason = new DOMException("enough", "AbortError");
  const aborted = AbortSignal.abort(reason);
  await expect(openLarge({}, { signal: aborted }).opened).rejects.toBe(reason);

  const reading = new AbortController();
  let calls = 0;
  const onBytes = (_: number, total: number) => {
    if (total > 0 && ++calls === 5) reading.abort(reason);
  };
  const checkpoint = await openLarge({}, { onBytes }).opened;
  await expect(checkpoint.read("first", reading.signal)).rejects.toBe(reason);
  expect(calls).toBe(5);
  await expectAllTensors(checkpoint);

  const pausing = new AbortController();
  const down = openLarge(
    { interfere: () => (setTimeout(() => pausing.abort(reason), 10), new Response(null, { status: 503 })) },
    { retryMs: 60_000, signal: pausing.signal },
  );
  await expect(down.opened).rejects.toBe(reason);

  const hanging = new AbortController();
  const never = () => new Promise<Response>(() => setTimeout(() => hanging.abort(reason), 10));
  await expect(openCheckpoint(base, { fetch: never, signal: hanging.signal })).rejects.toBe(reason);
});

test("close: a running read ends, later ones are refused", async () => {
  const opened: Checkpoint[] = [];
  const onBytes = (loaded: number, total: number) => total > 0 && loaded > 5_000_000 && opened[0]?.close();
  const checkpoint = await openLarge({}, { onBytes }).opened;
  opened.push(checkpoint);
  await expectError(checkpoint.read("third"), InputError, "closed");
  await expectError(checkpoint.read("first"), InputError, "closed");
  checkpoint.close();
});

test("progress: small files with total 0, then tensors up to their sum", async () => {
  const seen: [number, number, string][] = [];
  const { opened } = openLarge({}, { onBytes: (...args: [number, number, string]) => seen.push(args) });
  const checkpoint = await opened;
  expect(seen.filter(([, total]) => total === 0).map(([, , item]) => item)).toContain("tokenizer.json");
  seen.length = 0;
  await expectAllTensors(checkpoint);
  expect(seen.length).toBeGreaterThan(100);
  expect(seen.at(-1)).toEqual([26_000_000, 26_000_000, "third"]);
  expect(seen.every(([loaded], i) => i === 0 || loaded >= seen[i - 1]![0])).toBe(true);
});

test("reads queue up", async () => {
  const checkpoint = await openLarge().opened;
  const [third, first] = await Promise.all([checkpoint.read("third"), checkpoint.read("first")]);
  expect([third.length, first.length]).toEqual([20_000_000, 3_000_000]);
  await expectError(checkpoint.read("nothing"), ModelError, '"nothing"');
});

const page = () => new Response("<!doctype html>", { headers: { "content-type": "text/html; charset=utf-8" } });

test("a development server's page is not a file", async () => {
  const files = at(base, smallFolder());
  const server = serve(files, { interfere: ({ url }) => (files.has(url) ? undefined : page()) });
  expect((await openCheckpoint(base, { fetch: server.fetch })).tensors.size).toBe(3);
  await expectError(openCheckpoint("https://models.example/none/", { fetch: server.fetch }), ModelError, "config.json");
});
