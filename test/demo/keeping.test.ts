// What outlives a mistake, a reload and the way back: the conversation, and the model until another one is ready.

import type { BrowserContext, Page } from "playwright";
import { expect } from "playwright/test";
import { ask, box, loadFable, newChat, replies, STORY, test, wait } from "./visit.ts";

let context: BrowserContext;
let page: Page;

test.beforeAll(async ({ browserWithGpu, site }) => {
  context = await browserWithGpu.newContext(); // its storage is its own, and stays
  page = await context.newPage();
  page.setDefaultTimeout(60_000);
  await page.route("**/fable/tokenizer_config.json", async (route) => {
    const response = await fetch(route.request().url()); // whole, whatever range was asked for
    const config = (await response.json()) as { chat_template: string };
    await route.fulfill({ json: { ...config, chat_template: config.chat_template + THINKING } });
  });
  await loadFable(page, site);
  await newChat({ page, faults: [] }, 8);
});

test.afterAll(() => context?.close());

/** A switch as in the templates of models that think. */
const THINKING = "{% if enable_thinking is defined and not enable_thinking %}No thoughts. {% endif %}";

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
  await page.getByRole("button", { name: "Remove attachment" }).click();
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

test("a conversation can be deleted", async () => {
  await page.getByRole("button", { name: "Fable", exact: true }).click();
  const each = page.getByRole("button", { name: /^Delete: Tell me a story/ });
  await expect(each).toHaveCount(3);
  for (const left of [2, 1, 0]) {
    await each.first().click();
    await expect(each).toHaveCount(left);
  }
  await expect(page.getByRole("heading", { name: "Conversations" })).toBeHidden();
});
