// The strip of what a reply read, as a person finds out by keyboard and pointer. No model.

import { expect } from "playwright/test";
import type { ReadPrompt } from "../../demo/chat/strip.ts";
import { sidewaysOverflow, test } from "./visit.ts";

test("the strip is one control: arrow keys, a mouse and a finger go from passage to passage", async ({
  visit,
  site,
}) => {
  const { page, faults } = await visit();
  await page.goto(site);
  await page.evaluate(async () => {
    const path = "/chat/strip.ts"; // a variable, so that the test's own compiler does not look for it
    const { readingStrip } = (await import(path)) as { readingStrip(read: ReadPrompt): HTMLElement };
    // 12 passages of 32 tokens, of which the third was read most, and 20 tokens more.
    const chosen = Uint32Array.from({ length: 48 }, (_, part) => (part >> 2 === 2 ? 6 : part % 4));
    const attended = { partTokens: 8, chosen, kept: chosen.map(() => 1), most: 10, tokens: 2 };
    const write = (tokens: readonly number[]): string =>
      tokens.map((token) => (token === 0 ? "<|im_start|>" : ` w${token}`)).join("");
    const prompt = Array.from({ length: 404 }, (_, token) => token);
    document.querySelector("#picker .column")!.prepend(readingStrip({ attended, prompt, write }));
  });
  const strip = page.getByRole("slider", { name: "Passages of the text" });
  const shown = page.locator(".passage");
  await expect(shown).toHaveText(/^Passage 3 of 13, picked 67 % of the time, the most…w64 w65 .* w95…$/);
  await expect(strip).toHaveAttribute("aria-valuetext", /^Passage 3 of 13, picked 67 % of the time, the most: …w64/);
  const strengths = await strip.locator("i").evaluateAll((all) => all.map((each) => each.style.getPropertyValue("--strength"))); // prettier-ignore
  expect([strengths[0], strengths[2], strengths[12]]).toEqual(["25.0%", "100.0%", "100.0%"]);

  await strip.focus();
  for (const [key, place] of [
    ["ArrowRight", "Passage 4 of 13, picked 17 % of the time…w96"],
    ["Home", "Passage 1 of 13, picked 17 % of the timew1 w2"],
    ["ArrowLeft", "Passage 1 of 13"],
    ["PageUp", "Passage 11 of 13"],
    ["End", "Passage 13 of 13, the end: always read…w384"],
  ] as const) {
    await page.keyboard.press(key);
    await expect(shown).toContainText(place);
  }
  await expect(strip).toHaveAttribute("aria-valuenow", "13");
  await expect(strip.locator(".at")).toHaveCount(1);

  await page.setViewportSize({ width: 360, height: 640 });
  expect(await sidewaysOverflow(page)).toBe(0);
  await strip.locator("i").nth(3).hover();
  await expect(shown).toContainText("Passage 4 of 13");
  await strip
    .locator("i")
    .nth(5)
    .dispatchEvent("pointerdown", await middleOf(5));
  await expect(shown).toContainText("Passage 6 of 13");
  expect(faults).toEqual([]);
  await page.close();

  async function middleOf(index: number): Promise<{ clientX: number; clientY: number }> {
    const { x, y, width, height } = (await strip.locator("i").nth(index).boundingBox())!;
    return { clientX: x + width / 2, clientY: y + height / 2 };
  }
});
