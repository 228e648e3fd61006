// What the commands accept and how they refuse. No GPU, no browser.

import { execFile } from "node:child_process";
import { mkdir, mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { parseBench } from "../../demo/server/arguments/bench.mjs";
import { resolveModel } from "../../demo/server/arguments/models.mjs";
import { parseServe } from "../../demo/server/arguments/serve.mjs";
import { parseStart } from "../../demo/server/arguments/start.mjs";

const START = join(import.meta.dirname, "../../demo/server/start.mjs");
const BENCH = join(import.meta.dirname, "../../demo/server/bench.mjs");
const MODEL = join(import.meta.dirname, "../../demo/server/model.mjs");

interface Outcome {
  code: number;
  out: string;
  err: string;
}

const run = (script: string, args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(process.execPath, [script, ...args], { timeout: 60_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });

test("a full command line is read into engine options", () => {
  const line =
    "--prompt hi --system S --model a/b --max-tokens 12 --temperature 0.5 --top-p .9 --top-k 40 --min-p 0.05 --seed 7 --repetition-penalty 1.1 --kv f32 --context 4096 --int8-products --matrix-products --trained a.safetensors --trained https://b/c --json --software";
  expect(parseStart(line.split(" "))).toEqual({
    prompt: "hi",
    system: "S",
    raw: false,
    model: "a/b",
    json: true,
    software: true,
    trained: ["a.safetensors", "https://b/c"],
    load: { kv: "f32", context: 4096, int8Products: true, matrixProducts: true },
    generate: { maxTokens: 12, temperature: 0.5, topP: 0.9, topK: 40, minP: 0.05, repetitionPenalty: 1.1, seed: 7 },
  });
});

test("the default is fable and nothing the engine would not choose itself", () => {
  expect(parseStart(["--prompt", "hi"])).toMatchObject({ model: "fable", raw: false, load: {}, generate: {} });
});

test("a prompt may begin with a dash, be empty or be standard input", () => {
  for (const prompt of ["- one\n- two", "-", "", "-5"])
    expect(parseStart(["--prompt", prompt])).toMatchObject({ prompt });
  expect(parseStart(["--prompt=--x"])).toMatchObject({ prompt: "--x" });
});

test("numbers are read strictly", () => {
  for (const text of ["3x", "", " ", "1.5", "NaN", "Infinity", "0x10", "1e3", "-1", "0"]) {
    expect(() => parseStart(["--prompt", "a", "--max-tokens", text]), text).toThrow(
      /--max-tokens is ".*", want a whole number/,
    );
  }
  for (const text of ["warm", "-0.1", "1.1", "1_0"]) {
    expect(() => parseStart(["--prompt", "a", "--top-p", text]), text).toThrow(
      /--top-p is ".*", want a number from 0 to 1/,
    );
  }
  expect(() => parseStart(["--prompt", "a", "--seed", "4294967296"])).toThrow(/--seed/);
});

test("--swiftkv is a shape or off", () => {
  const load = (...args: string[]): unknown => parseStart(["--prompt", "a", ...args]);
  expect(load("--swiftkv", "4,2")).toMatchObject({ load: { swiftkv: { layers: 4, group: 2 } } });
  expect(load("--swiftkv", "0")).toMatchObject({ load: { swiftkv: { layers: 0, group: 1 } } });
  expect(load("--swiftkv", "off")).toMatchObject({ load: { swiftkv: false } });
  for (const text of ["", "x", "4,", ",2", "4,0", "4,2,1", "-4", "4.5", "4, 2", "on", "1e1", "99999"])
    expect(() => load("--swiftkv", text), text).toThrow(/^--swiftkv is ".*", want K or K,G/);
});

const RECIPES = [
  "int8",
  "kivi:bits=2",
  "kivi:kbits=8,vbits=4",
  "pyramid:budget=512+kivi:bits=2",
  "snapkv:budget=512",
  "not one at all",
  "",
];

test("--kv goes to the engine as it was typed: what a recipe may be, only the engine knows", () => {
  for (const kv of RECIPES) {
    expect(parseStart(["--prompt", "a", "--kv", kv]), kv).toMatchObject({ load: { kv } });
    expect(parseStart(["--prompt", "a", `--kv=${kv}`]), kv).toMatchObject({ load: { kv } });
    expect(parseBench(["--kv", kv]), kv).toMatchObject({ compared: false, options: { kv } });
  }
});

test("a comparison takes several recipes between semicolons, each once", () => {
  const kv = (text: string): unknown => parseBench(["--swiftkv", "--kv", text]);
  expect(kv("f16; int4;f16")).toMatchObject({ compared: true, options: { kv: ["f16", "int4"] } });
  const systems = RECIPES.filter((recipe) => recipe !== "");
  expect(kv(systems.join(";"))).toMatchObject({ options: { kv: systems } });
  for (const text of ["", ";", "f16;", "f16;;int8", " ; f16"])
    expect(() => kv(text), text).toThrow(`--kv is "${text}", want recipes separated by semicolons`);
});

test("--tokens takes the place of the prompt", () => {
  expect(parseStart(["--tokens", "5,70, 80"])).toMatchObject({ tokens: [5, 70, 80] });
  expect(parseStart(["--tokens", "0"])).toMatchObject({ tokens: [0], raw: false, load: {}, generate: {} });
  for (const text of ["", ",", "1,", "a", "1.5", "-1", "1,-1", "1;2", "0x1"])
    expect(() => parseStart(["--tokens", text]), text).toThrow(/^--tokens is ".*", want a whole number of at least 0$/);
  for (const [name, ...rest] of [["--prompt", "a"], ["--system", "a"], ["--raw"]] as const)
    expect(() => parseStart(["--tokens", "1", name, ...rest])).toThrow(`${name} cannot go with --tokens`);
  expect(() => parseStart(["--tokens", "1", "--port", "80"])).toThrow("--port is for the page");
});

test("flags that do not go together are refused", () => {
  expect(() => parseStart(["--json"])).toThrow("--json needs --prompt or --tokens");
  expect(parseStart(["--no-open"])).toEqual({ page: true, open: false });
  expect(() => parseStart(["--prompt", "a", "--no-open"])).toThrow(/--no-open is for the page/);
  expect(() => parseStart(["--prompt", "a", "--raw", "--system", "s"])).toThrow(/--system/);
  expect(() => parseStart(["--prompt", "--json"])).toThrow("--prompt needs a value");
  expect(() => parseStart(["--nonsense"])).toThrow("unknown option --nonsense");
  expect(() => parseStart(["stray"])).toThrow('unexpected argument "stray"');
});

test("the benchmark's frontiers are sorted, unique and whole", () => {
  expect(parseBench(["--frontiers", "512,128,512", "--runs", "3"])).toMatchObject({
    options: { frontiers: [128, 512], runs: 3 },
  });
  expect(() => parseBench(["--frontiers", "128,x"])).toThrow(/--frontiers is "x"/);
  expect(() => parseBench(["--runs", "0"])).toThrow(/--runs/);
  expect(parseBench(["--decode-runs", "15"])).toMatchObject({ options: { decodeRuns: 15 } });
  expect(() => parseBench(["--decode-runs", "0"])).toThrow(/--decode-runs/);
  expect(() => parseBench(["--swiftkv", "--decode-runs", "3"])).toThrow(/--decode-runs cannot go with --swiftkv/);
});

test("a model is a path, a name, an address or an id", async () => {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-test-"));
  try {
    await mkdir(join(folder, "two"));
    for (const name of ["a.gguf", "two/a.gguf", "two/b.gguf"]) await writeFile(join(folder, name), "GGUF");
    expect(await resolveModel(join(folder, "a.gguf"))).toEqual({ local: { directory: folder, file: "a.gguf" } });
    expect(await resolveModel(folder)).toEqual({ local: { directory: folder, file: "a.gguf" } });
    await expect(resolveModel(join(folder, "two"))).rejects.toThrow(/2 \.gguf files/);
    await expect(resolveModel(join(folder, "missing"))).rejects.toThrow(/no such file or directory/);
    await expect(resolveModel("missing.gguf")).rejects.toThrow(/no such file or directory/);
    await writeFile(join(folder, "notes.txt"), "");
    await expect(resolveModel(join(folder, "notes.txt"))).rejects.toThrow(/is no \.gguf file/);
    await rm(join(folder, "a.gguf"));
    await expect(resolveModel(folder)).rejects.toThrow(/holds no model/);
  } finally {
    await rm(folder, { recursive: true });
  }
  expect(await resolveModel("fable")).toMatchObject({ local: { file: "" } });
  expect(await resolveModel("Qwen/Qwen2.5-0.5B-Instruct")).toEqual({ source: "Qwen/Qwen2.5-0.5B-Instruct" });
  expect(await resolveModel("https://x.y/m.gguf")).toEqual({ source: "https://x.y/m.gguf" });
  await expect(resolveModel("nonsense")).rejects.toThrow(/unknown model "nonsense"/);
});

test("every refusal is one line on standard error, exit code 1, no stack", async () => {
  const cases: readonly (readonly [string, readonly string[], RegExp])[] = [
    [START, ["--prompt", "a", "--bogus"], /unknown option --bogus/],
    [START, ["--prompt", "a", "--model", "nonsense"], /unknown model/],
    [START, ["--prompt", "a", "--model", "./missing.gguf"], /no such file/],
    [START, ["--prompt", "a", "--max-tokens", "many"], /--max-tokens/],
    [START, ["--prompt", " "], /the prompt is empty, want a text/],
    [START, ["--messages", "missing.json"], /--messages missing\.json cannot be read: ENOENT/],
    [START, ["--prompt", "a", "--swiftkv", "4,"], /--swiftkv is "4,", want K or K,G/],
    [BENCH, ["--frontiers", "0"], /--frontiers/],
    [MODEL, ["nonsense"], /unknown model.*smollm2-135m-instruct/],
    [MODEL, [], /give one name/],
  ];
  for (const [script, args, message] of cases) {
    const { code, out, err } = await run(script, args);
    expect({ code, out, lines: err.trimEnd().split("\n").length }, args.join(" ")).toEqual({
      code: 1,
      out: "",
      lines: 1,
    });
    expect(err).toMatch(message);
    expect(err).not.toMatch(/\n\s+at /);
  }
});

test("--help is not an error", async () => {
  for (const script of [START, BENCH]) expect(await run(script, ["--help"])).toMatchObject({ code: 0, err: "" });
});

test("the chat template's options: variables as JSON or words, files by name", () => {
  const line =
    "--messages m.json --tools t.json --documents d.json --variable enable_thinking=false --variable style=a=b";
  expect(parseStart(line.split(" "))).toMatchObject({
    messages: "m.json",
    tools: "t.json",
    documents: "d.json",
    variables: { enable_thinking: false, style: "a=b" },
  });
  const refused: readonly [string, RegExp][] = [
    ["--prompt hi --variable thinking", /NAME=VALUE/],
    ["--prompt hi --raw --tools t.json", /--tools needs the chat template/],
    ["--tokens 1 --variable a=1", /--variable cannot go with --tokens/],
    ["--messages m.json --system S", /--system cannot go with --messages/],
  ];
  for (const [words, message] of refused) expect(() => parseStart(words.split(" ")), words).toThrow(message);
});

test("piped text stands for --prompt where nothing else does", () => {
  expect(parseStart([], "hi")).toMatchObject({ prompt: "hi", model: "fable" });
  expect(parseStart(["--model", "a/b"], "hi")).toMatchObject({ prompt: "hi", model: "a/b" });
  expect(parseStart(["--prompt", "own"], "hi")).toMatchObject({ prompt: "own" });
  expect(parseStart([])).toMatchObject({ page: true });
  expect(() => parseStart(["--model", "a/b"])).toThrow(/--model needs --prompt or --tokens/);
});

test("the server's arguments: this machine alone, an origin as browsers write it", () => {
  expect(parseServe([])).toMatchObject({ model: "fable", port: 8080, host: "127.0.0.1", guard: {}, load: {} });
  const line =
    "--model a/b --port 0 --host ::1 --token T --cors https://app.example --kv int8 --context 64 --sequences 2";
  expect(parseServe(line.split(" "))).toMatchObject({
    model: "a/b",
    port: 0,
    host: "::1",
    guard: { token: "T", cors: "https://app.example" },
    load: { kv: "int8", context: 64, sequences: 2 },
  });
  for (const [args, message] of [
    ["--host 0.0.0.0", /--host is "0\.0\.0\.0", want 127\.0\.0\.1/],
    ["--cors https://app.example/", /--cors is "https:\/\/app\.example\/", want an origin/],
    ["--cors any", /--cors is "any"/],
    ["--port 70000", /--port is "70000"/],
    ["--prompt hi", /unknown option --prompt/],
  ] as const)
    expect(() => parseServe(args.split(" "))).toThrow(message);
});
