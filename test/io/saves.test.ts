// Saved caches in storage: written at once or not at all, within the room there is, and checked as they are read. In memory.
import { expect, test } from "playwright/test";
import { ModelError } from "../../src/errors.ts";
import { type Records, Saves } from "../../src/io/saves.ts";
import { entriesOf, memoryPlatform } from "./server.ts";

function memoryRecords(): Records {
  const all = new Map<string, unknown>();
  return {
    get: async (name) => structuredClone(all.get(name)),
    set: async (name, record) => void all.set(name, structuredClone(record)),
    delete: async (name) => void all.delete(name),
    entries: async () => [...all],
  };
}

const platformWith = (quota?: number, told?: number) => ({ ...memoryPlatform(quota, told), records: memoryRecords() });

const bytes = (count: number, seed: number) => Uint8Array.from({ length: count }, (_, i) => (i * seed) >> 3);

async function* pieces(all: Uint8Array, size: number): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
  for (let at = 0; at < all.length; at += size) yield all.slice(at, at + size);
}

const put = (saves: Saves<string>, name: string, all: Uint8Array, size = 300_000) =>
  saves.put(name, all.length, `about ${name}`, pieces(all, size));

const readAll = (saves: Saves<string>, name: string) =>
  saves.read(name, async ({ data, bytes: total }, from) => {
    const parts: Uint8Array<ArrayBuffer>[] = [];
    for (let at = 0; at < total; at += parts.at(-1)!.length) parts.push(await from.next(700_000));
    return { data, all: new Uint8Array(await new Blob(parts).arrayBuffer()) };
  });

const error = (work: Promise<unknown>): Promise<ModelError> =>
  work.then(
    () => {
      throw new Error("it was to fail");
    },
    (reason: ModelError) => reason,
  );

const SIZE = 2 ** 20 + 12_345;

test("what was put is read, listed and deleted", async () => {
  const platform = platformWith();
  const saves = new Saves<string>("session", platform);
  await put(saves, "a", bytes(SIZE, 7));
  await put(saves, "b", bytes(40, 5));
  await put(saves, "none", bytes(0, 1));
  expect(await readAll(saves, "a")).toEqual({ data: "about a", all: bytes(SIZE, 7) });
  expect(await readAll(saves, "none")).toEqual({ data: "about none", all: new Uint8Array(0) });
  expect(await readAll(saves, "c")).toBeNull();
  expect((await saves.list()).map(({ name }) => name).toSorted()).toEqual(["a", "b", "none"]);
  expect(await new Saves("prefix", platform).delete()).toBe(SIZE + 40); // records are of one kind in this test
  expect([await platform.caches.keys(), await saves.list()]).toEqual([[], []]);
});

test("a save that fails on the way leaves the one of before", async () => {
  const platform = platformWith();
  const saves = new Saves<string>("session", platform);
  await put(saves, "a", bytes(100, 3));
  async function* broken(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    yield* pieces(bytes(SIZE, 9), 4096);
    throw new Error("the GPU went away");
  }
  expect((await error(saves.put("a", SIZE, "", broken()))).message).toBe("the GPU went away");
  expect((await error(saves.put("a", SIZE + 1, "", pieces(bytes(SIZE, 9), 4096)))).message).toContain(`got ${SIZE}`);
  expect(await readAll(saves, "a")).toEqual({ data: "about a", all: bytes(100, 3) });
  expect((await platform.caches.keys()).length).toBe(1);
  await put(saves, "a", bytes(SIZE, 9));
  expect((await readAll(saves, "a"))!.all).toEqual(bytes(SIZE, 9));
  expect((await platform.caches.keys()).length).toBe(1);
});

test("a page that is closed while it saves leaves the save of before, and what it wrote goes with the next one", async () => {
  const platform = platformWith();
  const saves = new Saves<string>("session", platform);
  await put(saves, "a", bytes(100, 3));
  let written = (): void => {};
  const reached = new Promise<void>((resolve) => (written = resolve));
  async function* endless(): AsyncGenerator<Uint8Array<ArrayBuffer>, void> {
    yield bytes(SIZE, 9);
    written();
    await new Promise(() => {});
  }
  void saves.put("a", 2 * SIZE, "", endless());
  await reached;
  await put(saves, "b", bytes(50, 3)); // the other one is still being written
  expect((await platform.caches.keys()).length).toBe(3);
  const later = new Saves<string>("session", { ...platform, locks: memoryPlatform().locks }); // a closed page holds no lock
  expect((await readAll(later, "a"))!.all).toEqual(bytes(100, 3));
  await put(later, "c", bytes(60, 3));
  expect((await platform.caches.keys()).length).toBe(3);
  expect(platform.used()).toBe(210);
});

test("too little room: it says so, and leaves what was there", async () => {
  for (const platform of [platformWith(SIZE, SIZE), platformWith(SIZE, Infinity)]) {
    const saves = new Saves<string>("session", platform);
    await put(saves, "a", bytes(100, 3));
    const full = await error(put(saves, "a", bytes(SIZE, 3)));
    expect(full).toMatchObject({ name: "ModelError", code: "storage-full" });
    expect(full.message).toMatch(/^session "a": too little room to keep it; got \d+ bytes/);
    expect((await readAll(saves, "a"))!.all).toEqual(bytes(100, 3));
    expect(platform.used()).toBe(100);
  }
});

test("without storage it says what is missing", async () => {
  const saves = new Saves<string>("session", { ...platformWith(), records: undefined });
  expect(await error(put(saves, "a", bytes(100, 3)))).toMatchObject({ code: "storage-full" });
  expect([await saves.list(), await saves.delete(), await readAll(saves, "a")]).toEqual([[], 0, null]);
});

for (const [damage, harm] of [
  ["a flipped bit", (entries: Map<string, Uint8Array>, key: string) => void (entries.get(key)![5]! ^= 1)],
  ["a piece that is gone", (entries: Map<string, Uint8Array>, key: string) => void entries.delete(key)],
  ["a piece cut short", (entries: Map<string, Uint8Array>, key: string) => void entries.set(key, bytes(7, 1))],
] as const) {
  test(`${damage} is found, and the save can be deleted`, async () => {
    const platform = platformWith();
    const saves = new Saves<string>("session", platform);
    await put(saves, "a", bytes(SIZE, 7));
    const entries = await entriesOf(platform.caches, "saved");
    harm(entries, [...entries.keys()].at(-1)!);
    const damaged = await error(readAll(saves, "a"));
    expect(damaged).toMatchObject({ name: "ModelError", code: "bad-file" });
    expect(damaged.message).toMatch(/^session "a": it is damaged in the browser's storage/);
    expect(await saves.delete("a")).toBe(SIZE);
    expect(platform.used()).toBe(0);
  });
}

test("a save that another page replaces as it is opened is opened again", async () => {
  const platform = platformWith();
  const other = new Saves<string>("session", platform);
  await put(other, "a", bytes(SIZE, 7));
  const { records } = platform;
  let reads = 0;
  const get: Records["get"] = async (name) => {
    const record = await records.get(name);
    if (reads++ === 0) await put(other, "a", bytes(44, 3));
    return record;
  };
  const saves = new Saves<string>("session", { ...platform, records: { ...records, get } });
  expect((await readAll(saves, "a"))!.all).toEqual(bytes(44, 3));
});
