// The switch between dense and SwiftKV, with Fable: 8 layers, 2 kB of keys and values a token. No times are compared.

import type { Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { sampleText } from "../../demo/chat/sample.ts";
import { OFFERS } from "../../demo/chat/recipes.ts";
import { ask, box, ended, newChat, replies, set, sidewaysOverflow, STORY, test, visitFable, wait } from "./visit.ts";

let page: Page;
let faults: string[];

const panel = (): Locator => page.getByRole("complementary", { name: "Faster reading (SwiftKV)" });
const opener = (): Locator => page.getByRole("button", { name: /^Faster reading \(SwiftKV\), o/ });
const toggle = (): Locator => page.getByRole("switch", { name: "Run with SwiftKV" });
const compare = (): Locator => panel().getByRole("button", { name: "Compare on this conversation" });
const verdict = (): Locator => panel().getByRole("status");
const layers = (): Locator => panel().getByLabel("Reading layers");
/** Cells of a row: dense, SwiftKV. */
const row = (name: string): Locator => panel().getByRole("row", { name }).getByRole("cell");

/** Turns the switch and waits until the other engine runs. */
async function turn(state: "on" | "off"): Promise<void> {
  await toggle().click();
  await expect(opener()).toHaveAccessibleName(`Faster reading (SwiftKV), ${state}`, wait);
  await expect(toggle()).toBeEnabled();
}

test.beforeAll(async ({ visit, site }) => {
  ({ page, faults } = await visitFable(visit, site));
  await opener().click();
  await expect(toggle()).toBeChecked(); // its student comes with the page
  await turn("off");
  await page.getByRole("button", { name: "Close faster reading" }).click();
});

test.beforeEach(async () => {
  await newChat({ page, faults }, 4);
  await opener().click();
});

test.afterEach(async () => {
  if (await toggle().isChecked()) await turn("off");
  await page.getByRole("button", { name: "Close faster reading" }).click();
  expect(faults).toEqual([]);
});

test.afterAll(() => page?.close());

test("turning keeps the conversation; each reply's first token is measured on its own side", async () => {
  await expect(row("First token").last()).toHaveText("not yet measured");
  const dense = await ask(page, STORY);
  const tokens = /read (\d+) tokens/i.exec(dense.figures)?.[1];
  await turn("on");
  await expect(row("First token").first()).toContainText(`${tokens} tokens`);
  await expect(panel().getByRole("columnheader", { name: "SwiftKV" })).toContainText("in use");
  await expect(page.locator("article.user .plain")).toHaveText(STORY);
  await replies(page).last().getByRole("button", { name: "Regenerate" }).click();
  const student = await ended(page);
  expect(student.figures).toContain(`read ${tokens} tokens`); // anew, with a cache of its own
  await expect(row("First token").last()).toContainText(`${tokens} tokens`);
  await turn("off");
  const again = await ask(page, "And then?");
  expect(again.figures).not.toContain("reused");
  await expect(page.getByRole("heading", { name: "Fable", exact: true }).last()).toBeVisible();
});

test("layers, shared caches and format change the cache; the switch takes up what is chosen", async () => {
  const shared = panel().getByLabel("Shared caches");
  await expect(layers()).toHaveValue("4");
  await expect(row("Cache per token")).toHaveText(["2.0 kB", "2.0 kB"]);
  await shared.selectOption("4");
  await expect(row("Cache per token")).toHaveText(["2.0 kB", "1.3 kB"]);
  await layers().selectOption("6");
  await expect(shared).toHaveValue("1"); // four do not fit into two
  await expect(shared.getByRole("option")).toHaveText(["None", "2 layers each"]);
  await shared.selectOption("2");
  await turn("on");
  await expect(page.locator("#about")).toContainText("6 of 8 layers read, 2 share a cache");
  const formats = panel().getByLabel("Keys and values of both");
  await expect(formats.getByRole("option")).toHaveText(OFFERS.map(({ recipe, note }) => `${recipe}, ${note}`));
  await formats.selectOption("int8");
  await expect(row("Cache per token")).toHaveText(["1.2 kB", "1.0 kB"], wait);
  expect((await ask(page, STORY)).figures).toMatch(/wrote 4/);
  await formats.selectOption("f16");
  await expect(row("Cache per token")).toHaveText(["2.0 kB", "1.8 kB"], wait);
  await expect(toggle()).toBeEnabled(wait);
  await layers().selectOption("4");
  await expect(page.locator("#about")).toContainText("4 of 8 layers read", wait);
  await expect(toggle()).toBeEnabled(wait);
});

test("a comparison fills both columns with one prompt and leaves the switch where it was", async () => {
  await panel().getByLabel("Shared caches").selectOption("2");
  await compare().click();
  await expect(verdict()).toHaveText(
    /^On a built-in story of 1,\d{3} tokens SwiftKV came to its first token .+\. Its cache is 25\s% smaller\. /,
    wait,
  );
  await expect(opener()).toHaveAccessibleName("Faster reading (SwiftKV), off");
  await expect(row("First token")).toHaveText([/ m?s1,\d{3} tokens$/, / m?s1,\d{3} tokens$/]);
  await expect(row("Same next token")).toHaveText(["–", /^\d+ of \d+KL \d/]);
  await expect(compare()).toBeEnabled(wait); // until then nothing is sent
  await ask(page, `${"The sun was warm. ".repeat(60)}What was warm?`);
  await compare().click();
  await expect(verdict()).toHaveText(/^On this conversation of \d{3} tokens SwiftKV came/, wait);
  await expect(replies(page)).toHaveCount(1);
});

test("its button and Escape stop a comparison; the chat goes on as before", async () => {
  await turn("on");
  for (const stop of [
    () => panel().getByRole("button", { name: "Stop comparing" }).click(),
    () => page.keyboard.press("Escape"),
  ]) {
    await compare().click();
    await expect(panel().getByText(/^Dense: reading/)).toBeVisible(wait);
    await stop();
    await expect(compare()).toBeEnabled(wait);
    await expect(opener()).toHaveAccessibleName("Faster reading (SwiftKV), on");
    await expect(panel().getByRole("alert")).toHaveCount(0);
  }
  expect((await ask(page, STORY)).figures).toMatch(/wrote 4/);
});

test("nothing can be switched while a reply runs, and no reply begins while something is switched", async () => {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await expect(panel()).toBeHidden(); // one panel at a time
  await page.getByRole("button", { name: "Close settings" }).click();
  await set(page, { "Max tokens": "1000" });
  await opener().click();
  await box(page).fill(STORY);
  await box(page).press("Enter");
  for (const control of [toggle(), compare(), panel().getByLabel("Reading layers")])
    await expect(control).toBeDisabled();
  await box(page).press("Escape");
  await ended(page);
  await set(page, { "Max tokens": "4" });
  await opener().click();
  await compare().click();
  await box(page).fill("Hello");
  await box(page).press("Enter");
  await expect(replies(page)).toHaveCount(1);
  await expect(box(page)).toHaveValue("Hello");
  await page.keyboard.press("Escape");
  await expect(compare()).toBeEnabled(wait);
  await box(page).fill("");
});

test("a student is fitted to a text, saved, opened again, and said to be better than none", async () => {
  await layers().selectOption("6");
  await panel().getByLabel("Shared caches").selectOption("1");
  await turn("on");
  await expect(panel().getByText(/^Not fitted for these layers/)).toBeVisible();
  await ask(page, STORY);
  await expect(page.getByRole("heading", { name: "Fable, untrained SwiftKV" })).toBeVisible();
  await panel().getByRole("combobox", { name: /^Text/ }).selectOption("conversation");
  await panel().getByRole("button", { name: "Fit to this text" }).click();
  await expect(panel().getByRole("alert")).toContainText(/got \d+ tokens, want at least 772/, wait);
  await panel().getByRole("combobox", { name: /^Text/ }).selectOption("stories");
  await panel().getByRole("button", { name: "Fit to this text" }).click();
  await expect(panel().getByText(/^Reading [\d,]+ of 4,\d{3} tokens/)).toBeVisible(wait);
  await panel().getByRole("button", { name: "Stop fitting" }).click();
  await expect(panel().getByText(/^Not fitted for these layers/)).toBeVisible(wait);
  await panel().getByRole("combobox", { name: /^Text/ }).selectOption("file");
  const buffer = Buffer.from(sampleText(700));
  await page.locator("#swiftkv-file").setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer });
  await expect(page.locator("#swiftkv-text-file")).toHaveText("The file notes.txt");
  await panel().getByRole("button", { name: "Fit to this text" }).click();
  const fitted = /^Fitted here to [\d,]+ tokens in .+: R² 0\.\d\d, 0\.\d\d in the worst layer\.$/;
  await expect(panel().getByText(fitted)).toBeVisible(wait);
  await expect(layers().getByRole("option", { name: "6 of 8" })).toHaveText("6 of 8, fitted");
  const [saved] = await Promise.all([
    page.waitForEvent("download"),
    panel().getByRole("button", { name: "Save this student" }).click(),
  ]);
  expect(saved.suggestedFilename()).toBe("student-k6.safetensors");
  await turn("off");
  await panel()
    .getByLabel("Open a student")
    .setInputFiles(await saved.path());
  await expect(opener()).toHaveAccessibleName("Faster reading (SwiftKV), on", wait);
  await expect(panel().getByText(/^From [\w.-]+\.$/)).toBeVisible(wait);
  await compare().click();
  await expect(verdict()).toContainText(/tokens are its first choice too\.$/, wait);
  await panel()
    .getByLabel("Open a student")
    .setInputFiles({ name: "x.safetensors", mimeType: "", buffer: Buffer.from("no") });
  await expect(panel().getByRole("alert")).toContainText("x.safetensors", wait);
  await layers().selectOption("4");
  await expect(panel().getByText(/^Trained for this model/)).toBeVisible(wait);
  await expect(toggle()).toBeEnabled(wait);
});

