// What outlives a mistake, a reload and the way back: the conversation, and the model until another one is ready.

import { readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import type { BrowserContext, Page } from "playwright";
import { expect } from "playwright/test";
import { ask, box, newChat, replies, STORY, test, wait } from "./visit.ts";

let context: BrowserContext;
let page: Page;

/** Of another origin: what comes from there is kept. The name is the page's. */
const MODEL = "https://models.test/Fable/";
const FOLDER = join(import.meta.dirname, "../../demo/models/fable");

test.beforeAll(async ({ browserWithGpu, site }) => {
  context = await browserWithGpu.newContext(); // its storage is its own, and stays
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.route(`${MODEL}**`, async (route) => {
    const name = basename(new URL(route.request().url()).pathname);
    const body = await readFile(join(FOLDER, name), "utf8").catch(() => null);
    const headers = { "access-control-allow-origin": "*" };
    if (body === null) return route.fulfill({ status: 404, headers, body: "" });
    if (name !== "tokenizer_config.json") return route.fulfill({ headers, path: join(FOLDER, name) });
    const config = JSON.parse(body) as { chat_template: string };
    await route.fulfill({ headers, json: { ...config, chat_template: config.chat_template + THINKING } });
  });
  await page.goto(`${site}/?model=${MODEL}`);
  await expect(box(page)).toBeFocused(wait);
  await newChat({ page, faults: [] }, 8);
});

test.afterAll(() => context?.close());

/** A switch as in the templates of models that think, and a thought that the prompt opens. */
const THINKING =
  "{% if enable_thinking is defined and not enable_thinking %}No thoughts. {% endif %}{% if 'Ponder' in messages[-1].content %}<think>\n{% endif %}";

const conversation = /\?chat=\w+$/;

test("a mistyped id leaves the model and the conversation as they are", async () => {
  const { text } = await ask(page, STORY);
  await page.route("https://huggingface.co/**", (route) =>
    route.fulfill({ status: 401, headers: { "access-control-allow-origin": "*" }, body: "" }),
  );
  await page.getByRole("button", { name: "Fable", exact: true }).click();
  await page.getByLabel("Hugging Face id or address").fill("no/such-model");
  await page.getByRole("button", { name: "Load", exact: true }).click();
  await expect(page.getByRole("alert").getByRole("heading")).toHaveText("No such model, or not a public one");
  await page.getByRole("button", { name: "Back to the conversation" }).click();
  await expect(replies(page).locator(".body")).toHaveText(text);
  expect((await ask(page, "And then?")).figures).toMatch(/\d+ reused/); // the same engine, with what it had in its cache
});

test("a reload shows the conversation and offers its model; Back leads to the models and Forward here again", async () => {
  await expect(page).toHaveURL(conversation);
  await page.reload();
  await expect(page.locator("article.user .plain")).toHaveText([STORY, "And then?"]);
  await expect(box(page)).toBeHidden();
  await page.goBack();
  await expect(page.getByRole("button", { name: /^Tell me a story.*Fable, just now/ })).toBeVisible();
  await expect(page.getByRole("heading", { name: "Last used" })).toBeVisible();
  await page.goForward();
  await page.getByRole("button", { name: "Load Fable" }).click();
  await expect(box(page)).toBeFocused(wait);
  await expect(replies(page)).toHaveCount(2);
  await expect(page).toHaveURL(conversation);
});

test("a text among the models is offered as a long text; a draft outlives the starters", async () => {
  await page.getByRole("button", { name: "New chat" }).click();
  await page.getByRole("button", { name: "Fable", exact: true }).click();
  const chooser = page.getByLabel("Choose model files");
  await chooser.setInputFiles({ name: "photo.png", mimeType: "image/png", buffer: Buffer.from([137, 80, 78, 71]) });
  await expect(page.getByRole("alert").getByRole("heading")).toHaveText("photo.png is a picture");
  await chooser.setInputFiles({ name: "notes.txt", mimeType: "text/plain", buffer: Buffer.from("The key is red.") });
  await page.getByRole("alert").getByRole("button", { name: "Use it as a long text" }).click();
  await expect(page.getByRole("button", { name: /^Edit attachment: notes\.txt, 15 characters/ })).toBeVisible();
  await expect(page.getByRole("button", { name: /^Tell me a story/ })).toBeDisabled();
  await page.getByRole("button", { name: "Remove attachment: notes.txt" }).click();
  await expect(page.getByRole("button", { name: /^Tell me a story/ })).toBeEnabled();
});

test("the switch of the model's template stands in the settings, and reaches the prompt", async () => {
  const used = async (): Promise<number> => {
    await page.getByRole("button", { name: "New chat" }).click();
    await ask(page, STORY);
    return Number(await page.getByRole("meter", { name: "Context used" }).getAttribute("aria-valuenow"));
  };
  const thinking = await used();
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const toggle = page.getByRole("switch", { name: /^Think first/ });
  await expect(toggle).toBeChecked();
  await toggle.uncheck();
  await page.getByRole("button", { name: "Close settings" }).click();
  expect(await used()).toBeGreaterThan(thinking);
});

test("a thought that the prompt opened is folded while it comes, and afterwards", async () => {
  await page.getByRole("button", { name: "New chat" }).click();
  expect((await ask(page, "Ponder a cat.")).text).toBe("");
  await replies(page).last().getByText("Thoughts").click();
  await expect(replies(page).last().locator(".folded-text")).toHaveText(/\w/);
  await page.reload();
  await page.getByRole("button", { name: "Load Fable" }).click();
  await expect(replies(page).last().getByText("Thoughts")).toBeVisible(wait);
  await expect(replies(page).last().locator(".body")).toHaveText("");
});

test("a conversation is renamed, saved, deleted, brought back, and read from its file", async () => {
  await page.getByRole("button", { name: "Conversations" }).click();
  const panel = page.getByRole("complementary", { name: "Conversations" });
  const rows = panel.locator(".model-row");
  const more = (name: RegExp): Promise<void> => panel.getByRole("button", { name }).first().press("Enter");
  const choose = (name: string): Promise<void> => page.getByRole("button", { name, exact: true }).press("Enter");
  await expect(rows).toHaveCount(4);
  await more(/^More: Tell me a story/);
  await expect(page.getByRole("button", { name: "Rename", exact: true })).toBeFocused();
  await choose("Rename");
  await page.getByRole("textbox", { name: "Name" }).fill("The cat and the box");
  await page.keyboard.press("Enter");
  await expect(rows.filter({ hasText: "The cat and the box" })).toHaveCount(1);

  const save = async (kind: string): Promise<string> => {
    const download = page.waitForEvent("download");
    await more(/^More: The cat and the box/);
    await choose(`Save as ${kind}`);
    return readFile(await (await download).path(), "utf8");
  };
  expect(await save("Markdown")).toMatch(/^# The cat and the box\n\n## You\n\nTell me a story.*\n\n## Fable\n\n\S/);
  const json = await save("JSON");

  await more(/^More: The cat and the box/);
  await choose("Delete");
  await expect(rows).toHaveCount(3);
  await panel.getByRole("button", { name: "Undo" }).press("Enter");
  await expect(rows).toHaveCount(4);
  await panel.getByLabel("Import").setInputFiles({
    name: "cat.json",
    mimeType: "application/json",
    buffer: Buffer.from(json),
  });
  await expect(panel.getByRole("status")).toHaveText("One conversation imported.");
  await expect(rows.filter({ hasText: "The cat and the box" })).toHaveCount(2);
  await panel.getByLabel("Import").setInputFiles({ name: "no.json", mimeType: "", buffer: Buffer.from("[]") });
  await expect(panel.getByRole("status")).toHaveText("no.json was not imported: the file is no object.");

  for (const left of [4, 3, 2, 1, 0]) {
    await more(/^More: /);
    await choose("Delete");
    await expect(rows).toHaveCount(left);
  }
  await expect(panel).toContainText("None is kept in this browser.");
  await page.getByRole("button", { name: "Close conversations" }).click();
  await expect(page.getByRole("heading", { name: "Fable is ready." })).toBeVisible(); // the one on view went, too
});

test("a kept model is listed with precision, size and use; deleted only when asked twice", async () => {
  await page.getByRole("button", { name: "Fable", exact: true }).click();
  const models = page.getByRole("region", { name: "Models kept in this browser" });
  const fable = models.getByRole("button", { name: /^Fable ?16 bits, in use ?\d\.\d MB$/ });
  await expect(fable).toBeVisible();
  await expect(models).toContainText(/Storage: [\d.]+ MB used, [\d.]+ [MGT]B free\./);
  await models.getByRole("button", { name: "Delete: Fable" }).press("Enter");
  await page.keyboard.press("Tab");
  await models.getByRole("button", { name: "Delete: Fable" }).press("Enter"); // it had lost the focus
  await expect(fable).toBeVisible();
  await models.getByRole("button", { name: "Really delete: Fable" }).press("Enter");
  await expect(models).toBeHidden();
});
