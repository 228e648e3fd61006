// The page of the quality report with texts to calibrate on, and with second questions.
import { expect } from "playwright/test";
import { test, wait, watched } from "./visit.ts";

test("a text that is too short to calibrate on is refused with how long it must be", async ({ visit, site }) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runQuality" in window);
  await page.getByRole("radio", { name: /quality/i }).check();
  const buffer = Buffer.from("A brief text.");
  await page
    .getByLabel("Choose texts to calibrate on")
    .setInputFiles({ name: "brief.txt", mimeType: "text/plain", buffer });
  const rows = page.getByRole("textbox", { name: /^Rows to compare/ });
  await rows.fill("calibrated=4");
  await rows.press("Enter");
  await expect(page.getByRole("alert")).toContainText(/calibrate: too short; got \d tokens, want at least 772/, wait);
  expect(faults).toEqual([]);
  await page.close();
});

test("a text that is too short to measure on is refused with its name", async ({ visit, site }) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runQuality" in window);
  await page.getByRole("radio", { name: /quality/i }).check();
  await page.getByRole("radio", { name: "Files of yours" }).check();
  const short = { name: "short.txt", mimeType: "text/plain", buffer: Buffer.from("A short text.") };
  await page.getByLabel("Choose text files").setInputFiles(short);
  await page.getByRole("button", { name: "Start" }).press("Enter");
  await expect(page.getByRole("alert")).toContainText(/text: short\.txt; got \d tokens/, wait);
  expect(faults).toEqual([]);
  await page.close();
});

test("all measures: what a row has of each", async ({ visit, site }) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runQuality" in window);
  const { rows } = await watched(page, () =>
    window.runQuality({
      rows: "f16",
      measures: ["ce", "greedy", "needle", "second", "qa"],
      windows: 1,
      prompt: 128,
      continuation: 24,
      lengths: [128],
      depths: [50],
      questions: 1,
    }),
  );
  expect(Object.keys(rows[0]!)).toEqual(
    "row tokens ce kl top1 greedy needle needleExact needleGrid notes second qa bytesPerToken prefillMs decodeMs".split(
      " ",
    ),
  );
  expect(rows[0]).toMatchObject({ row: "f16", kl: 0, top1: 1, greedy: 64 });
  expect(faults).toEqual([]);
  await page.close();
});

test("second questions: what stays for one question answers another less well than what stays for all", async ({
  visit,
  site,
}) => {
  const { page, faults } = await visit();
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runQuality" in window);
  const { rows } = await watched(page, () =>
    window.runQuality({ rows: "f16; kvzip:keep=0.25; pyramid:budget=128", measures: ["second"], prompt: 512 }),
  );
  const [f16, kvzip, pyramid] = rows.map(({ second }) => second!);
  expect(kvzip).toBeLessThanOrEqual(f16! + 1 / 32);
  expect(pyramid).toBeLessThan(kvzip!);
  expect(faults).toEqual([]);
  await page.close();
});
