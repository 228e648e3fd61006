// The chat with the engine and Fable, the way a person uses it. Nothing here depends on speed.

import type { Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { japanesePdf, pdfOf } from "./pdf.ts";
import {
  ask,
  axeFaults,
  box,
  ended,
  newChat,
  replies,
  set,
  sidewaysOverflow,
  STORY,
  test,
  visitFable,
  wait,
} from "./visit.ts";

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
  await expect(page.locator("article.user .plain")).toHaveText(STORY);
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
  await page.getByRole("button", { name: "Add a text or PDF" }).click();
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

test("several documents, text and PDF, go before the question; a page range cuts one, × takes one out", async () => {
  const file = (name: string, buffer: Buffer) => ({ name, mimeType: "", buffer });
  const chip = (name: RegExp): Locator => page.getByRole("button", { name });
  await page.getByRole("button", { name: "Add a text or PDF" }).click();
  await page
    .getByLabel("Open files")
    .setInputFiles([
      file("notes.md", Buffer.from("# Notes\n\nThe sun was warm.")),
      file("story.pdf", pdfOf(["One day it rained.", "The cat was wet.", "The end."])),
      file("scan.pdf", pdfOf(["", ""])),
      file("nihon.pdf", japanesePdf()),
      file("broken.pdf", Buffer.from("%PDF-1.4 nothing")),
    ]);
  await expect(chip(/^Edit attachment: story\.pdf, 46 characters, \d+ tokens/)).toBeVisible(wait);
  const note = page.locator("#documents-note");
  await expect(note).toContainText("scan.pdf has no text: its pages are pictures", wait);
  await expect(note).toContainText("broken.pdf is no PDF, or a damaged one.", wait);
  await note.getByRole("button", { name: "Dismiss" }).click();
  await expect(note).toBeHidden();
  await chip(/^Edit attachment: nihon\.pdf, 2 characters/).click();
  await expect(page.getByRole("dialog").getByRole("textbox")).toHaveValue("\u65e5\u672c");
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "Remove attachment: nihon.pdf" }).click();
  await chip(/^Edit attachment: story\.pdf/).click();
  const dialog = page.getByRole("dialog", { name: "story.pdf" });
  await dialog.getByLabel("First page").fill("2");
  await dialog.getByLabel("Last page").fill("9"); // of three
  await dialog.getByLabel("Last page").press("Tab");
  await expect(dialog.getByLabel("Last page")).toHaveValue("3");
  await expect(dialog.getByRole("textbox")).toHaveValue("The cat was wet.\n\nThe end.");
  await dialog.getByRole("button", { name: "Use this text" }).click();
  await expect(chip(/^Edit attachment: story\.pdf, pages 2 to 3, 26 characters/)).toBeVisible();
  await page.getByRole("button", { name: "Remove attachment: notes.md" }).click();
  await expect(page.getByRole("list", { name: "Documents" }).getByRole("listitem")).toHaveCount(1);
  await ask(page, "Who was wet?");
  await expect(page.locator("article.user summary")).toHaveText(/^story\.pdf, pages 2 to 3 26 characters, \d+ tokens$/);
});

test("a changed question and a regenerated reply are branches; a cut reply goes on", async () => {
  await set(page, { "Max tokens": "5" });
  const first = await ask(page, STORY);
  await set(page, { Temperature: "2", "Top-p": "1", Seed: "5" });
  const reply = replies(page).last();
  await reply.getByRole("button", { name: "Regenerate" }).click();
  await expect(reply.getByRole("group", { name: "Versions" })).toHaveText(/2\/2/);
  const other = await ended(page);
  expect(other.text).not.toBe(first.text);
  await reply.getByRole("button", { name: "Earlier version" }).click();
  await expect(reply.locator(".body")).toHaveText(first.text);
  await set(page, { Temperature: "0", "Top-p": "0.9", Seed: "" });
  await reply.getByRole("button", { name: "Continue" }).click();
  const longer = await ended(page);
  expect(longer.text.startsWith(first.text)).toBe(true);
  await newChat({ page, faults }, 10); // ten tokens at once are what five and five are
  expect((await ask(page, STORY)).text).toBe(longer.text);
  await page.goBack();
  await expect(replies(page).locator(".body")).toHaveText(longer.text);

  const asked = page.locator("article.user");
  await asked.hover();
  await asked.getByRole("button", { name: "Edit" }).click();
  await page.getByRole("textbox", { name: "Changed message" }).fill("Tell me a story about a dog.");
  await page.keyboard.press("Enter");
  await expect(asked.locator(".plain")).toHaveText("Tell me a story about a dog.");
  await ended(page);
  await asked.getByRole("button", { name: "Earlier version" }).press("Enter");
  await expect(asked.locator(".plain")).toHaveText(STORY);
  await expect(replies(page).getByRole("group", { name: "Versions" })).toHaveText(/[12]\/2/);
  await expect(asked.getByRole("button", { name: "Later version" })).toBeFocused();
});

