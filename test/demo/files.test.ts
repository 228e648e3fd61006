// Model files over HTTP: ranges, what stays private, the listing.

import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { findFile, listModels, modelFiles, parseRange } from "../../demo/server/files.mjs";

let folder = "";
let server: Server;
let url = "";
const content = Buffer.from(Array.from({ length: 1000 }, (_, index) => index % 251));

test.beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "longprompt-files-"));
  await mkdir(join(folder, "models/checkpoint"), { recursive: true });
  await mkdir(join(folder, "models/quantised"));
  await writeFile(join(folder, "models/checkpoint/model.safetensors"), content);
  await writeFile(join(folder, "models/checkpoint/config.json"), "{}");
  await writeFile(join(folder, "models/checkpoint/empty.json"), "");
  await writeFile(join(folder, "models/checkpoint/train.py"), "private");
  await writeFile(join(folder, "models/quantised/a b.gguf"), content);
  await writeFile(join(folder, "models/quantised/mmproj-a.gguf"), content);
  await writeFile(join(folder, "models/single.gguf"), content);
  await writeFile(join(folder, "models/.hidden.json"), "{}");
  await writeFile(join(folder, "secret.json"), "private");
  const middleware = modelFiles("/models/", [join(folder, "models")]);
  server = createServer((request, response) => {
    void middleware(request, response, () => response.writeHead(599).end());
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  url = `http://localhost:${address.port}/models/`;
});

test.afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

test("ranges are cut as RFC 9110 says", () => {
  expect(parseRange("bytes=0-9", 100)).toEqual({ start: 0, end: 10 });
  expect(parseRange("bytes=90-", 100)).toEqual({ start: 90, end: 100 });
  expect(parseRange("bytes=-10", 100)).toEqual({ start: 90, end: 100 });
  expect(parseRange("bytes=-1000", 100)).toEqual({ start: 0, end: 100 });
  expect(parseRange("bytes=90-200", 100)).toEqual({ start: 90, end: 100 });
  for (const beyond of ["bytes=100-", "bytes=100-200", "bytes=-0"])
    expect(parseRange(beyond, 100), beyond).toBe("unsatisfiable");
  for (const ignored of [undefined, "bytes=-", "bytes=9-3", "bytes=0-1,5-6", "lines=0-9", "bytes=a-b"]) {
    expect(parseRange(ignored, 100), String(ignored)).toBe("whole");
  }
});

test("a file is served whole and in parts, byte for byte", async () => {
  const whole = await fetch(`${url}checkpoint/model.safetensors`);
  expect([whole.status, whole.headers.get("accept-ranges")]).toEqual([200, "bytes"]);
  expect(Buffer.from(await whole.arrayBuffer()).equals(content)).toBe(true);
  const part = await fetch(`${url}checkpoint/model.safetensors`, { headers: { Range: "bytes=251-999" } });
  expect([part.status, part.headers.get("content-range"), part.headers.get("content-length")]).toEqual([
    206,
    "bytes 251-999/1000",
    "749",
  ]);
  expect(Buffer.from(await part.arrayBuffer()).equals(content.subarray(251))).toBe(true);
  const spaced = await fetch(`${url}quantised/a%20b.gguf`, { method: "HEAD" });
  expect([spaced.status, spaced.headers.get("content-length")]).toEqual([200, "1000"]);
  const beyond = await fetch(`${url}single.gguf`, { headers: { Range: "bytes=1000-" } });
  expect([beyond.status, beyond.headers.get("content-range")]).toEqual([416, "bytes */1000"]);
  expect(await (await fetch(`${url}checkpoint/empty.json`)).text()).toBe("");
});

test("entity tags spare a download, and guard a resumed one", async () => {
  const tag = (await fetch(`${url}single.gguf`, { method: "HEAD" })).headers.get("etag") ?? "";
  expect((await fetch(`${url}single.gguf`, { headers: { "If-None-Match": tag } })).status).toBe(304);
  expect((await fetch(`${url}single.gguf`, { headers: { Range: "bytes=5-", "If-Range": tag } })).status).toBe(206);
  expect((await fetch(`${url}single.gguf`, { headers: { Range: "bytes=5-", "If-Range": '"other"' } })).status).toBe(
    200,
  );
});

test("only model files leave the folder", async () => {
  const closed = [
    "checkpoint/train.py",
    "checkpoint/",
    "",
    ".hidden.json",
    "..%2fsecret.json",
    "..%5csecret.json",
    "%zz.json",
  ];
  for (const path of closed) expect((await fetch(url + path)).status, path).toBe(404);
  for (const path of [
    "../secret.json",
    "%2e%2e/secret.json",
    "/etc/passwd.json",
    "checkpoint/../../secret.json",
    "a\0.json",
  ]) {
    expect(await findFile([join(folder, "models")], path), path).toBeNull();
  }
  expect((await fetch(url, { method: "POST" })).status).toBe(599); // left to the next handler
});

test("the listing names checkpoints and single files, not their parts", async () => {
  expect(await listModels(join(folder, "models"))).toEqual([
    { name: "a b", path: "quantised/a b.gguf", bytes: 1000 },
    { name: "checkpoint", path: "checkpoint/", bytes: 1000 },
    { name: "single", path: "single.gguf", bytes: 1000 },
  ]);
  expect(await listModels(join(folder, "absent"))).toEqual([]);
});
