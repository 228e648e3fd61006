// The pages and the command line with the engine and Fable, the way a person uses them. Nothing here depends on speed.

import { execFile } from "node:child_process";
import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { BrowserContext, Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { serve } from "../../demo/server.mjs";
import { test } from "../page.ts";
import { sidewaysOverflow, wait, watchedPage } from "./site.ts";

const DEMO = join(import.meta.dirname, "../../demo");
const FABLE = join(DEMO, "models/fable");
const STORY = "Tell me a story about a cat and a box.";

let server: Awaited<ReturnType<typeof serve>>;
/** One for all pages, so that what the engine found out about the adapter is found out once. */
let context: BrowserContext;
let faults: string[] = [];

test.beforeAll(async ({ browserWithGpu }) => {
  server = await serve();
  context = await browserWithGpu.newContext();
});

test.afterAll(async () => {
  await context?.close();
  await server?.close();
});

test.beforeEach(() => {
  faults = [];
});

const newPage = (): Promise<Page> => watchedPage(context, (fault) => faults.push(fault));

const box = (page: Page): Locator => page.getByRole("textbox", { name: "Message", exact: true });
const replies = (page: Page): Locator => page.getByRole("article").filter({ has: page.locator(".figures") });
const send = (page: Page): Locator => page.getByRole("button", { name: "Send" });

async function loadFable(page: Page): Promise<void> {
  await page.goto(server.url);
  await page.getByRole("button", { name: /^Fable/ }).click();
  await expect(box(page)).toBeFocused(wait);
}

/** Sends with Enter and waits for the end of the reply. */
async function ask(page: Page, text: string): Promise<{ text: string; figures: string }> {
  await box(page).fill(text);
  await box(page).press("Enter");
  return ended(page);
}

async function ended(page: Page): Promise<{ text: string; figures: string }> {
  const reply = replies(page).last();
  await expect(reply.locator(".figures")).toHaveText(/read [\d,]+ tokens/i, wait);
  await expect(send(page)).toBeVisible();
  return { text: await reply.locator(".body").innerText(), figures: await reply.locator(".figures").innerText() };
}

/** Fills fields of the settings and closes them. */
async function set(page: Page, values: Record<string, string>): Promise<void> {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  for (const [label, value] of Object.entries(values)) await page.getByLabel(label).fill(value);
  await page.getByRole("button", { name: "Close settings" }).click();
}

test.describe("chat", () => {
  let page: Page;

  test.beforeAll(async () => {
    page = await newPage();
    await loadFable(page);
  });

  test.beforeEach(async () => {
    await page.getByRole("button", { name: "New chat" }).click();
    await set(page, { Temperature: "0", Seed: "", "Max tokens": "12" });
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
      const [, read, reused] = /read ([\d,]+) tokens in .*, ([\d,]+) reused\)/.exec(second.figures) ?? [];
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
    await card.getByRole("button", { name: "Start a new chat" }).click();
    await expect(card).toHaveCount(0);
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
      const path = "/conversation.ts"; // a variable, so that the test's own compiler does not look for it
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

  test("at 360 pixels nothing scrolls sideways", async () => {
    await page.setViewportSize({ width: 360, height: 640 });
    await ask(page, `${STORY} ${"x".repeat(200)}`);
    expect(await sidewaysOverflow(page)).toBe(0);
    await page.getByRole("button", { name: "Settings", exact: true }).click();
    expect(await sidewaysOverflow(page)).toBe(0);
    await page.getByRole("button", { name: "Close settings" }).click();
    await page.setViewportSize({ width: 1280, height: 720 });
  });
});

test.describe("loading", () => {
  let page: Page;

  test.beforeEach(async () => {
    page = await newPage();
  });

  test.afterEach(() => page.close());

  test("the keyboard alone leads from the address to a reply", async () => {
    await page.goto(server.url);
    await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
    const path: string[] = [];
    for (let step = 0; step < 3; step++) {
      await page.keyboard.press("Tab");
      path.push(await page.evaluate(() => document.activeElement?.textContent?.trim().slice(0, 8) ?? ""));
    }
    expect(path).toEqual(["Skip to ", "Settings", "FableCom"]);
    await page.keyboard.press("Enter");
    await expect(page.getByRole("progressbar", { name: "Fable" })).toBeVisible();
    await expect(box(page)).toBeFocused(wait);
    await page.keyboard.type(STORY);
    await page.keyboard.press("Enter");
    await expect(replies(page).locator(".body")).toHaveText(/\w+ \w+/, wait);
    await page.keyboard.press("Escape");
    expect((await ended(page)).figures).toMatch(/^Stopped/);
    await expect(box(page)).toBeFocused();
    expect(faults).toEqual([]);
  });

  test("Cancel leads back to the models, without a complaint", async () => {
    let release = (): void => {};
    const held = new Promise<void>((resolve) => (release = resolve));
    await page.route("**/fable/model.safetensors", async (route) => {
      await held;
      await route.abort().catch(() => {});
    });
    await page.goto(server.url);
    await page.getByRole("button", { name: /^Fable/ }).click();
    await page.getByRole("button", { name: "Cancel" }).click();
    await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
    await expect(page.getByRole("alert")).toHaveCount(0);
    release();
  });

  test("own files load, chosen or dropped", async () => {
    await page.goto(server.url);
    const names = (await readdir(FABLE)).filter((name) => /^(?!golden).*\.(json|safetensors)$/.test(name));
    await page.getByLabel("Choose model files").setInputFiles(names.map((name) => join(FABLE, name)));
    await expect(box(page)).toBeFocused(wait);
    await page.getByRole("button", { name: "Own files" }).click();
    const zone = page.getByText("Drop a .gguf file");
    await zone.scrollIntoViewIfNeeded();
    const place = (await zone.boundingBox())!;
    const devtools = await page.context().newCDPSession(page);
    for (const type of ["dragEnter", "dragOver", "drop"] as const) {
      const data = { items: [], files: [FABLE], dragOperationsMask: 1 };
      await devtools.send("Input.dispatchDragEvent", { type, x: place.x + 5, y: place.y + 5, data });
    }
    await expect(page.getByRole("progressbar", { name: "Own files" })).toBeVisible();
    await expect(box(page)).toBeFocused(wait);
    expect((await ask(page, "Hello")).text).not.toBe("");
    expect(faults).toEqual([]);
  });

  for (const [code, title, advice] of [
    ["GatedRepo", "This model asks for a login", /Accept the licence/],
    ["RepoNotFound", "No such model, or not a public one", /Check the spelling/],
  ] as const) {
    test(`the hub's answer ${code} is explained`, async () => {
      const headers = {
        "x-error-code": code,
        "access-control-allow-origin": "*",
        "access-control-expose-headers": "x-error-code",
      };
      const description = { sha: "a".repeat(40), siblings: [{ rfilename: "config.json" }] };
      await page.route("https://huggingface.co/**", (route) =>
        code === "GatedRepo" && route.request().url().includes("/api/") // of a gated model only the files are closed
          ? route.fulfill({ headers: { "access-control-allow-origin": "*" }, json: description })
          : route.fulfill({ status: 401, headers, body: "" }),
      );
      await page.goto(`${server.url}/?model=someone/some-model`);
      const card = page.getByRole("alert");
      await expect(card.getByRole("heading")).toHaveText(title);
      await expect(card).toContainText(advice);
      await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
    });
  }
});

test.describe("command line", () => {
  const start = (...args: string[]): Promise<{ code: number; out: string; err: string }> =>
    new Promise((resolve) => {
      execFile(process.execPath, [join(DEMO, "start.mjs"), ...args], { timeout: 120_000 }, (error, out, err) => {
        resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
      });
    });

  test("--json prints one line of JSON; the figures go to standard error", async () => {
    const { code, out, err } = await start("--prompt", STORY, "--json", "--max-tokens", "3", "--context", "256");
    expect({ code, lines: out.split("\n").length }, err).toEqual({ code: 0, lines: 2 });
    const answer = JSON.parse(out) as Record<string, unknown> & { stats: object; tokens: unknown; text: string };
    expect(Object.keys(answer)).toEqual(["text", "tokens", "logprobs", "promptTokens", "finish", "stats"]);
    const generation = ["promptTokens", "reusedTokens", "newTokens", "prefillMs", "decodeMs"];
    const rates = ["prefillTokensPerSecond", "decodeTokensPerSecond"];
    const engine = ["adapter", "loadMs", "weightBytes", "kvBytes", "scratchBytes", "kvBytesPerToken", "variants"];
    const counts = ["submits", "dispatches", "readbacks", "readbackBytes", "objectsCreated"];
    expect(Object.keys(answer.stats).toSorted()).toEqual([...generation, ...rates, ...engine, ...counts].toSorted());
    expect(answer).toMatchObject({
      finish: "length",
      tokens: [expect.any(Number), expect.any(Number), expect.any(Number)],
    });
    expect(answer.text).toMatch(/^\w/);
    expect(err).toMatch(
      /^\[.* · load \d+ ms · \d+ prompt tokens in \d+ ms \(.* tok\/s\) · 3 new at .* ended by length/,
    );
  });

  test("an error is one line on standard error and exit code 1", async () => {
    const { code, out, err } = await start("--prompt", STORY.repeat(4), "--context", "32");
    expect({ code, out }).toEqual({ code: 1, out: "" });
    expect(err).toMatch(/^longprompt: prompt: \d+ tokens, want fewer than the context of 32\. [^\n]*--context\.\n$/);
  });
});
