// Range requests, streaming without them, retries, abort, hub, cache: on servers and caches in memory.

import { expect, test } from "playwright/test";
import { InputError, ModelError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import type { Checkpoint } from "../../src/io/checkpoint.ts";
import { expectError } from "./failure.ts";
import { encode, pattern, safetensors, shardedFolder, smallFolder, smallGguf, smallTensors } from "./formats.ts";
import { memoryCaches, serve } from "./server.ts";
import type { ServerOptions } from "./server.ts";

const base = "https://models.example/tiny/";
const retryMs = 1;

function at(prefix: string, files: ReadonlyMap<string, Uint8Array<ArrayBuffer>>) {
  return new Map([...files].map(([name, bytes]) => [prefix + name, bytes]));
}

/** Two f32 tensors of 3 MB and one of 20 MB, behind a header. */
const largeTensors = { first: 3_000_000, second: 3_000_000, third: 20_000_000 };
function largeFolder() {
  const files = smallFolder();
  let offset = 0;
  const header: Record<string, unknown> = {};
  for (const [name, bytes] of Object.entries(largeTensors)) {
    header[name] = { dtype: "F32", shape: [bytes / 4], data_offsets: [offset, (offset += bytes)] };
  }
  files.set("model.safetensors", safetensors(header, pattern(offset, 3)));
  return files;
}

async function expectAllTensors(checkpoint: Checkpoint, sizes: Record<string, number> = largeTensors) {
  let offset = 0;
  const all = pattern(
    Object.values(sizes).reduce((a, b) => a + b),
    3,
  );
  for (const [name, bytes] of Object.entries(sizes)) {
    const got = await checkpoint.read(name);
    expect(Buffer.compare(got, all.subarray(offset, (offset += bytes))), name).toBe(0);
  }
}

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

// The hub

const hubUrl = "https://hub.example";
const commit = "0123456789abcdef0123456789abcdef01234567";
const other = "89abcdef0123456789abcdef0123456789abcdef";

function hub(folder = largeFolder(), options: ServerOptions = {}) {
  const files = at(`${hubUrl}/org/model/resolve/${commit}/`, folder);
  const list = (sha: string) =>
    encode(JSON.stringify({ sha, siblings: [...folder.keys()].map((rfilename) => ({ rfilename })) }));
  files.set(`${hubUrl}/api/models/org/model/revision/main`, list(commit));
  const server = serve(files, { chunkBytes: 65536, ...options });
  return { server, list };
}

const openHub = (server: { fetch: typeof fetch }, caches?: CacheStorage, source = "org/model") =>
  openCheckpoint(source, { fetch: server.fetch, hubUrl, retryMs, caches });

test("hub: a revision is resolved to its commit; absent files are not asked for", async () => {
  const { server } = hub();
  const checkpoint = await openHub(server);
  expect(checkpoint.name).toBe("org/model");
  await expectAllTensors(checkpoint);
  const paths = server.log.map(({ url }) => url.slice(hubUrl.length));
  expect(paths.slice(1).every((path) => path.startsWith(`/org/model/resolve/${commit}/`))).toBe(true);
  expect(paths.some((path) => path.endsWith("index.json") || path.endsWith(".jinja"))).toBe(false);
  await openHub(server, undefined, `${hubUrl}/org/model`);
});

test("hub: a mirror without the API serves the revision by name", async () => {
  const server = serve(at(`${hubUrl}/org/model/resolve/v1.0/`, shardedFolder()));
  expect((await openHub(server, undefined, "org/model@v1.0")).tensors.size).toBe(3);
  await expectError(openHub(server), ModelError, "org/model", "config.json");
});

const isFile = (url: string) => url.includes("/resolve/");

test("hub: absent, private and gated models, and GGUF repositories, are told apart", async () => {
  const answer = (status: number, code = "") => {
    const headers = { "x-error-code": code };
    return openHub(serve(new Map(), { interfere: () => new Response(null, { status, headers }) }));
  };
  await expectError(answer(401), ModelError, "no public model", "org/model");
  await expectError(answer(404, "RepoNotFound"), ModelError, "no public model");
  await expectError(answer(404, "RevisionNotFound"), ModelError, "no such revision", "main");
  await expectError(answer(403, "GatedRepo"), ModelError, "gated");
  const headers = { "x-error-code": "GatedRepo" };
  const gated = hub(smallFolder(), {
    interfere: ({ url }) => (isFile(url) ? new Response(null, { status: 403, headers }) : undefined),
  });
  await expectError(openHub(gated.server), ModelError, "the model is gated", "licence");
  const ggufs = hub(new Map([["a.Q4_0.gguf", smallGguf()]]));
  await expectError(openHub(ggufs.server), ModelError, `${hubUrl}/org/model/resolve/${commit}/a.Q4_0.gguf`);
});

test("hub: of several GGUF files the one to take is proposed by size, with its precision", async () => {
  const sizes = {
    "m-BF16.gguf": 9e9,
    "m-IQ2_XXS.gguf": 1e8, // without an implementation
    "m-Q2_K.gguf": 2e8,
    "m-Q4_K_M.gguf": 4e8,
    "m-Q8_0-00001-of-00002.gguf": 5e8,
    "m-Q8_0-00002-of-00002.gguf": 3e8,
    "mmproj-m-F16.gguf": 1e7,
    "README.md": 10,
  };
  const { server } = hub(new Map(Object.keys(sizes).map((path) => [path, smallGguf()])));
  const tree = Object.entries(sizes).map(([path, size]) => ({ type: "file", path, size }));
  const treeUrl = `${hubUrl}/api/models/org/model/tree/${commit}?recursive=true`;
  const proposed = async (mostBytes: number): Promise<ModelError> => {
    const opening = openCheckpoint("org/model", { fetch: server.fetch, hubUrl, retryMs, mostBytes });
    const error: unknown = await opening.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(ModelError);
    return error as ModelError;
  };
  const named = ({ choices }: ModelError) => choices.map(({ precision }) => precision);
  expect(named(await proposed(Infinity)), "no sizes known").toEqual(["Q4_K_M", "Q8_0", "BF16", "Q2_K"]);
  server.files.set(treeUrl, encode(JSON.stringify(tree)));
  const error = await proposed(Infinity);
  expect(error.message).toMatch(/by its URL: \S*\/m-Q4_K_M\.gguf \(Q4_K_M, 400 MB\)$/);
  expect(named(error)).toEqual(["Q4_K_M", "Q8_0", "BF16", "Q2_K"]);
  expect(error.choices[1]).toMatchObject({ bytes: 8e8, source: expect.stringMatching(/00001-of-00002\.gguf$/) });
  expect(named(await proposed(3e8)), "only Q2_K fits").toEqual(["Q2_K", "Q4_K_M", "Q8_0", "BF16"]);
});

// The cache

const offline: typeof fetch = async () => {
  throw new TypeError("Failed to fetch");
};

test("cache: a second load needs no network", async () => {
  const caches = memoryCaches();
  const { server } = hub();
  await expectAllTensors(await openHub(server, caches));
  const size = [...largeFolder().values()].reduce((sum, bytes) => sum + bytes.length, 0);
  expect(server.sentBytes).toBeLessThan(size + 1_000_000);
  await expectAllTensors(await openHub({ fetch: offline }, caches));
  server.log.length = 0;
  await expectAllTensors(await openHub(server, caches));
  expect(server.log.map(({ url }) => url)).toEqual([`${hubUrl}/api/models/org/model/revision/main`]);
});

test("cache: an interrupted download goes on where it stopped", async () => {
  const caches = memoryCaches();
  const stop = new AbortController();
  const { server } = hub();
  const onBytes = (loaded: number) => {
    if (loaded > 20_000_000) stop.abort();
  };
  const checkpoint = await openCheckpoint("org/model", { fetch: server.fetch, hubUrl, caches, onBytes });
  await checkpoint.read("first");
  await expect(checkpoint.read("third", stop.signal)).rejects.toThrow();
  server.log.length = 0;
  await expectAllTensors(await openHub(server, caches));
  // Two pieces of 8 MiB were complete.
  const weights = server.log.filter(({ url }) => url.endsWith("model.safetensors"));
  expect(weights.map(({ range }) => range![0])).toEqual([2 * 8 * 2 ** 20]);
});

test("cache: a new commit replaces the old one", async () => {
  const caches = memoryCaches();
  const { server, list } = hub();
  await expectAllTensors(await openHub(server, caches));
  server.files.set(`${hubUrl}/api/models/org/model/revision/main`, list(other));
  for (const [name, bytes] of largeFolder()) server.files.set(`${hubUrl}/org/model/resolve/${other}/${name}`, bytes);
  await expectAllTensors(await openHub(server, caches));
  const names = await caches.keys();
  expect(names.some((name) => name.includes(other))).toBe(true);
  expect(names.filter((name) => name.includes(commit))).toEqual([]);
});

test("cache: other origins are compared with the server, and used as they are without it", async () => {
  const caches = memoryCaches();
  const { server, opened } = openLarge({}, { caches });
  await expectAllTensors(await opened);
  const again = async (fetch: typeof globalThis.fetch) => openCheckpoint(base, { fetch, caches, retryMs });
  await expectAllTensors(await again(offline));
  server.sentBytes = 0;
  await expectAllTensors(await again(server.fetch));
  expect(server.sentBytes).toBeLessThan(1_000_000);
  const { a, b } = { a: 8, b: 1_000_000 };
  const header = {
    a: { dtype: "F32", shape: [2], data_offsets: [0, 8] },
    b: { dtype: "F32", shape: [250_000], data_offsets: [8, b + 8] },
  };
  server.files.set(`${base}model.safetensors`, safetensors(header, pattern(b + 8, 3)));
  await expectAllTensors(await again(server.fetch), { a, b });
});

test("cache: versions that cannot be told apart are not trusted", async () => {
  const caches = memoryCaches();
  const hidden = ["etag"];
  const { server, opened } = openLarge({ hidden }, { caches });
  await expectAllTensors(await opened);
  server.sentBytes = 0;
  await expectAllTensors(await openCheckpoint(base, { fetch: server.fetch, caches }));
  expect(server.sentBytes).toBeGreaterThan(26_000_000);
});

const refuse = () => Promise.reject(new DOMException("denied", "SecurityError"));

test("cache: a full or absent storage only costs the cache", async () => {
  for (const quotaBytes of [0, 100_000, 12_000_000]) {
    await expectAllTensors(await openHub(hub().server, memoryCaches(quotaBytes)));
  }
  const broken = { open: refuse, keys: refuse, delete: refuse } as unknown as CacheStorage;
  await expectAllTensors(await openHub(hub().server, broken));
});