test("the keyboard turns the switch and keeps its place; what was done is said", async () => {
  await expect(page.getByRole("button", { name: "Close faster reading" })).toBeFocused();
  await page.keyboard.press("Tab");
  await expect(toggle()).toBeFocused();
  await expect(toggle()).toHaveAccessibleDescription("Off: the prompt passes all 8 layers");
  await page.keyboard.press("Space");
  await expect(toggle()).toBeChecked(wait);
  await expect(toggle()).toBeFocused(wait);
  await expect(page.locator("#announcer")).toHaveText("Runs with SwiftKV, f16 keys and values");
  await expect(toggle()).toHaveAccessibleDescription("On: the prompt passes 4 of 8 layers");
});

test("an error is a card in the panel, and the model runs on as it was", async () => {
  await page.evaluate(() => {
    const pop = GPUDevice.prototype.popErrorScope;
    GPUDevice.prototype.popErrorScope = async function () {
      GPUDevice.prototype.popErrorScope = pop;
      await pop.call(this);
      return new GPUOutOfMemoryError("none left");
    };
  });
  await toggle().click();
  await expect(panel().getByRole("alert").getByRole("heading")).toHaveText("Not enough memory", wait);
  await expect(opener()).toHaveAccessibleName("Faster reading (SwiftKV), off");
  await expect(toggle()).not.toBeChecked();
  expect((await ask(page, STORY)).figures).toMatch(/wrote 4/);
  await turn("on");
  await expect(panel().getByRole("alert")).toHaveCount(0);
});

