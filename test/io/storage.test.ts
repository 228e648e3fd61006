// Downloads that are kept: resumed, compared with their SHA-256, shared by pages, within the room there is. Storage in memory.

import { expect, test } from "playwright/test";
import { ModelError } from "../../src/errors.ts";
import { type Checkpoint, openCheckpoint, type OpenOptions } from "../../src/io/checkpoint.ts";
import { kept } from "../../src/io/kept.ts";
import { openStudent } from "../../src/io/student.ts";
import { Pieces } from "../../src/io/files/pieces.ts";
import { expectError } from "./failure.ts";
import { safetensors, smallFolder, smallGguf } from "./formats.ts";
import {
  at,
  commit,
  expectAllTensors,
  hub,
  hubUrl,
  largeFolder,
  listing,
  revisionUrl,
  root,
  weights,
} from "./large.ts";
import { entriesOf, type MemoryPlatform, memoryPlatform, serve, type Server } from "./server.ts";

const size = largeFolder().get(weights)!.length;
const weightsUrl = root() + weights;
const pieceBytes = 2 ** 20;
const other = "89abcdef0123456789abcdef0123456789abcdef";

const openHub = (
  server: Pick<Server, "fetch">,
  platform: MemoryPlatform,
  { source = "org/model", ...more }: OpenOptions & { source?: string } = {},
): Promise<Checkpoint> => openCheckpoint(source, { fetch: server.fetch, hubUrl, retryMs: 1, platform, ...more });

/** All tensors as they should be, the file whole and the right one. */
async function expectWhole(checkpoint: Checkpoint): Promise<void> {
  await expectAllTensors(checkpoint);
  await checkpoint.settle();
  checkpoint.close();
}

/** For loads that are to ask nothing. */
const silent: Pick<Server, "fetch"> = {
  fetch: async (url) => {
    throw new Error(`asked for ${String(url)}`);
  },
};

const offline: Pick<Server, "fetch"> = {
  fetch: async () => {
    throw new TypeError("Failed to fetch");
  },
};

/** Numbers in [0, 1), the same in each run. */
function numbers(): () => number {
  let state = 7;
  return () => (state = (Math.imul(state, 1103515245) + 12345) & 0x7fffffff) / 2 ** 31;
}

// Whole and cut downloads

test("ranges come side by side, each byte once; a second load needs no network", async () => {
  const platform = memoryPlatform();
  const server = hub();
  await expectWhole(await openHub(server, platform));
  expect(server.sent.get(weightsUrl)).toBe(size);
  expect(server.mostOpen).toBe(4);
  await expectWhole(await openHub(offline, platform));
  server.log.length = 0;
  await expectWhole(await openHub(server, platform));
  expect(server.log.map(({ url }) => url)).toEqual([revisionUrl]);
  await expectWhole(await openHub(silent, platform, { source: `org/model@${commit}` }));
});

test("a server without ranges is streamed once", async () => {
  const server = hub(largeFolder(), { ranges: false });
  await expectWhole(await openHub(server, memoryPlatform()));
  expect(server.sent.get(weightsUrl)).toBe(size);
});

/** What may be under way when a range ends early: a chunk that was sent and not read, on each of four connections. */
const inFlight = 4 * 2 * 65536;

test("connections that break at 20 random bytes go on at that byte", async () => {
  const random = numbers();
  let left = 20;
  const breakAfter = () => (left-- > 0 ? Math.floor(random() * 2e6) : undefined);
  const server = hub(largeFolder(), { breakAfter });
  await expectWhole(await openHub(server, memoryPlatform()));
  expect(left).toBeLessThan(0);
  expect(server.sent.get(weightsUrl)).toBeLessThanOrEqual(size + 20 * 65536);
});

test("loads that are cut at 20 random bytes are resumed at that byte, and the whole is the right file", async () => {
  const random = numbers();
  const platform = memoryPlatform();
  const sizes = { only: 12_000_000 };
  const folder = largeFolder(sizes);
  const total = folder.get(weights)!.length;
  let onSent = (): unknown => undefined;
  const server = hub(folder, { onSent: (url) => url === weightsUrl && onSent() });
  for (const cut of Array.from({ length: 20 }, random).toSorted()) {
    const stop = new AbortController();
    onSent = () => server.sent.get(weightsUrl)! >= cut * total && stop.abort();
    const checkpoint = await openHub(server, platform);
    await expect(checkpoint.read("only", stop.signal)).rejects.toThrow("aborted");
    checkpoint.close();
  }
  onSent = () => {};
  const checkpoint = await openHub(server, platform);
  await expectAllTensors(checkpoint, sizes);
  await checkpoint.settle();
  checkpoint.close();
  expect(server.sent.get(weightsUrl)).toBeLessThanOrEqual(total + 20 * inFlight);
});