test("a fork goes on elsewhere: from a reply with all before it, from a question with that as a draft", async () => {
  const { text } = await ask(page, STORY);
  await ask(page, "And then?");
  const here = page.url();
  await replies(page).first().hover();
  await replies(page).first().getByRole("button", { name: /^Fork/ }).click();
  await expect(page).not.toHaveURL(here);
  await expect(page.getByRole("heading", { level: 1 })).toHaveText(`${STORY} (fork)`);
  await expect(replies(page).locator(".body")).toHaveText([text]);
  await page.goBack();
  await expect(replies(page)).toHaveCount(2);
  await page.locator("article.user").last().hover();
  await page.locator("article.user").last().getByRole("button", { name: /^Fork/ }).click();
  await expect(replies(page)).toHaveCount(1);
  await expect(box(page)).toHaveValue("And then?");
  await box(page).fill("");
});

test("what people and models write stays text", async () => {
  await set(page, { "Max tokens": "1" });
  const attack = "<img src=x onerror='window.hit=1'><script>window.hit=1</script>";
  await ask(page, attack);
  await expect(page.locator("article.user .plain")).toHaveText(attack);
  const shown = await page.evaluate(async (text) => {
    const path = "/chat/reply.ts"; // a variable, so that the test's own compiler does not look for it
    const module = (await import(path)) as {
      reply(name: string): { element: HTMLElement; writing(text: string, tokens: number): void };
    };
    const { element, writing } = module.reply("Fable");
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

test("axe finds nothing serious in a conversation, with each panel and dialog", async () => {
  await ask(page, STORY);
  expect(await axeFaults(page), "conversation").toEqual([]);
  for (const name of [/^Conversations$/, /^Faster reading/, /^Settings$/]) {
    await page.getByRole("button", { name }).click();
    if (name.test("Settings")) await expect(page.getByRole("img", { name: /^Reading by reply: / })).toBeVisible();
    expect(await axeFaults(page), String(name)).toEqual([]);
  }
  await page.keyboard.press("Escape");
  await page.getByRole("button", { name: "More about this conversation" }).click();
  expect(await axeFaults(page), "menu").toEqual([]);
  await page.getByRole("button", { name: "Rename", exact: true }).click();
  expect(await axeFaults(page), "dialog").toEqual([]);
  await page.keyboard.press("Escape");
});

test("speed and memory of each reply are drawn in the settings, and stand there in numbers", async () => {
  const { figures } = await ask(page, STORY);
  await ask(page, "And then?");
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  const charts = page.getByRole("region", { name: "Speed and memory over this conversation" });
  await expect(charts.locator("canvas")).toHaveCount(3);
  const [, reading, writing] = /\(([\d.,]+ tok\/s)[^]*wrote \d+ at ([\d.,]+ tok\/s)/.exec(figures) ?? [];
  await charts.getByText("In numbers").click();
  const row = charts.getByRole("row").nth(1);
  await expect(row).toContainText(`1${reading}${writing}`);
  await expect(row).toContainText(/\d kB$/);
  await expect(charts.getByRole("row")).toHaveCount(3);
  await page.getByRole("button", { name: "Close settings" }).click();
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