test("at 360 pixels the panel fits", async () => {
  await page.setViewportSize({ width: 360, height: 640 });
  expect(await sidewaysOverflow(page)).toBe(0);
  expect(await panel().evaluate((element) => element.scrollWidth - element.clientWidth)).toBe(0);
  await page.setViewportSize({ width: 1280, height: 720 });
});

test("a recipe of dense models: the switch stays off as the model is loaded again, and chosen beforehand the model loads without its student", async ({
  site,
}) => {
  const recipe = (name: string): Locator => page.getByRole("radio", { name, exact: true });
  const settings = (): Locator => page.getByRole("button", { name: "Settings", exact: true });
  const loadWith = async (name: string): Promise<void> => {
    await recipe(name).check();
    const button = page.getByRole("button", { name: "Load again with these" });
    await expect(button).toBeInViewport(); // however long the list is
    await button.click();
    await expect(page.locator("#about")).toContainText(`${name},`, wait);
    await expect(opener()).toHaveAccessibleName("Faster reading (SwiftKV), off");
  };
  await settings().click();
  await loadWith("less:budget=512");
  await page.goto(site);
  await settings().click();
  await recipe("less:budget=512").check(); // as if it was chosen on an earlier visit
  await page.getByRole("button", { name: /^Fable/ }).click();
  await expect(box(page)).toBeVisible(wait);
  await expect(page.locator("#about")).toContainText("less:budget=512,");
  await loadWith("f16");
  await opener().click();
  await turn("on");
  await settings().click();
  await expect(recipe("less:budget=512")).toBeDisabled();
  await expect(recipe("less:budget=512")).toHaveAccessibleDescription(/Not with SwiftKV: switch faster reading off/);
  await opener().click();
});
