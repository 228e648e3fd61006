// The chat with the engine and Fable, the way a person uses it. Nothing here depends on speed.

import type { Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { ask, box, ended, newChat, replies, set, sidewaysOverflow, STORY, test, visitFable, wait } from "./visit.ts";

let page: Page;
let faults: string[];

test.beforeAll(async ({ visit, site }) => {
  ({ page, faults } = await visitFable(visit, site));
});

test.beforeEach(async () => {
  await newChat({ page, faults }, 12);
});

test.afterEach(() => expect(faults).toEqual([]));
test.afterAll(() => page?.close());

test("Enter sends, the reply grows token by token, the figures say what it cost", async () => {
  const lengths = await page.evaluateHandle(() => {
    const seen = new Set<number>();
    const look = (): unknown => seen.add(document.querySelector("#messages .body")?.textContent?.length ?? 0);
    const options = { childList: true, subtree: true, characterData: true };
    new MutationObserver(look).observe(document.getElementById("messages")!, options);
    return seen;
  });
  const { text, figures } = await ask(page, STORY);
  expect(text).toMatch(/^[A-Z]\w+ .*\w{3}/);
  expect(figures).toMatch(
    /^Cut at the limit · read \d+ tokens in [\d.,]+ m?s \([\d.,]+ tok\/s\) · wrote 12 at [\d.,]+ tok\/s$/,
  );
  expect(await lengths.evaluate((seen) => seen.size)).toBeGreaterThan(4);
  await expect(page.locator("article.user")).toHaveText(`You${STORY}`);
  await expect(page.getByText("this reply read")).toHaveCount(0); // under f16 there is nothing to tell
  await expect(box(page)).toHaveValue("");
  const used = 12 + Number(/read (\d+)/.exec(figures)?.[1]);
  await expect(page.getByRole("meter", { name: "Context used" })).toHaveAttribute("aria-valuenow", String(used));
});

for (const [way, stop] of [
  ["the button", () => page.getByRole("button", { name: "Stop" }).click()],
  ["Escape", () => page.keyboard.press("Escape")],
] as const) {
  test(`${way} stops a reply; what was written stays, and the next question reuses it`, async () => {
    await set(page, { "Max tokens": "1000" });
    await box(page).fill(STORY);
    await box(page).press("Enter");
    await expect(replies(page).last().locator(".body")).toHaveText(/\w+ \w+/, wait);
    await stop();
    const first = await ended(page);
    expect(first.figures).toMatch(/^Stopped · read/);
    expect(first.text).toMatch(/\w+ \w+/);
    await set(page, { "Max tokens": "2" });
    const second = await ask(page, "What is in the box?");
    const [, read, reused] = /read ([\d,]+) tokens? in .*, ([\d,]+) reused\)/.exec(second.figures) ?? [];
    expect(Number(reused), second.figures).toBeGreaterThan(15); // the first question has more tokens than that
    expect(Number(read)).toBeLessThan(40);
  });
}

test("settings change the sampling; Regenerate takes the place of the reply", async () => {
  const greedy = await ask(page, STORY);
  const regenerate = async (): Promise<string> => {
    const before = await replies(page).last().elementHandle();
    await replies(page).last().getByRole("button", { name: "Regenerate" }).click();
    await page.waitForFunction((element) => !element?.isConnected, before);
    return (await ended(page)).text;
  };
  expect(await regenerate()).toBe(greedy.text);
  await set(page, { Temperature: "2", "Top-p": "1", Seed: "5" });
  const hot = await regenerate();
  expect(hot).not.toBe(greedy.text);
  expect(await regenerate()).toBe(hot);
  await expect(replies(page)).toHaveCount(1);
  await set(page, { "Top-p": "0.9" });
});

test("a prompt that is too long comes back with a card that says so and leads on", async () => {
  const long = "The cat sat on the box. ".repeat(400);
  await box(page).fill(long);
  await box(page).press("Enter");
  const card = page.getByRole("alert");
  await expect(card.getByRole("heading")).toHaveText("Too long for the context");
  await expect(card.getByRole("heading")).toBeInViewport();
  await expect(card).toContainText(/got \d{4} tokens, want at most 2047/);
  await expect(box(page)).toHaveValue(long);
  await expect(card).toContainText(/Shorten it by [\d,]+ tokens/);
  await expect(card.getByRole("button", { name: "Start a new chat" })).toHaveCount(0); // it would not help
  await expect(page.getByText(/[\d,]+ tokens too many/)).toBeVisible();
  await expect(page.getByRole("button", { name: "Send" })).toBeDisabled();
  await box(page).fill(STORY);
  await expect(page.getByRole("button", { name: "Send" })).toBeEnabled();
  expect((await ask(page, STORY)).figures).toMatch(/wrote 12/);
});