async function keptBytes(platform: MemoryPlatform): Promise<number> {
  const [model] = await kept.list(platform);
  return model!.files.find(({ name }) => name === weights)!.bytes;
}

test("a network that fails for good loses nothing of what came", async () => {
  const platform = memoryPlatform();
  const failing: Server = hub(largeFolder(), {
    breakAfter: (_, url) => (url === weightsUrl && (failing.sent.get(url) ?? 0) > 9e6 ? 0 : undefined),
  });
  const checkpoint = await openHub(failing, platform);
  await expectError(expectAllTensors(checkpoint), ModelError, "network error", "5 attempts");
  checkpoint.close();
  const before = await keptBytes(platform);
  expect(before).toBeGreaterThan(0);
  const server = hub();
  await expectWhole(await openHub(server, platform));
  expect(server.sent.get(weightsUrl)! + before).toBe(size);
});

// Integrity

test("a bit that was flipped on the way is refused, and the file fetched again", async () => {
  const platform = memoryPlatform();
  let flips = 1;
  const flip = ({ url }: { url: string }) => (url === weightsUrl && flips-- > 0 ? 500_000 : undefined);
  const server = hub(largeFolder(), { flip });
  const checkpoint = await openHub(server, platform);
  for (const name of checkpoint.tensors.keys()) await checkpoint.read(name);
  await expectError(checkpoint.settle(), ModelError, weightsUrl, "SHA-256");
  checkpoint.close();
  expect((await platform.caches.keys()).filter((name) => name.includes(weights))).toEqual([]);
  await expectWhole(await openHub(server, platform));
  expect(server.sent.get(weightsUrl)).toBe(2 * size);
});

