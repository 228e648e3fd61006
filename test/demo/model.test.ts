// `npm run model` against a hub of our own: hashes, resuming, nothing fetched twice.

import { execFile } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from "node:fs/promises";
import { createServer } from "node:http";
import type { Server } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";

const SCRIPT = join(import.meta.dirname, "../../demo/server/model.mjs");
const ID = "HuggingFaceTB/SmolLM2-360M-Instruct";
const weights = Buffer.alloc(200_000, "weights");
const config = Buffer.from('{"model_type": "llama"}\n');

let folder = "";
let server: Server;
let hub = "";
let served: string[] = [];
let corrupt = false;

const gitBlob = (content: Buffer): string =>
  createHash("sha1").update(`blob ${content.length}\0`).update(content).digest("hex");

const listing = [
  {
    type: "file",
    path: "model.safetensors",
    size: 134,
    oid: "pointer",
    lfs: { oid: createHash("sha256").update(weights).digest("hex"), size: weights.length },
  },
  { type: "file", path: "config.json", size: config.length, oid: gitBlob(config) },
  { type: "file", path: "onnx.bin", size: 5, oid: "unwanted" },
  { type: "directory", path: "onnx", size: 0, oid: "d" },
];

test.beforeAll(async () => {
  server = createServer((request, response) => {
    const path = request.url ?? "";
    const range = /bytes=(\d+)-/.exec(request.headers.range ?? "");
    served.push(`${path.split("/").at(-1)}${range ? `@${range[1]}` : ""}`);
    if (path === `/api/models/${ID}/tree/main`) return void response.end(JSON.stringify(listing));
    const content = path.endsWith("config.json") ? config : weights;
    const start = Number(range?.[1] ?? 0);
    response.writeHead(range ? 206 : 200);
    response.end(corrupt ? Buffer.alloc(content.length - start) : content.subarray(start));
  });
  await new Promise<void>((resolve) => server.listen(0, "localhost", resolve));
  const address = server.address();
  if (typeof address !== "object" || address === null) throw new Error("no address");
  hub = `http://localhost:${address.port}`;
});

test.afterAll(() => void server.close());

test.beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), "longprompt-hub-"));
  served = [];
  corrupt = false;
});

test.afterEach(() => rm(folder, { recursive: true }));

const get = (): Promise<{ code: number; err: string }> =>
  new Promise((resolve) => {
    const options = { env: { ...process.env, HF_ENDPOINT: hub }, timeout: 60_000 };
    execFile(process.execPath, [SCRIPT, "smollm2-360m-instruct", "--to", folder], options, (error, _, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), err });
    });
  });

const target = (name: string): string => join(folder, "smollm2-360m-instruct", name);

test("fetches what the engine needs, and a second time nothing", async () => {
  expect(await get()).toMatchObject({ code: 0 });
  expect((await readFile(target("model.safetensors"))).equals(weights)).toBe(true);
  expect((await readFile(target("config.json"))).equals(config)).toBe(true);
  expect(served).toEqual(["main", "model.safetensors", "config.json"]);
  served = [];
  expect(await get()).toMatchObject({ code: 0 });
  expect(served).toEqual(["main"]);
});

test("goes on where a download broke off", async () => {
  await mkdir(join(folder, "smollm2-360m-instruct"));
  await writeFile(target("model.safetensors.part"), weights.subarray(0, 70_000));
  expect(await get()).toMatchObject({ code: 0 });
  expect(served).toContain("model.safetensors@70000");
  expect((await readFile(target("model.safetensors"))).equals(weights)).toBe(true);
});

test("a damaged download is thrown away and said so in one line", async () => {
  corrupt = true;
  const { code, err } = await get();
  expect(code).toBe(1);
  expect(err.trimEnd().split("\n").at(-1)).toMatch(/arrived damaged/);
  await expect(stat(target("model.safetensors"))).rejects.toThrow();
  await expect(stat(target("model.safetensors.part"))).rejects.toThrow();
});
