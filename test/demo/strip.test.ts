// The strip of what a reply read, as a person finds out by keyboard and pointer. No model.

import { expect } from "playwright/test";
import type { ReadPassage } from "../../demo/chat/passages.ts";
import { sidewaysOverflow, test } from "./visit.ts";

test("the strip is one control: arrow keys, a mouse and a finger go from passage to passage", async ({
  visit,
  site,
}) => {
  const { page, faults } = await visit();
  await page.goto(site);
  await page.evaluate(async () => {
    const paths = ["/chat/strip.ts", "/chat/passages.ts"]; // variables, so that the test's own compiler does not look for them
    const { readingStrip } = (await import(paths[0]!)) as { readingStrip(read: readonly ReadPassage[]): HTMLElement };
    const { passagesOf, wordsOf } = (await import(paths[1]!)) as typeof import("../../demo/chat/passages.ts");
    // 12 passages of 32 tokens, of which the third was read most, and 20 tokens more.
    const chosen = Uint32Array.from({ length: 48 }, (_, part) => (part >> 2 === 2 ? 6 : part % 4));
    const attended = { partTokens: 8, chosen, kept: chosen.map(() => 1), most: 10, tokens: 2 };
    const write = (tokens: readonly number[]): string =>
      tokens.map((token) => (token === 0 ? "<|im_start|>" : ` w${token}`)).join("");
    const prompt = Array.from({ length: 404 }, (_, token) => token);
    const passages = passagesOf(attended, prompt.length);
    const read = passages.map((passage) => ({ ...passage, words: wordsOf(passage, prompt, write) }));
    document.querySelector("#picker .column")!.prepend(readingStrip(read));
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

test("the panel of SwiftKV offers the recipes that a model can have with the chosen layers, and says why not others", async ({
  visit,
  site,
}) => {
  const { page } = await visit();
  await page.goto(site);
  const titles = await page.evaluate(async () => {
    const path = "/chat/shape.ts";
    const { shapeFields } = (await import(path)) as typeof import("../../demo/chat/shape.ts");
    const shape = shapeFields();
    type Shelf = Parameters<typeof shape.offer>[1];
    shape.offer(8, { kind: () => null, first: (begin: unknown) => begin } as unknown as Shelf);
    const windows = Array<number>(8).fill(0);
    const sizes = { hiddenSize: 192, layers: 8, heads: 6, kvHeads: 2, headWidth: 24, windows, context: 2048 };
    shape.limit({ name: "narrow", hash: "", seesPictures: false, kvShape: { ...sizes, swiftkv: null } }, 2048);
    const options = [...document.querySelector<HTMLSelectElement>("#swiftkv-kv")!.options];
    return Object.fromEntries(options.map(({ value, disabled, title }) => [value, [disabled, title]]));
  });
  expect(titles["f16"]).toEqual([false, ""]);
  expect(titles["kivi:bits=2"]).toEqual([true, expect.stringMatching(/^kv: kivi; got heads of 24 channels/)]);
  await page.close();
});
