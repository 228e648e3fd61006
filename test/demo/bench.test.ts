// The benchmark page with the engine and Fable, by hand and by a driver. Nothing here depends on speed.

import { readFile } from "node:fs/promises";
import type { Page } from "playwright";
import { expect } from "playwright/test";
import { parseBench } from "../../demo/server/arguments/bench.mjs";
import { shapesFor } from "../../demo/bench/compare.ts";
import type { CompareResult } from "../../demo/bench/compare.ts";
import { readRecipes } from "../../demo/bench/recipes.ts";
import { expectRatios } from "./ratios.ts";
import { sidewaysOverflow, test, type Visit, wait, watched } from "./visit.ts";

const SNAPKV = "snapkv:budget=128";

let faults: string[] = [];
let page: Page;
let visitPage: () => Promise<Visit>;

test.beforeEach(({ visit, site }) => {
  visitPage = async () => {
    const opened = await visit();
    await opened.page.setViewportSize({ width: 360, height: 700 });
    await opened.page.goto(`${site}/bench.html`);
    await opened.page.waitForFunction(() => "runBench" in window);
    return opened;
  };
});

/** A phone with the page on it. */
async function open(): Promise<void> {
  ({ page, faults } = await visitPage());
}

async function close(): Promise<void> {
  expect(faults).toEqual([]);
  await page.close();
}

/** What Download JSON saves, and as what. */
async function download(): Promise<{ name: string; saved: unknown }> {
  const [file] = await Promise.all([
    page.waitForEvent("download"),
    page.getByRole("button", { name: "Download JSON" }).click(),
  ]);
  return { name: file.suggestedFilename(), saved: JSON.parse(await readFile(await file.path(), "utf8")) };
}

test.describe("benchmark", () => {
  test.beforeEach(open);
  test.afterEach(close);

  test("runBench measures, draws, and offers what it measured", async () => {
    const result = await watched(page, () =>
      window.runBench({ frontiers: [64, 256, 8192], runs: 2, decodeRuns: 3, warmups: 0, newTokens: 4, profile: true }),
    );
    expect(result).toMatchObject({ format: 1, model: { context: 2048, layers: 8 }, skipped: [8192] });
    expect(result.rows.map((row) => [row.frontier, row.promptTokens])).toEqual([
      [64, 64],
      [256, 256],
    ]);
    const row = result.rows[1]!;
    expect(result.rows[0]!.decodeToFirst).toBe(1);
    expect(row.prefill.samples).toHaveLength(2);
    expect(row.decode.samples).toHaveLength(3);
    for (const figure of [
      row.prefill.median,
      row.decodeToFirst,
      row.decode.median,
      row.firstTokenMs,
      row.decode.gbs,
      row.decode.percentOfCopy,
      row.prefill.gflops,
      row.prefill.percentOfFma,
    ])
      expect(figure).toBeGreaterThan(0);
    expect(result.kernels.map(({ phase, tokens }) => [phase, tokens])).toEqual([
      ["prefill", 256],
      ["decode", 256],
    ]);
    for (const { rows } of result.kernels) {
      expect(rows.filter((kernel) => kernel.calls === 8).length).toBeGreaterThan(4);
      expect(Math.min(...rows.map((kernel) => kernel.bytes))).toBeGreaterThan(0);
    }

    await expect(page.getByRole("heading", { name: /^Fable on / })).toBeVisible();
    for (const name of [/^Prefill: 64 tokens [\d.,]+ tokens a second/, /^Decode: 64 tokens [\d.,]+ tokens a second/])
      await expect(page.getByRole("img", { name }).locator("circle")).toHaveCount(2);
    const speed = page.getByRole("region", { name: "Speed" });
    await expect(speed.getByRole("rowheader")).toHaveText(["64", "256"]);
    await expect(speed.getByRole("cell")).toHaveCount(20);
    await expect(speed.getByRole("cell", { name: /^([\d.]+ % of|unsteady,) [\d.,]+$/ })).toHaveCount(4);
    await expect(page.locator(".plot polyline")).toHaveCount(0); // nothing is known between two points
    for (const { phase, rows } of result.kernels) {
      const table = page.getByRole("region", { name: phase === "prefill" ? /^Kernels, prefill/ : /^Kernels, one new/ });
      await expect(table.getByRole("rowheader")).toHaveText(rows.map((kernel) => kernel.label));
    }
    expect(await sidewaysOverflow(page)).toBe(0);

    const { name, saved } = await download();
    expect(name).toMatch(/^longprompt-fable-\d{4}-\d\d-\d\d\.json$/);
    expect(saved).toEqual(await page.evaluate(() => window.benchResult));
  });

  test("Start shows how far it is, Stop ends it; nothing chosen is said so", async () => {
    const lengths = page.getByRole("group", { name: /^Context lengths/ }).getByRole("checkbox");
    for (const length of await lengths.all()) await length.uncheck();
    await page.getByRole("button", { name: "Start" }).click();
    const card = page.getByRole("alert");
    await expect(card).toContainText("nothing to measure", wait);
    await page.getByRole("checkbox", { name: "1K" }).check();
    await page.getByRole("button", { name: "Start" }).click();
    await expect(page.getByRole("progressbar")).toBeVisible();
    await expect(card).toHaveCount(0);
    await expect(page.getByText("1024 tokens, reading, run 1 of 6")).toBeVisible(wait);
    await page.getByRole("button", { name: "Stop" }).click();
    await expect(page.getByRole("button", { name: "Start" })).toBeVisible(wait);
    await expect(card).toHaveCount(0);
  });
});

