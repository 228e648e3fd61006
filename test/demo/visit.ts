// oxlint-disable no-empty-pattern -- Playwright reads the names of fixtures off the pattern
// What the tests of the pages share: the demo's server, pages that report their faults, and what a person does on them.

import type { BrowserContext, Locator, Page } from "playwright";
import { expect } from "playwright/test";
import axe from "axe-core";
import { serve } from "../../demo/server/server.mjs";
import { test as base } from "../page.ts";
import { Silence } from "../silence.ts";

export const STORY = "Tell me a story about a cat and a box.";
export const wait = { timeout: 60_000 };

export interface Visit {
  page: Page;
  /** Exceptions, console errors, requests to other machines. */
  faults: string[];
}

interface Fixtures {
  /** Address of the demo. */
  site: string;
  /** One for all pages, so that what the engine found out about the adapter is found out once. */
  profile: BrowserContext;
  /** Opens a page with the default settings. */
  visit: () => Promise<Visit>;
}

export const test = base.extend<object, Fixtures>({
  site: [
    async ({}, use) => {
      const server = await serve();
      await use(server.url);
      await server.close();
    },
    { scope: "worker", timeout: 60_000 },
  ],
  profile: [
    async ({ browserWithGpu }, use) => {
      const context = await browserWithGpu.newContext();
      await use(context);
      await context.close();
    },
    { scope: "worker", timeout: 60_000 },
  ],
  visit: [async ({ profile }, use) => use(() => open(profile)), { scope: "worker" }],
});

async function open(profile: BrowserContext): Promise<Visit> {
  const page = await profile.newPage();
  const faults: string[] = [];
  page.setDefaultTimeout(60_000);
  await page.addInitScript(() => {
    localStorage.clear();
    indexedDB.deleteDatabase("longprompt-conversations");
  });
  page.on("pageerror", (error) => faults.push(error.message));
  page.on("console", (message) => {
    const { url } = message.location();
    if (message.type() === "error") faults.push(`${message.text()} ${url}`);
  });
  page.on("request", (request) => {
    if (!/^(http:\/\/localhost:|data:|blob:)/.test(request.url())) faults.push(`request to ${request.url()}`);
  });
  return { page, faults };
}

export const box = (page: Page): Locator => page.getByRole("textbox", { name: "Message", exact: true });
export const replies = (page: Page): Locator => page.getByRole("article").filter({ has: page.locator(".figures") });
export const send = (page: Page): Locator => page.getByRole("button", { name: "Send" });

export async function loadFable(page: Page, site: string): Promise<void> {
  await page.goto(site);
  await page.getByRole("button", { name: /^Fable/ }).click();
  await expect(box(page))
    .toBeFocused({ timeout: 180_000 }) // the first visit of a run transforms all sources and compiles all kernels
    .catch(async (error: Error) => {
      throw new Error(`${error.message}\nThe page shows: ${(await page.locator("body").innerText()).slice(0, 1000)}`);
    });
}

/** A page in which Fable is ready to chat. */
export async function visitFable(visit: () => Promise<Visit>, site: string): Promise<Visit> {
  const visited = await visit();
  await loadFable(visited.page, site);
  return visited;
}

/** An empty conversation whose replies are always the same, at most so long; faults so far are forgotten. */
export async function newChat({ page, faults }: Visit, maxTokens: number): Promise<void> {
  faults.length = 0;
  await page.getByRole("button", { name: "New chat" }).click();
  await set(page, { Temperature: "0", Seed: "", "Max tokens": `${maxTokens}` });
}

/** Sends with Enter and waits for the end of the reply. */
export async function ask(page: Page, text: string): Promise<{ text: string; figures: string }> {
  await box(page).fill(text);
  await box(page).press("Enter");
  return ended(page);
}

export async function ended(page: Page): Promise<{ text: string; figures: string }> {
  const reply = replies(page).last();
  await expect(reply.locator(".figures")).toHaveText(/read [\d,]+ tokens?/i, wait);
  await expect(send(page)).toBeVisible();
  return { text: await reply.locator(".body").innerText(), figures: await reply.locator(".figures").innerText() };
}

/** Fills fields of the settings and closes them. */
export async function set(page: Page, values: Record<string, string>): Promise<void> {
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  for (const [label, value] of Object.entries(values)) await page.getByLabel(label).fill(value);
  await page.getByRole("button", { name: "Close settings" }).click();
}

/** What `work` gives in the page. Fails when the page shows nothing new for a minute. */
export async function watched<T>(page: Page, work: () => Promise<T>): Promise<T> {
  const silence = new Silence();
  let shown = new Set<string>();
  const look = async (): Promise<void> => {
    const lines = (await page.locator("main").innerText()).split("\n");
    const fresh = lines.filter((line) => !shown.has(line));
    if (fresh.length > 0) silence.heard(`the page shows ${JSON.stringify(fresh.slice(-5))}`);
    shown = new Set(lines);
  };
  const timer = setInterval(() => void look().catch(() => {}), 1000);
  try {
    return await silence.guard(page.url(), page.evaluate(work));
  } finally {
    clearInterval(timer);
  }
}

export const sidewaysOverflow = (page: Page): Promise<number> =>
  page.evaluate(() => document.documentElement.scrollWidth - innerWidth);

/** What axe finds serious or critical on the page as it is: the rule and the first place. */
export async function axeFaults(page: Page): Promise<string[]> {
  await page.evaluate(axe.source);
  return page.evaluate(async () => {
    const { axe } = globalThis as unknown as { axe: typeof import("axe-core") };
    const { violations } = await axe.run(document, { resultTypes: ["violations"] });
    return violations
      .filter(({ impact }) => impact === "serious" || impact === "critical")
      .map(({ id, nodes }) => `${id}: ${nodes[0]?.html.slice(0, 200)} ${nodes[0]?.failureSummary ?? ""}`);
  });
}
