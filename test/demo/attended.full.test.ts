// Below a reply of a model under ShadowKV: which passages of the text it read.

import type { Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { ask, box, newChat, replies, STORY, test, wait } from "./visit.ts";

const RECIPE = "shadow:budget=128";
/** With it, texts of up to 383 tokens stay whole. */
const NOTE = "The secret word of Lily is garden.";
const filler = (times: number): string => "The cat sat in the sun and looked at the birds. ".repeat(times);

async function loadWith(page: Page, site: string, recipe: string): Promise<void> {
  await page.goto(site);
  await page.getByRole("button", { name: "Settings", exact: true }).click();
  await page.getByRole("radio", { name: recipe, exact: true }).check();
  await page.getByRole("button", { name: "Close settings" }).click();
  await page.getByRole("button", { name: /^Fable/ }).click();
  await expect(box(page)).toBeFocused(wait);
}

/** The strip of the latest reply. */
const strip = (page: Page): Locator => replies(page).last().getByRole("slider", { name: "Passages of the text" });

test("a reply shows what it read, and folds it once the conversation goes on", async ({ visit, site }) => {
  const { page, faults } = await visit();
  await loadWith(page, site, RECIPE);
  await newChat({ page, faults }, 6);
  await ask(page, STORY);
  await expect(replies(page).last()).toContainText(
    "This reply read everything: texts of up to 383 tokens are kept whole.",
  );

  await ask(page, `${filler(20)} ${NOTE} ${filler(24)} What is the secret word of Lily?`);
  const cells = strip(page).locator("i");
  const last = await cells.count();
  expect(last).toBeGreaterThan(10);
  await expect(strip(page)).toHaveAttribute("aria-valuemax", String(last));
  await expect(strip(page)).toHaveAttribute(
    "aria-valuetext",
    /^Passage \d+ of \d+, picked \d+ % of the time, the most: .*\w/,
  );
  await expect(strip(page).locator(".at")).toHaveAttribute("style", "--strength: 100.0%;");

  const folds = page.getByRole("group").filter({ hasText: "What this reply read" });
  await ask(page, "And what else?");
  await expect(folds).toHaveCount(2);
  await expect(folds.first()).not.toHaveAttribute("open");
  await expect(folds.last()).toHaveAttribute("open");
  expect(faults).toEqual([]);
  await page.close();
});
