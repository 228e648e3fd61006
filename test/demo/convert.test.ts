// `npm run convert` and `--student`, with Fable.

import { mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { resolveStudent } from "../../demo/server/arguments/models.mjs";
import { parseStart } from "../../demo/server/arguments/start.mjs";
import { parseConvert } from "../../demo/server/arguments/students.mjs";
import { command as run } from "./command.ts";
import { STORY } from "./visit.ts";

test("a full command line is read; texts may follow one --text", () => {
  const line =
    "--model a/b --layers 22 --group 2 --text a.txt b.txt --window 256 --text c.txt --ridge 1e-3 --tokens 9 --chats 3 --full --out D --json";
  expect(parseConvert(line.split(" "))).toEqual({
    model: "a/b",
    texts: ["a.txt", "b.txt", "c.txt"],
    out: "D",
    json: true,
    software: undefined,
    shape: { layers: 22, group: 2 },
    load: {},
    full: true,
    data: { tokens: 9, chats: 3 },
    calibrate: { window: 256, ridge: 1e-3 },
  });
  expect(parseConvert("--layers 4 --text a --out D".split(" "))).toMatchObject({
    model: "fable",
    shape: { layers: 4, group: 1 },
    full: false,
    data: {},
    calibrate: {},
  });
  expect(parseConvert("--layers 4 --chats 9 --out D".split(" "))).toMatchObject({ texts: [], data: { chats: 9 } });
  for (const [line, message] of [
    ["--text a --out D", /--layers is missing/],
    ["--layers 4 --out D", /--text is missing/],
    ["--layers 4 --text a", /--out is missing/],
    ["--layers x --text a --out D", /--layers is "x", want a whole number/],
    ["--layers 4 --group 0 --text a --out D", /--group is "0"/],
    ["--layers 4 --text a --out D --ridge 0", /--ridge is "0", want a number/],
    ["--layers 4 --text a --out D e", /unexpected argument "e"/],
  ] as const)
    expect(() => parseConvert(line.split(" ")), line).toThrow(message);
  expect(parseStart(["--prompt", "a", "--student", "D"])).toMatchObject({ student: "D" });
});

test("a student is made, named, used, and refused where it does not fit", async () => {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-"));
  const text = join(folder, "text.txt");
  const out = join(folder, "student");
  await writeFile(text, STORY.repeat(120));
  const made = await run("convert.mjs", ["--layers", "4", "--text", text, "--tokens", "900", "--out", out, "--json"]);
  expect(made.code, made.err).toBe(0);
  const card = JSON.parse(made.out) as { calibration: { tokens: number; r2: number[] }; bytes: number };
  expect(card).toMatchObject({ model: "fable", swiftkv: { layers: 4, group: 1 }, calibration: { tokens: 900 } });
  expect(card.calibration.r2[0]).toBeGreaterThan(0.999);
  expect((await readdir(out)).toSorted()).toEqual(["student.json", "student.safetensors"]);
  const file = join(out, "student.safetensors");
  expect((await readFile(file)).length).toBe(card.bytes);
  expect(await resolveStudent(out)).toEqual({ local: { directory: out, file: "student.safetensors" } });
  await expect(resolveStudent(folder)).rejects.toThrow(/got no student.safetensors there, want what npm run convert/);

  const ask = ["--prompt", STORY, "--max-tokens", "3", "--context", "256", "--student", out];
  const answer = await run("start.mjs", ask);
  expect(answer.code, answer.err).toBe(0);
  expect(answer.err).toContain("SwiftKV: 4 of 8 layers read, calibrated on 900 tokens");
  await truncate(file, card.bytes - 10);
  const damaged = await run("start.mjs", ask);
  expect(damaged.code).toBe(1);
  expect(damaged.err).toContain(`${file}: file ends early`);
  await rm(folder, { recursive: true });
});

test("texts that are none, and too few, are one line each; nothing is left behind", async () => {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-"));
  const place = (name: string) => join(folder, name);
  await writeFile(place("empty"), "");
  await writeFile(place("binary"), Uint8Array.from([0xff, 0xfe, 0, 1, 2]));
  await writeFile(place("zero"), "ab\0cd");
  await writeFile(place("short"), STORY);
  const convert = (name: string) =>
    run("convert.mjs", ["--layers", "4", "--text", place(name), "--out", place(`out-${name}`)]);
  for (const [name, message] of [
    ["nowhere", /--text \S+ cannot be read: ENOENT/],
    ["empty", /--text \S+ is empty/],
    ["binary", /--text \S+ is no UTF-8 text/],
    ["zero", /--text \S+ is no UTF-8 text/],
    ["short", /calibrate: too short; got \d+ tokens, want at least 772 \(4 for each of 193 inputs/],
  ] as const) {
    const { code, err } = await convert(name);
    expect({ code, lines: err.trim().split("\n").length }, err).toEqual({ code: 1, lines: 1 });
    expect(err).toMatch(message);
  }
  expect(await readdir(place("out-short"))).toEqual([]);
  await rm(folder, { recursive: true });
});
