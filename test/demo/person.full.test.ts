// The chat driven by the keyboard alone, on a desktop and on a phone, light and dark: nothing overflows, axe finds nothing serious.

import type { Locator, Page } from "playwright";
import { expect } from "playwright/test";
import { pdfOf } from "./pdf.ts";
import { ask, axeFaults, box, ended, replies, sidewaysOverflow, STORY, test, visitFable, wait } from "./visit.ts";

/** Presses a key on what has the focus until `target` has it. */
async function reach(page: Page, target: Locator, key: "Tab" | "Shift+Tab"): Promise<void> {
  const isFocused = (): Promise<boolean> => target.evaluate((element) => element === document.activeElement);
  for (let presses = 0; presses < 60 && !(await isFocused()); presses++) await page.keyboard.press(key);
  await expect(target).toBeFocused();
}

async function looked(page: Page, where: string): Promise<void> {
  expect(await sidewaysOverflow(page), where).toBe(0);
  expect(await axeFaults(page), where).toEqual([]);
}

for (const [name, viewport, colorScheme] of [
  ["desktop, light", { width: 1280, height: 800 }, "light"],
  ["phone, dark", { width: 390, height: 844 }, "dark"],
  ["small phone, light", { width: 360, height: 640 }, "light"],
] as const) {
  test(`a person with a keyboard: ${name}`, async ({ visit, site }) => {
    const { page, faults } = await visitFable(visit, site);
    await page.setViewportSize(viewport);
    await page.emulateMedia({ colorScheme });
    const back = async (target: Locator): Promise<void> => {
      await reach(page, target, "Shift+Tab");
      await page.keyboard.press("Enter");
    };

    // A conversation: stopped, gone on with, written again.
    await box(page).fill(STORY);
    await page.keyboard.press("Enter");
    await expect(replies(page).last().locator(".body")).toHaveText(/\w+ \w+/, wait);
    await page.keyboard.press("Escape");
    const stopped = await ended(page);
    await expect(box(page)).toBeFocused();
    await back(page.getByRole("button", { name: "Continue" }));
    await page.keyboard.press("Escape");
    expect((await ended(page)).text.length).toBeGreaterThanOrEqual(stopped.text.length);
    await back(page.getByRole("button", { name: "Regenerate" }));
    await page.keyboard.press("Escape");
    await ended(page);
    await back(page.getByRole("button", { name: "Earlier version" }));
    await expect(page.getByRole("group", { name: "Versions" })).toHaveText(/1\/2/);
    await looked(page, "branches");

    // A changed question, with documents before the next one.
    await back(page.getByRole("button", { name: "Edit" }));
    await expect(page.getByRole("textbox", { name: "Changed message" })).toBeFocused();
    await page.keyboard.type(" It was red.");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Escape");
    await ended(page);
    await page.getByRole("button", { name: "Add a text or PDF" }).press("Enter");
    await looked(page, "dialog");
    await page
      .getByLabel("Open files")
      .setInputFiles({ name: "rain.pdf", mimeType: "application/pdf", buffer: pdfOf(["It rained.", "It stopped."]) });
    await expect(page.getByRole("button", { name: /^Edit attachment: rain\.pdf/ })).toBeVisible(wait);
    await looked(page, "document");
    await ask(page, "What did it do?");

    // Its name, its copy, its end.
    await page.getByRole("button", { name: "Conversations", exact: true }).press("Enter");
    await looked(page, "conversations");
    const panel = page.getByRole("complementary", { name: "Conversations" });
    await reach(page, panel.getByRole("button", { name: /^More: / }).first(), "Tab");
    await page.keyboard.press("Enter");
    await page.keyboard.press("Enter"); // the first: Rename
    await page.keyboard.type("Rain");
    await page.keyboard.press("Enter");
    await reach(page, panel.getByRole("button", { name: "More: Rain" }), "Tab");
    await page.keyboard.press("Enter");
    for (let presses = 0; presses < 3; presses++) await page.keyboard.press("ArrowDown");
    await expect(page.getByRole("button", { name: "Delete", exact: true })).toBeFocused();
    await page.keyboard.press("Enter");
    await reach(page, panel.getByRole("button", { name: "Undo" }), "Tab");
    await page.keyboard.press("Enter");
    await expect(panel.getByText("Rain", { exact: true })).toBeVisible();
    await page.keyboard.press("Escape");
    await expect(page.getByRole("button", { name: "Conversations", exact: true })).toBeFocused();
    expect(faults).toEqual([]);
    await page.close();
  });
}
