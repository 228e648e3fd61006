// `npm run distil`, and the training page, with Fable.

import type { Page } from "playwright";
import { expect } from "playwright/test";
import { sampleText } from "../../demo/chat/sample.ts";
import { parseDistil } from "../../demo/server/arguments/students.mjs";
import { test, wait } from "./visit.ts";

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

/** The page clicks Pause itself once a step has been taken: a fast machine takes all of them between two looks from here. */
const pauseAfterStep = (page: Page): Promise<void> =>
  page.evaluate(() => {
    const phase = document.querySelector("#distil-phase")!;
    const observer = new MutationObserver(() => {
      if (!phase.textContent.startsWith("Step 1 of 5")) return;
      observer.disconnect();
      document.querySelector<HTMLButtonElement>("#distil-pause")!.click();
    });
    observer.observe(phase, { childList: true });
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
  await pauseAfterStep(page);
  await page.getByRole("button", { name: "Start" }).click();
  await expect(page.getByRole("button", { name: "Go on" })).toBeVisible({ timeout: 600_000 });
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