test.describe("dense against SwiftKV", () => {
  test.beforeEach(open);
  test.afterEach(close);

  test("runComparison measures each variant, holds it against the FLOP model, draws, and offers the figures", async () => {
    const result = await watched(page, () =>
      window.runComparison({
        frontiers: [64, 256, 8192],
        runs: 1,
        warmups: 0,
        newTokens: 3,
        shapes: [
          { share: 0.5, group: 1 },
          { layers: 4, group: 2 },
        ],
        kv: ["f16", "snapkv:budget=128"],
      }),
    );
    expect(result).toMatchObject({
      format: 1,
      kind: "swiftkv",
      undistilled: true,
      interleaved: true,
      notes: [],
      skipped: [8192],
      model: { layers: 8, swiftkv: null },
    });
    expect(result.variants.map(({ swiftkv, kv, kvToDense }) => [swiftkv, kv, kvToDense])).toEqual(
      ["f16", SNAPKV].flatMap((kv) => [
        [null, kv, 1],
        [{ layers: 4, group: 1 }, kv, 1],
        [{ layers: 4, group: 2 }, kv, 0.75], // 4 + 4 / 2 caches of 8
      ]),
    );
    const [dense, part] = [0, 3].map((i) => result.variants[i]!.rows.map((row) => row.promptBytes / row.promptTokens));
    expect(dense).toEqual([2048, 2048]);
    expect(part).toEqual([2048, 1024]); // 64 tokens fit into the budget of 128
    expectRatios(result);
    await expectReport();
    expect(await sidewaysOverflow(page)).toBe(0);
    const drawing = await page.evaluate(() => window.drawComparison(window.benchResult as CompareResult));
    for (const text of ["A new token after so many tokens", "Keys and values of a prompt", `K 4 · G 2, ${SNAPKV}`])
      expect(drawing).toContain(text);
    expect(drawing.match(/<path class="dot"/g)).toHaveLength(2 * 6 * 2 + 6); // two charts, six variants at two lengths, and the legend
    const { name, saved } = await download();
    expect(name).toMatch(/^longprompt-fable-swiftkv-\d{4}-\d\d-\d\d\.json$/);
    expect(saved).toEqual(await page.evaluate(() => window.benchResult));
  });

  test("the keyboard chooses the comparison; nothing chosen is said so; Stop ends it", async () => {
    const shapes = page.getByRole("group", { name: "SwiftKV shapes" });
    const half = shapes.getByRole("group", { name: "K near half" });
    await expect(shapes).toBeHidden();
    await page.getByRole("radio", { name: "The model as it is" }).focus();
    await page.keyboard.press("ArrowRight");
    await expect(shapes).toBeVisible();
    await expect(page.getByRole("checkbox", { name: "Time each kernel" })).toBeHidden();
    await expect(
      page.getByText("Dense and 2 SwiftKV, f16, 5 lengths, 5 runs and one to warm up: 90 replies."),
    ).toBeVisible();
    expect(await sidewaysOverflow(page)).toBe(0);
    await page.getByRole("button", { name: "Fill in what shows the cost of context" }).press("Enter");
    await expect(page.getByText("Dense, f16, int8, kivi:bits=4, pyramid, shadow, swiftkv=half,2+shadow, 5 lengths, 5 runs and one to warm up: 180 replies.")).toBeVisible(); // prettier-ignore
    await page.getByLabel("Other recipes, separated by semicolons").fill("");
    await page.getByRole("group", { name: "Keys and values" }).getByRole("checkbox", { name: "int8" }).uncheck();
    for (const name of ["G 1", "G 2"]) await half.getByRole("checkbox", { name }).press("Space");
    for (const name of ["G 1", "G 2"]) await half.getByRole("checkbox", { name }).press("Space");
    await page.getByRole("button", { name: "Start" }).press("Enter");
    await expect(page.getByRole("alert")).toContainText("got one recipe and no SwiftKV shape", wait);
    await shapes
      .getByRole("group", { name: "K near three quarters" })
      .getByRole("checkbox", { name: "G 2" })
      .press("Space");
    await page.getByRole("button", { name: "Start" }).press("Enter");
    await expect(page.getByText(/^128 tokens, (dense|K 6 · G 2), run \d of 6$/)).toBeVisible(wait);
    await page.getByRole("button", { name: "Stop" }).press("Enter");
    await expect(page.getByRole("button", { name: "Start" })).toBeVisible(wait);
    await expect(page.getByRole("alert")).toHaveCount(0);
  });
});

