// `npm run distil`, and the training page, with Fable.

import { execFile, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "playwright/test";
import { sampleText } from "../../demo/chat/sample.ts";
import { parseDistil } from "../../demo/server/arguments/students.mjs";
import { STORY, test, wait } from "./visit.ts";

const SCRIPT = join(import.meta.dirname, "../../demo/server/distil.mjs");

const run = (args: readonly string[]): Promise<{ code: number; out: string; err: string }> =>
  new Promise((resolve) => {
    execFile(process.execPath, [SCRIPT, ...args], { timeout: 1_200_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });

test("a full command line is read", () => {
  const line =
    "--model a/b --layers 22 --group 2 --text a.txt b.txt --steps 9 --rate 1e-3 --warmup 2 --temperature 1 --hidden-weight 0.5 --window 100 --batch 2 --seed 4 --checkpoint-every 3 --tokens 99 --chats 2 --folded --out D --json";
  expect(parseDistil(line.split(" "))).toEqual({
    model: "a/b",
    texts: ["a.txt", "b.txt"],
    out: "D",
    json: true,
    software: undefined,
    start: undefined,
    resume: false,
    data: { tokens: 99, chats: 2 },
    shape: { layers: 22, group: 2 },
    load: { context: 128, chunk: 128, tune: "off" },
    distil: {
      start: "folded",
      steps: 9,
      rate: 1e-3,
      warmup: 2,
      temperature: 1,
      hiddenWeight: 0.5,
      window: 100,
      batch: 2,
      seed: 4,
      checkpointEvery: 3,
    },
  });
  for (const [line, message] of [
    ["--text a --out D", /--layers is missing/],
    ["--layers 4 --out D --text a --resume --start S", /--start cannot go with --resume/],
    ["--layers 4 --out D --text a --rate 0", /--rate is "0", want a number/],
  ] as const)
    expect(() => parseDistil(line.split(" ")), line).toThrow(message);
});

test("a training that is killed goes on from its checkpoint and ends as one that was not", async () => {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-"));
  const place = (name: string) => join(folder, name);
  await writeFile(place("text.txt"), STORY.repeat(150));
  const common = ["--layers", "4", "--text", place("text.txt"), "--window", "32", "--checkpoint-every", "1", "--json"];
  const args = (out: string) => [...common, "--folded", "--steps", "4", "--warmup", "1", "--out", place(out)];
  const resumed = (out: string) => [...common, "--out", place(out), "--resume"];
  const refused = await run(resumed("killed"));
  expect(refused.err).toMatch(/--resume: got no checkpoint.safetensors in/);

  const whole = await run(args("whole"));
  expect(whole.code, whole.err).toBe(0);
  const card = JSON.parse(whole.out) as { losses: number[]; distillation: { steps: number } };
  expect(card).toMatchObject({ losses: { length: 4 }, distillation: { steps: 4, window: 32 } });

  const killed = spawn(process.execPath, [SCRIPT, ...args("killed")], { stdio: "ignore" });
  while (!existsSync(place("killed/checkpoint.safetensors"))) await new Promise((done) => setTimeout(done, 50));
  killed.kill("SIGKILL");
  const rest = await run(resumed("killed"));
  expect(rest.code, rest.err).toBe(0);
  for (const file of ["student.safetensors", "checkpoint.safetensors"])
    expect(await readFile(place(`killed/${file}`)), file).toEqual(await readFile(place(`whole/${file}`)));
  expect((await readdir(place("whole"))).toSorted()).toEqual([
    "checkpoint.safetensors",
    "student.json",
    "student.safetensors",
  ]);
  await rm(folder, { recursive: true });
});

test("the page trains, pauses, goes on, and saves the student", async ({ site, visit }) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/distil.html`);
  for (const [name, value] of [
    ["steps", "5"],
    ["window", "32"],
  ] as const)
    await page.locator(`[name=${name}]`).fill(value);
  await page.getByLabel("A text file").check();
  const buffer = Buffer.from(sampleText(900));
  await page.locator("#distil-file").setInputFiles({ name: "text.txt", mimeType: "text/plain", buffer });
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.locator("#distil-phase")).toContainText("Step 1 of 5", { timeout: 600_000 });
  await page.getByRole("button", { name: "Pause" }).click();
  await expect(page.getByRole("button", { name: "Go on" })).toBeVisible(wait);
  await page.getByRole("button", { name: "Go on" }).click();
  await expect(page.getByRole("button", { name: "Start again" })).toBeVisible({ timeout: 600_000 });
  await expect(page.getByRole("img", { name: /Loss after 5 of 5 steps/ })).toBeVisible();
  const download = page.waitForEvent("download");
  await page.getByRole("button", { name: "Save the student" }).click();
  expect((await download).suggestedFilename()).toBe("student.safetensors");
  // A text that is none is said in words.
  await page.locator("#distil-file").setInputFiles([]);
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByRole("alert")).toContainText("distil: text 1; got nothing", wait);
  expect(faults).toEqual([]);
  await page.close();
});