test("a long text goes before the question, folded, and its second question is cheap", async () => {
  await page.getByRole("button", { name: "Add a long text" }).click();
  const dialog = page.getByRole("dialog", { name: "Long text" });
  await dialog.getByRole("textbox", { name: "Long text" }).fill(`${"The sun was warm. ".repeat(20)}The end.`);
  await expect(dialog.getByRole("status")).toHaveText(/^368 characters, \d+ tokens$/);
  await dialog.getByRole("button", { name: "Use this text" }).click();
  await expect(page.getByRole("button", { name: /^Edit attachment: Long text, 368 characters/ })).toBeVisible();
  const first = await ask(page, "What was warm?");
  await expect(page.locator("article.user details")).not.toHaveAttribute("open");
  const second = await ask(page, "And what else?");
  const count = (figures: string): number => Number(/read (\d+)/i.exec(figures)?.[1]);
  expect(count(first.figures)).toBeGreaterThan(80);
  expect(count(second.figures)).toBeLessThan(40);
});

test("what people and models write stays text", async () => {
  await set(page, { "Max tokens": "1" });
  const attack = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>";
  await ask(page, attack);
  await expect(page.locator("article.user .plain")).toHaveText(attack);
  const shown = await page.evaluate(async (text) => {
    const path = "/chat/conversation.ts"; // a variable, so that the test's own compiler does not look for it
    const module = (await import(path)) as {
      reply(name: string, again: () => void): { element: HTMLElement; writing(text: string, tokens: number): void };
    };
    const { element, writing } = module.reply("Fable", () => {});
    document.getElementById("messages")!.append(element);
    writing(`${text}\n\n[x](javascript:window.hit=1)`, 3);
    await new Promise((resolve) => setTimeout(resolve, 50));
    const bad = element.querySelectorAll("img, script, a[href^=javascript]").length;
    element.remove();
    return { bad, hit: "hit" in window, text: element.querySelector(".body")?.textContent ?? "" };
  }, attack);
  expect(shown).toMatchObject({ bad: 0, hit: false });
  expect(shown.text).toContain("<script>");
});

test("every part has a role and a name", async () => {
  await ask(page, STORY);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const parts = [
    page.getByRole("banner"),
    page.getByRole("main"),
    page.getByRole("navigation", { name: "Page" }),
    page.getByRole("region", { name: "Messages" }),
    page.getByRole("form", { name: "Message" }),
    page.getByRole("meter", { name: "Context used" }),
    page.getByRole("complementary", { name: "Settings" }),
    page.getByRole("slider", { name: "Temperature" }),
    page.getByRole("spinbutton", { name: "Seed" }),
    page.getByRole("heading", { name: "You" }),
    page.getByRole("heading", { name: "Fable", level: 2 }),
    page.getByRole("button", { name: "Copy" }),
  ];
  for (const part of parts) await expect(part, part.toString()).toBeVisible();
  const nameless = await page.evaluate(() => {
    const named = (element: Element): boolean =>
      Boolean(element.textContent?.trim() || element.ariaLabel) ||
      ("labels" in element && (element.labels as NodeList | null)?.length !== 0);
    return [...document.querySelectorAll("button, input, select, textarea, a")]
      .filter((element) => !named(element))
      .map((element) => element.outerHTML);
  });
  expect(nameless).toEqual([]);
  await page.keyboard.press("Escape");
  await expect(page.getByRole("complementary", { name: "Settings" })).toBeHidden();
  await expect(page.getByRole("button", { name: "Settings", exact: true })).toBeFocused();
});

test("the keyboard chooses a recipe for keys and values; it costs what the list says", async () => {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("combobox", { name: "Context" }).selectOption("1024");
  const recipe = (name: string): Locator => page.getByRole("radio", { name, exact: true });
  await expect(recipe("f16")).toBeChecked();
  await expect(recipe("f16")).toHaveAccessibleDescription(/^the default 2\.1 MB ?2\.0 kB a token$/);
  await recipe("f16").focus();
  for (const name of ["f32", "int8"]) {
    await page.keyboard.press("ArrowDown");
    await expect(recipe(name)).toBeFocused();
    await expect(recipe(name)).toBeChecked();
  }
  await expect(recipe("int8")).toHaveAccessibleDescription(/1\.2 MB ?1\.2 kB a token ?KL 0\.\d+$/);
  await expect(page.getByText("in nats per token")).toBeVisible(); // what KL is, and of which model and text
  await page.getByRole("button", { name: "Load again with these" }).press("Enter");
  await expect(page.locator("#about")).toContainText("1.2 MB, 1.2 kB a token", wait);
  await expect(box(page)).toBeVisible(wait);
  await page.getByRole("button", { name: "Close settings" }).click();
  expect((await ask(page, STORY)).figures).toMatch(/wrote 12/);
});

test("at 360 pixels nothing scrolls sideways", async () => {
  await page.setViewportSize({ width: 360, height: 640 });
  await ask(page, `${STORY} ${"x".repeat(200)}`);
  expect(await sidewaysOverflow(page)).toBe(0);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  expect(await sidewaysOverflow(page)).toBe(0);
  await page.getByRole("button", { name: "Close settings" }).click();
  await page.setViewportSize({ width: 1280, height: 720 });
});