/** Charts with a text alternative, a legend that works by keyboard, and the tables. */
async function expectReport(): Promise<void> {
  for (const kv of ["f16", SNAPKV]) {
    const chart = page.getByRole("figure").filter({ hasText: `Time to the first token, ${kv}` });
    const drawing = chart.getByRole("img", { name: /dense: 64 tokens .*; K 4 · G 1: 64 tokens .*256 tokens/ });
    await expect(drawing.locator(".predicted:not([points=''])")).toHaveCount(2);
    await expect(drawing.locator(".dot")).toHaveCount(6);
    await expect(drawing.locator(".series-1")).toBeVisible();
    await chart.getByRole("checkbox", { name: "K 4 · G 1" }).press("Space");
    await expect(drawing.locator(".series-1")).toBeHidden();
  }
  for (const title of ["A new token after so many", "Keys and values of a prompt"]) {
    const chart = page.getByRole("figure").filter({ hasText: title });
    await expect(chart.getByRole("listitem")).toHaveCount(6);
    await expect(
      chart.getByRole("img", { name: /dense, f16: 64 tokens .*; K 4 · G 2, snapkv:budget=128: 64 tokens/ }),
    ).toBeVisible();
  }
  const speed = page.getByRole("region", { name: "Speed" });
  await expect(speed.locator("th[scope=rowgroup]")).toHaveText(["64 tokens", "256 tokens"]);
  await expect(speed.getByRole("row", { name: `K 4 · G 2, ${SNAPKV}` })).toHaveCount(2);
  const memory = page.getByRole("region", { name: "Keys and values" });
  await expect(memory.getByRole("row", { name: "K 4 · G 2, f16" })).toContainText("75.0 %");
}

