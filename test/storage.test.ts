// Downloads in a real browser: its Cache API, its locks, its quota, its network. test/io/storage.test.ts has the cases.
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import type { BrowserContext, Page } from "playwright";
import { expect } from "playwright/test";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { largeFolder, weights } from "./io/large.ts";
import { test as base } from "./page.ts";

/** A host of files on another origin, which counts what it sends of each. */
interface Host {
  url: string;
  sent: Map<string, number>;
  /** Answers under way. */
  open: number;
  /** Of pieces nothing more is sent once so many bytes were, until this is raised. */
  stopsAt: number;
  /** Files whose next answer has a flipped bit in its middle. */
  flips: Set<string>;
  close(): void;
}

/** Bytes of an answer to a page that finds out what there is, at most. */
const PROBE = 2 ** 18;

async function serve(files: ReadonlyMap<string, Uint8Array>): Promise<Host> {
  const sent = new Map<string, number>();
  let total = 0;
  const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-allow-headers", "range");
    response.setHeader("access-control-expose-headers", "content-range, etag");
    const name = request.url!.slice(1);
    const bytes = files.get(name);
    if (request.method === "OPTIONS" || !bytes) return void response.writeHead(bytes ? 204 : 404).end();
    const [, from, to] = /^bytes=(\d+)-(\d+)$/.exec(request.headers.range ?? "")!;
    const [begin, end] = [Number(from), Math.min(Number(to) + 1, bytes.length)];
    const body = bytes.slice(begin, end);
    if (host.flips.delete(name)) body[body.length >> 1]! ^= 1;
    host.open++;
    response.once("close", () => host.open--);
    response.writeHead(206, {
      etag: `"${createHash("sha256").update(bytes).digest("hex").slice(0, 16)}"`,
      "content-range": `bytes ${begin}-${end - 1}/${bytes.length}`,
      "content-length": end - begin,
    });
    for (let at = 0; at < body.length; at += 65536) {
      const stops = (): boolean => body.length > PROBE && total >= host.stopsAt && !response.destroyed;
      while (stops()) await new Promise((resolve) => setTimeout(resolve, 5));
      if (response.destroyed) return;
      const chunk = body.subarray(at, at + 65536);
      sent.set(name, (sent.get(name) ?? 0) + chunk.length);
      total += chunk.length;
      if (!response.write(chunk))
        await new Promise((resolve) => (response.once("drain", resolve), response.once("close", resolve)));
    }
    response.end();
  };
  const server: Server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const url = `http://localhost:${(server.address() as AddressInfo).port}/`;
  const host: Host = {
    url,
    sent,
    open: 0,
    stopsAt: Infinity,
    flips: new Set(),
    close: () => void (server.closeAllConnections(), server.close()),
  };
  return host;
}

const size = largeFolder().get(weights)!.length;

const test = base.extend<{ host: Host; context: BrowserContext; open: () => Promise<Page> }>({
  // oxlint-disable-next-line no-empty-pattern -- Playwright reads the names of fixtures off the pattern
  host: async ({}, use) => {
    const host = await serve(largeFolder());
    await use(host);
    host.close();
  },
  context: async ({ browserWithGpu }, use) => {
    const context = await browserWithGpu.newContext();
    await use(context);
    await context.close();
  },
  /** A page of the test server without a script. */
  open: async ({ context, address }, use) => {
    await use(async () => {
      const page = await context.newPage();
      await page.goto(`${address}LICENSE`);
      return page;
    });
  },
});

/**
 * Reads every tensor in the page: bytes read, and how often it waited for the weights. (Of the small files each page may have
 * to wait for another one.) The name and message of the error where it fails.
 */
