// The quality report with the engine and Fable, on the command line and on the benchmark page.

import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect } from "playwright/test";
import { parseQuality } from "../../demo/server/arguments/quality.mjs";
import type { QualityRow } from "../../demo/quality/result.ts";
import { command, type Outcome } from "./command.ts";
import { sidewaysOverflow, test, wait, watched } from "./visit.ts";

const quality = (...args: string[]): Promise<Outcome> => command("quality.mjs", args);

test.describe.configure({ mode: "parallel" });

let folder: string;
test.beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), "longprompt-quality-"))));
test.afterAll(() => rm(folder, { recursive: true }));

async function file(name: string, content: string | Uint8Array): Promise<string> {
  await writeFile(join(folder, name), content);
  return join(folder, name);
}

test("options are read strictly; what is not given is left to the page", () => {
  expect(parseQuality([])).toEqual({
    texts: [],
    chats: [],
    calibrate: [],
    model: "fable",
    json: false,
    options: {},
  });
  const line =
    "--text a --text b --chat c --calibrate d e --calibrate-tokens 900 --rows f16;int8 --measures ce,qa --prompt 64 --lengths 128,256 --depths 0,100";
  expect(parseQuality([...line.split(" "), "--json", "--plot", "p.svg"])).toMatchObject({
    texts: ["a", "b"],
    chats: ["c"],
    calibrate: ["d", "e"],
    json: true,
    plot: "p.svg",
    options: {
      rows: "f16;int8",
      calibrateTokens: 900,
      measures: ["ce", "qa"],
      prompt: 64,
      lengths: [128, 256],
      depths: [0, 100],
    },
  });
  for (const [option, value] of [
    ["--windows", "0"],
    ["--depths", "101"],
    ["--lengths", "12"],
    ["--continuation", "1"],
  ] as const)
    expect(() => parseQuality([option, value])).toThrow(`${option} is "${value}", want a whole number`);
});

test("--json prints a line for each row; f16 is the dense model itself, int8 is close to it", async () => {
  const plot = join(folder, "plot.svg");
  const measures = "--measures ce,needle"; // all of them: quality.full.test.ts
  const sizes = `--windows 1 --prompt 128 --continuation 24 --lengths 128 --depths 50 ${measures} --json`;
  const { code, out, err } = await quality("--rows", "f16; int8", "--plot", plot, ...sizes.split(" "));
  expect(code, err).toBe(0);
  const [f16, int8, ...others] = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as QualityRow);
  expect(others).toEqual([]);
  expect(Object.keys(f16!)).toEqual(
    "row tokens ce kl top1 needle needleExact needleGrid notes bytesPerToken prefillMs decodeMs".split(" "),
  );
  expect(f16).toMatchObject({ row: "f16", tokens: 24, kl: 0, top1: 1, bytesPerToken: 2048 });
  expect(int8).toMatchObject({ row: "int8", tokens: 24, bytesPerToken: 1152 });
  expect(int8!.kl).toBeGreaterThan(0);
  expect(int8!.kl).toBeLessThan(0.01);
  expect(Math.abs(int8!.ce! - f16!.ce!)).toBeLessThan(0.1);
  expect(f16!.ce).toBeGreaterThan(0.5);
  expect(f16!.needle).toBe(1); // what follows measures something only if the dense model finds it
  expect(f16!.decodeMs).toBeGreaterThan(0);
  expect(await readFile(plot, "utf8")).toMatch(
    /^<svg [^>]*xmlns="http:\/\/www.w3.org\/2000\/svg"[\s\S]*int8[\s\S]*<\/svg>\n$/,
  );
});