test("K is near the share, such that groups of 1, 2 and 4 divide the rest where they can", () => {
  const wanted = [0.5, 0.75].flatMap((share) => [1, 2, 4].map((group) => ({ share, group })));
  const pairs = (layers: number): number[][] => shapesFor(wanted, layers).shapes.map((shape) => Object.values(shape));
  const triple = (own: number): number[][] => [1, 2, 4].map((group) => [own, group]);
  expect(pairs(30)).toEqual([...triple(14), ...triple(22)]);
  expect(pairs(32)).toEqual([...triple(16), ...triple(24)]);
  expect(pairs(28)).toEqual([...triple(12), ...triple(20)]);
  expect(pairs(8)).toEqual([...triple(4), [6, 1], [6, 2]]); // 4 divides what is left at K 4 only
  expect(pairs(2)).toEqual([[1, 1]]);
  expect(shapesFor(wanted.slice(0, 3), 30).notes).toEqual([
    "K 14 stands for 15 of 30 layers: G has to divide what is left.",
  ]);
  expect(shapesFor([{ layers: 15, group: 3 }], 30)).toEqual({ shapes: [{ layers: 15, group: 3 }], notes: [] });
});

test("the command line's comparison takes variants, and nothing that it would ignore", () => {
  expect(parseBench(["--swiftkv", "--variants", "15,1; 14,4"])).toMatchObject({
    compared: true,
    options: {
      shapes: [
        { layers: 15, group: 1 },
        { layers: 14, group: 4 },
      ],
    },
  });
  expect(() => parseBench(["--variants", "4,1"])).toThrow("--variants needs --swiftkv or --recipes");
  expect(() => parseBench(["--swiftkv", "--no-profile"])).toThrow("--no-profile cannot go with --swiftkv");
  for (const text of ["4", "4,0", "4,1;", "a,b"])
    expect(() => parseBench(["--swiftkv", "--variants", text]), text).toThrow(/want K,G pairs/);
});

test("the command line's list of recipes is a comparison without SwiftKV, unless that is asked for", () => {
  const options = (...argv: string[]) => (parseBench(argv) as { options: object }).options;
  const two = ["--recipes", "f16; shadow:budget=128,rank=32"];
  expect(parseBench([...two, "--plot", "a.svg"])).toMatchObject({ compared: true, plot: "a.svg" });
  const kv = ["f16", "shadow:budget=128,rank=32"];
  expect(options(...two)).toEqual({ kv, shapes: [] });
  expect(options(...two, "--swiftkv")).toEqual({ kv });
  expect(options(...two, "--variants", "4,1")).toEqual({ kv, shapes: [{ layers: 4, group: 1 }] });
  expect(() => parseBench([...two, "--kv", "f16"])).toThrow("--recipes and --kv cannot go together");
  expect(() => parseBench([...two, "--no-profile"])).toThrow("--no-profile cannot go with --recipes");
  expect(() => parseBench(["--recipes", "f16;"])).toThrow('--recipes is "f16;", want recipes separated by semicolons');
  expect(() => parseBench(["--plot", "a.svg"])).toThrow("--plot needs --swiftkv or --recipes");
});

test("recipes to compare: those that name a SwiftKV shape run on it alone", () => {
  expect(readRecipes(["f16", "swiftkv=half+shadow:budget=64", "swiftkv = 4,2", "f16"])).toEqual({
    kv: ["f16"],
    own: [
      { shape: { share: 0.5, group: 1 }, kv: "shadow:budget=64" },
      { shape: { layers: 4, group: 2 }, kv: "f16" },
    ],
  });
  const usual = readRecipes(["usual"]);
  expect(usual.kv).toEqual(["f16", "int8", "kivi:bits=4", "pyramid", "shadow"]);
  expect(usual.own).toEqual([{ shape: { share: 0.5, group: 2 }, kv: "shadow" }]);
  for (const shape of ["", "x", "4,0", "half,"])
    expect(() => readRecipes([`swiftkv=${shape}+f16`]), shape).toThrow(/want swiftkv=K, swiftkv=K,G or swiftkv=half,G/);
});