test("a bit that was flipped in storage is noticed, and its piece fetched again", async () => {
  const platform = memoryPlatform();
  const server = hub();
  await expectWhole(await openHub(server, platform));
  const entries = await entriesOf(platform.caches, weights);
  const [, bytes] = [...entries].find(([key]) => /invalid\/5\//.test(key))!;
  bytes[77]! ^= 4;
  server.sent.clear();
  await expectWhole(await openHub(server, platform));
  expect(server.sent.get(weightsUrl)).toBe(pieceBytes);
});

const base = "https://models.example/tiny/";

test("the caller's SHA-256: of an address that is known to be right nothing is asked again", async () => {
  const platform = memoryPlatform();
  const server = serve(new Map([[`${base}m.gguf`, smallGguf()]]));
  const digest = new Uint8Array(await crypto.subtle.digest("SHA-256", smallGguf()));
  const right = Buffer.from(digest).toString("hex");
  const open = (sha256: string, from: Pick<Server, "fetch"> = server) =>
    openCheckpoint(`${base}m.gguf`, { fetch: from.fetch, platform, sha256: { "m.gguf": sha256 }, retryMs: 1 });
  await expectError((await open("0".repeat(64))).settle(), ModelError, right, "0".repeat(64));
  const checkpoint = await open(right);
  await checkpoint.settle();
  checkpoint.close();
  await (await open(right, silent)).settle();
});

test("without storage the hash is compared all the same", async () => {
  const server = hub(largeFolder(), { flip: ({ url }) => (url === weightsUrl ? 9 : undefined) });
  server.files.set(revisionUrl, listing(largeFolder()));
  const opening = openHub(server, memoryPlatform(), { keep: false });
  await expectError(
    opening.then((checkpoint) => checkpoint.settle()),
    ModelError,
  );
  const sound = await openHub(hub(), memoryPlatform(), { keep: false });
  await expectWhole(sound);
});

// Room

test("too little room is said with figures before the download, and nothing is left", async () => {
  const platform = memoryPlatform(20e6);
  const server = hub();
  const message = ["got 19.0 MB free of 20.0 MB (1.0 MB are in use), want 25.0 MB more", "keep: false"];
  await expectError(openHub(server, platform), ModelError, ...message);
  expect(await platform.caches.keys()).toEqual([]);
  expect(server.sent.get(weightsUrl) ?? 0).toBeLessThan(2 * pieceBytes);
  await expectWhole(await openHub(server, platform, { keep: false }));
  expect(await platform.caches.keys()).toEqual([]);
});

test("room that ends during the download, whatever was promised: nothing is left, what was there before stays", async () => {
  const platform = memoryPlatform(12e6, Infinity);
  const small = hub(smallFolder());
  await (await openHub(small, platform)).settle();
  const before = (await platform.caches.keys()).toSorted();
  const server = serve(at(base, largeFolder()));
  const opened = await openCheckpoint(base, { fetch: server.fetch, platform, retryMs: 1 });
  const error = await expectAllTensors(opened).catch((reason: unknown) => reason);
  expect(error).toMatchObject({
    code: "storage-full",
    message: expect.stringMatching(/got 1\d\.\d MB .* want 2\d\.\d MB/),
  });
  opened.close();
  expect((await platform.caches.keys()).toSorted()).toEqual(before);
});

const refuse = () => Promise.reject(new DOMException("denied", "SecurityError"));

test("a storage that is absent or refuses only costs the storage", async () => {
  const broken = { open: refuse, keys: refuse, has: refuse, delete: refuse } as unknown as CacheStorage;
  for (const caches of [broken, undefined])
    await expectWhole(await openHub(hub(), { ...memoryPlatform(), caches } as MemoryPlatform));
  const { caches, ...others } = memoryPlatform();
  const open = async (name: string) => Object.assign(await caches.open(name), { put: refuse });
  const refusing = { ...others, caches: { ...caches, open } as unknown as CacheStorage };
  await expectWhole(await openHub(hub(), refusing));
});

// Pages

test("two pages load one model once: the second waits, says so, and reads what the first has kept", async () => {
  const platform = memoryPlatform();
  const server = hub();
  const waited: [number, number, string][] = [];
  const first = await openHub(server, platform);
  const second = await openHub(server, platform, { onWait: (...args) => waited.push(args) });
  await Promise.all([expectWhole(first), expectWhole(second)]);
  expect(server.sent.get(weightsUrl)).toBe(size);
  expect(waited.length).toBeGreaterThan(0);
  expect(waited.every(([, total]) => total === size)).toBe(true);
});

test("a page that looks while another one begins leaves that one's pieces alone", async () => {
  const { caches } = memoryPlatform();
  const version = { size: 2 * pieceBytes, tag: '"1"', sha256: null };
  const record = { model: "org/model", source: "org/model", file: weights, since: 0, version, checked: false };
  const first = (await Pieces.open(caches, weights))!;
  const second = (await Pieces.open(
    interrupted(caches, async () => {
      await first.setRecord(record);
      await first.put(0, new Uint8Array(pieceBytes));
    }),
    weights,
  ))!;
  await second.setRecord(record);
  await second.refresh();
  expect(second.held(0)).toBe(pieceBytes);
});

/** `work` is done after the first look at what a cache holds. */
function interrupted(caches: CacheStorage, work: () => Promise<void>): CacheStorage {
  let isDone = false;
  const after = async <T>(looked: T): Promise<T> => {
    if (!isDone) await work();
    isDone = true;
    return looked;
  };
  const open = async (name: string): Promise<object> => {
    const cache = await caches.open(name);
    return {
      ...cache,
      match: async (key: string) => after(await cache.match(key)),
      keys: async () => after(await cache.keys()),
    };
  };
  return { ...caches, open } as unknown as CacheStorage;
}

test("a page that gives up lets the next one go on where it was", async () => {
  const platform = memoryPlatform();
  const server = hub();
  const first = await openHub(server, platform);
  await first.read("first");
  const second = expectWhole(await openHub(server, platform));
  first.close();
  await second;
  expect(server.sent.get(weightsUrl)).toBeLessThanOrEqual(size + inFlight);
});

// Commits and addresses

test("a new commit downloads what has changed, and takes the place of the old one once it is there", async () => {
  const platform = memoryPlatform();
  const server = hub();
  await expectWhole(await openHub(server, platform));
  const folder = largeFolder().set("config.json", smallFolder().get("config.json")!.slice());
  server.files.set(revisionUrl, listing(folder, other));
  for (const [name, bytes] of folder) server.files.set(root(other) + name, bytes);
  const names = async () => (await platform.caches.keys()).filter((name) => name.includes(commit));
  const checkpoint = await openHub(server, platform);
  expect((await names()).length, "until the new one is there").toBeGreaterThan(0);
  await expectWhole(checkpoint);
  expect(server.sent.get(root(other) + weights)).toBeUndefined();
  expect(await names()).toEqual([]);
  await expectWhole(await openHub(offline, platform));
});

test("other origins are compared with the server, and used as they are without it", async () => {
  const platform = memoryPlatform();
  const server = serve(at(base, largeFolder()), { chunkBytes: 65536 });
  const open = (from: Pick<Server, "fetch">) => openCheckpoint(base, { fetch: from.fetch, platform, retryMs: 1 });
  await expectWhole(await open(server));
  await expectWhole(await open(offline));
  server.sent.clear();
  await expectWhole(await open(server));
  expect(server.sent.get(base + weights)).toBeLessThan(pieceBytes);
  const changed = { a: 8, b: 1_000_000 };
  server.files.set(base + weights, largeFolder(changed).get(weights)!);
  const checkpoint = await open(server);
  await expectAllTensors(checkpoint, changed);
  checkpoint.close();
});

test("versions that cannot be told apart are not trusted", async () => {
  const platform = memoryPlatform();
  const server = serve(at(base, largeFolder()), { hidden: ["etag"], chunkBytes: 65536 });
  for (let load = 1; load <= 2; load++) {
    await expectWhole(await openCheckpoint(base, { fetch: server.fetch, platform }));
    expect(server.sent.get(base + weights)).toBeGreaterThanOrEqual(load * size);
  }
});

test("a hub's file by its address: by commit and hash, without a request once it is kept", async () => {
  const platform = memoryPlatform();
  const server = hub(new Map([["m.Q8_0.gguf", smallGguf()]]));
  const source = `${root()}m.Q8_0.gguf`;
  await (await openHub(server, platform, { source: source.replace(commit, "main") })).settle();
  await (await openHub(silent, platform, { source })).settle();
  expect(await kept.list(platform)).toMatchObject([{ name: "org/model/m.Q8_0.gguf", isComplete: true }]);
});

// Secrets

test("a token goes to the hub alone; neither it nor an address's secrets are stored", async () => {
  const platform = memoryPlatform();
  const server = hub(smallFolder());
  await (await openHub(server, platform, { token: "hf_secret" })).settle();
  expect(new Set(server.log.map(({ authorization }) => authorization))).toEqual(new Set(["Bearer hf_secret"]));
  const signed = "https://models.example/m.gguf?signature=hf_secret";
  const elsewhere = serve(new Map([[signed, smallGguf()]]));
  const options = { fetch: elsewhere.fetch, platform, token: "hf_secret" };
  await (await openCheckpoint(signed, options)).settle();
  expect(elsewhere.log.every(({ authorization }) => authorization === null)).toBe(true);
  await (
    await openCheckpoint(signed.replace("https://", "https://me:hf_secret@"), options).catch(() => null)
  )?.settle();
  expect(await everything(platform)).not.toContain("hf_secret");
});

/** Names, keys and contents of all caches. */
async function everything({ caches }: MemoryPlatform): Promise<string> {
  const names = await caches.keys();
  const all = await Promise.all(names.map((name) => entriesOf(caches, name)));
  const texts = all.flatMap((entries) => [...entries].flatMap(([key, bytes]) => [key, Buffer.from(bytes).toString()]));
  return [...names, ...texts].join("\n");
}

// The list

test("models that are kept are listed with their bytes, and deleted by name", async () => {
  const platform = memoryPlatform();
  expect(await kept.list(platform)).toEqual([]);
  const server = hub();
  await expectWhole(await openHub(server, platform));
  const half = serve(at(base, new Map([...smallFolder(), [weights, largeFolder().get(weights)!]])));
  (await openCheckpoint(base, { fetch: half.fetch, platform })).close();
  const [second, first] = (await kept.list(platform)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const sizes = [...largeFolder()].filter(([name]) => first!.files.some((file) => file.name === name));
  const bytes = sizes.reduce((sum, [, content]) => sum + content.length, 0);
  expect(first).toMatchObject({ name: "org/model", source: "org/model", bytes, totalBytes: bytes, isComplete: true });
  expect(second).toMatchObject({ name: base, isComplete: false });
  expect(second!.bytes).toBeLessThan(second!.totalBytes);
  expect(await kept.delete("org/model", platform)).toBe(bytes);
  expect((await kept.list(platform)).map(({ name }) => name)).toEqual([base]);
  await kept.delete(undefined, platform);
  expect(await platform.caches.keys()).toEqual([]);
});

// Students

test("a student of the hub is asked for with the token, kept, and read without a network; keep false leaves nothing", async () => {
  const file = safetensors({ x: { dtype: "F16", shape: [2], data_offsets: [0, 4] } }, new Uint8Array(4));
  const files = new Map([["student.safetensors", file]]);
  const server = hub(files);
  const platform = memoryPlatform();
  const open = async (fetch: Server["fetch"], more: OpenOptions): Promise<string[]> => {
    const student = await openStudent("org/model", { hubUrl, retryMs: 1, platform, fetch, ...more });
    await student.settle();
    student.close();
    return student.tensors.map(({ name }) => name);
  };
  expect(await open(server.fetch, { token: "secret", keep: false })).toEqual(["x"]);
  expect(server.log.length).toBeGreaterThan(0);
  for (const { authorization } of server.log) expect(authorization).toBe("Bearer secret");
  await expect(open(offline.fetch, {})).rejects.toThrow(ModelError);
  expect(await open(server.fetch, { token: "secret" })).toEqual(["x"]);
  expect(await open(offline.fetch, {})).toEqual(["x"]);
});