// What the page refuses as well is tried there, and in test/quality.
test("what cannot be measured is one line and exit code 1", async () => {
  const cases: readonly (readonly [string[], RegExp])[] = [
    [["--text", join(folder, "none.txt")], /text: .*none\.txt; got no such file, want a text file/],
    [["--text", folder], /got a directory/],
    [["--rows", "student=nowhere"], /student nowhere: got no student.safetensors there/],
    [
      ["--rows", "student=demo/models/students/smollm2-135m-instruct-k22"],
      /rows: "student=demo.*want a shape for 8 layers/,
    ],
    [["--window", "3"], /unknown option --window/],
  ];
  for (const [args, message] of cases) {
    const { code, out, err } = await quality(...args);
    expect({ code, out, lines: err.split("\n").length }, err).toEqual({ code: 1, out: "", lines: 2 });
    expect(err).toMatch(message);
    expect(err).toMatch(/^longprompt quality: /);
  }
  expect(await quality("--help")).toMatchObject({ code: 0, err: "" });
});

test("the page: chosen by keyboard, refuses what is wrong, stops, shows and offers what it measured", async ({
  visit,
  site,
}) => {
  const { page, faults } = await visit();
  await page.setViewportSize({ width: 360, height: 700 });
  await page.goto(`${site}/bench.html`);
  await page.waitForFunction(() => "runQuality" in window);
  await page.getByRole("radio", { name: "The model as it is" }).focus();
  await page.keyboard.press("ArrowRight");
  await page.keyboard.press("ArrowRight");
  const rows = page.getByRole("textbox", { name: /^Rows to compare/ });
  await expect(rows).toHaveValue("f16; int8; int4");
  await expect(page.getByRole("group", { name: /^Context lengths/ })).toBeHidden();
  expect(await sidewaysOverflow(page)).toBe(0);

  const start = page.getByRole("button", { name: "Start" });
  await rows.fill("int9");
  await rows.press("Enter");
  await expect(page.getByRole("alert")).toContainText('rows: "int9"; got "int9"', wait);
  await rows.fill("f16; int4");
  await page.getByRole("radio", { name: "Files of yours" }).check();
  await start.press("Enter");
  await expect(page.getByRole("alert")).toContainText("text: got no file", wait);
  await page.getByRole("radio", { name: "Stories, built in" }).check();
  await page.getByLabel("Choose texts to calibrate on").setInputFiles(await file("brief.txt", "A brief text."));
  await expect(page.getByText("brief.txt", { exact: true })).toBeVisible();
  await rows.fill("f16; int4");
  await start.press("Enter");
  await expect(page.getByText(/^dense f16: text 1 of 3/)).toBeVisible(wait);
  await page.getByRole("button", { name: "Stop" }).press("Enter");
  await expect(start).toBeVisible(wait);
  await expect(page.getByRole("alert")).toHaveCount(0);

  const result = await watched(page, () =>
    window.runQuality({
      rows: "f16; int4",
      measures: ["ce", "needle"],
      windows: 1,
      prompt: 64,
      continuation: 8,
      lengths: [128],
      depths: [0, 100],
    }),
  );
  expect(result).toMatchObject({ format: 1, kind: "quality", model: { layers: 8 } });
  await expect(page.getByRole("heading", { name: /^Fable, quality of its cache, on / })).toBeVisible();
  await expect(
    page.getByRole("img", { name: /^KL .*, by bytes of the cache a prompt token: f16: 2,048 bytes, 0 nats; int4: / }),
  ).toBeVisible();
  const table = page.getByRole("region", { name: "Quality" });
  await expect(table.getByRole("rowheader")).toHaveText(["f16", "int4"]);
  await expect(page.getByRole("region", { name: "Needles by length and depth" }).getByRole("columnheader")).toHaveText([
    "Needles",
    "128 at 0 %",
    "128 at 100 %",
  ]);
  expect(await sidewaysOverflow(page)).toBe(0);
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download JSON" }).click(),
  ]);
  expect(saved.suggestedFilename()).toMatch(/^longprompt-fable-quality-\d{4}-\d\d-\d\d\.json$/);
  expect(JSON.parse(await readFile(await saved.path(), "utf8"))).toEqual(await page.evaluate(() => window.benchResult));
  expect(faults).toEqual([]);
  await page.close();
});