const read = (page: Page, { url }: Host) =>
  page.evaluate(
    async ([source, size]) => {
      const path = "/src/io/checkpoint.ts";
      const { openCheckpoint } = (await import(path)) as typeof import("../src/io/checkpoint.ts");
      let [bytes, waits] = [0, 0];
      try {
        const checkpoint = await openCheckpoint(source, {
          onWait: (_, total) => {
            if (total !== size) return;
            waits++;
            Object.assign(globalThis, { isWaiting: true });
          },
        });
        for (const name of checkpoint.tensors.keys()) bytes += (await checkpoint.read(name)).length;
        await checkpoint.settle();
        checkpoint.close();
      } catch (error) {
        return String(error);
      }
      return { bytes, waits };
    },
    [url, size] as const,
  );

const kept = (page: Page) =>
  page.evaluate(async () => {
    const path = "/src/io/kept.ts";
    const { kept } = (await import(path)) as typeof import("../src/io/kept.ts");
    return { models: await kept.list(), caches: await caches.keys() };
  });

test("two pages load one model with one download, and a third without any", async ({ host, open }) => {
  host.stopsAt = 4e6; // until one has found the other
  const pages = [await open(), await open()];
  const reading = Promise.all(pages.map((page) => read(page, host)));
  const waiting = async () =>
    (await Promise.all(pages.map((page) => page.evaluate(() => "isWaiting" in globalThis)))).filter(Boolean);
  await expect.poll(waiting, { timeout: 60_000, intervals: [20] }).toHaveLength(1);
  host.stopsAt = Infinity;
  expect(await reading).toEqual([
    { bytes: 26_000_000, waits: expect.any(Number) },
    { bytes: 26_000_000, waits: expect.any(Number) },
  ]);
  expect(await waiting()).toHaveLength(1);
  expect(host.sent.get(weights), "and what each page asks to find out what it is").toBeLessThanOrEqual(size + 2 ** 20);
  host.sent.clear();
  await read(await open(), host);
  expect(host.sent.get(weights), "whether it has changed").toBe(1);
  expect((await kept(pages[0]!)).models).toMatchObject([{ name: host.url, isComplete: true }]);
});

test("a page that is closed in the middle loses the pieces under way, no more", async ({ host, open }) => {
  host.stopsAt = 12e6;
  const [page, other] = [await open(), await open()];
  const reading = read(page, host).catch(() => "closed");
  // what was sent has come: all that is not kept are the beginnings of four pieces
  const bytes = async () => (await kept(other)).models[0]?.bytes ?? 0;
  await expect.poll(bytes, { timeout: 60_000, intervals: [50] }).toBeGreaterThan(12e6 - 4 * 2 ** 20);
  await page.close();
  expect(await reading).toBe("closed");
  await expect.poll(() => host.open).toBe(0);
  host.stopsAt = Infinity;
  expect(await read(other, host)).toEqual({ bytes: 26_000_000, waits: expect.any(Number) });
  expect(host.sent.get(weights)).toBeLessThanOrEqual(size + 4 * 2 ** 20 + 2);
});

test("where the browser grants too little, nothing is left", async ({ host, open, address, context }) => {
  const page = await open();
  const devtools = await context.newCDPSession(page);
  const { origin } = new URL(address);
  await devtools.send("Storage.overrideQuotaForOrigin", { origin, quotaSize: 15e6 });
  const error = await read(page, host);
  expect(error).toMatch(/storage: too little room to keep the model; got 1\d\.\d MB of it there .* want 26\.0 MB/);
  expect(await kept(page)).toEqual({ models: [], caches: [] });
});

test("load: a file that was damaged on the way is fetched again by itself", async ({ call, harness }) => {
  const files = toFiles(makeCheckpoint("llama3"), readGolden("llama3").dtype);
  const host = await serve(files);
  const file = files.get(weights)!;
  host.flips.add(weights);
  const sha256 = { [weights]: createHash("sha256").update(file).digest("hex") };
  await call("open", "flipped", host.url, { kv: "f32", context: 128, chunk: 8, sha256 });
  expect(host.sent.get(weights)).toBe(2 * file.length);
  await call("close", "flipped");
  expect(await kept(harness)).toMatchObject({ models: [{ name: host.url, isComplete: true }] });
  host.close();
});
