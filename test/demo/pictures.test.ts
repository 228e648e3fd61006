// Pictures in the chat: only for models that see; chosen, pasted, taken back, sent.

import { expect } from "playwright/test";
import { fixture, pixelsOf, visionFiles } from "../golden/vision.ts";
import { toPng } from "../golden/png.ts";
import { jsonOf, readConversations } from "../../demo/chat/exchange.ts";
import { plain } from "../../demo/chat/thread.ts";
import { axeFaults, box, ended, loadFable, newChat, send, sidewaysOverflow, test, wait } from "./visit.ts";

const [shown] = fixture.idefics3.pictures;
const png = toPng(shown!.width, shown!.height, pixelsOf(shown!));
const file = (name: string, buffer = png) => ({ name, mimeType: "image/png", buffer });

test("a model that sees takes pictures: chosen or pasted, with a thumbnail, taken back, and sent", async ({
  visit,
  site,
}) => {
  const visited = await visit();
  const { page, faults } = visited;
  await page.goto(site);
  const files = [...visionFiles("idefics3")].map(([name, bytes]) => ({
    name,
    mimeType: "",
    buffer: Buffer.from(bytes),
  }));
  await page.getByLabel("Choose model files").setInputFiles(files);
  await expect(box(page)).toBeFocused(wait);
  await newChat(visited, 6);

  const choose = page.getByRole("button", { name: "Add a picture" });
  const [chooser] = await Promise.all([page.waitForEvent("filechooser"), choose.press("Enter")]);
  await chooser.setFiles([file("one.png"), file("none.png", Buffer.from("no picture"))]);
  const chips = page.getByRole("list", { name: "Documents" });
  await expect(chips.getByRole("img", { name: "one.png" })).toBeVisible();
  await expect(page.getByText("none.png cannot be read as a picture.")).toBeVisible();
  await page.locator("#documents-note").getByRole("button", { name: "Dismiss" }).click();

  await box(page).evaluate(
    (element, bytes) => {
      const data = new DataTransfer();
      data.items.add(new File([Uint8Array.from(bytes)], "two.png", { type: "image/png" }));
      element.dispatchEvent(new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }));
    },
    [...png],
  );
  await expect(chips.getByRole("img")).toHaveCount(2);
  expect(await axeFaults(page)).toEqual([]);
  await page.setViewportSize({ width: 360, height: 640 });
  expect(await sidewaysOverflow(page)).toBe(0);
  await page.setViewportSize({ width: 1280, height: 720 });
  await page.getByRole("button", { name: "Remove attachment: two.png" }).click();
  await expect(chips.getByRole("img")).toHaveCount(1);

  await send(page).click(); // without words
  await expect(page.getByRole("article").getByRole("img", { name: "one.png" })).toBeVisible();
  await expect(chips).toBeHidden();
  const { figures } = await ended(page);
  expect(figures).toMatch(/read \d+ tokens/i);
  expect(faults).toEqual([]);
});

test("a conversation with pictures comes back from a file as it was; what is no picture does not", () => {
  const picture = "data:image/png;base64,AAAA";
  const turn = { role: "user", content: "What is it?", documents: [{ name: "one.png", text: "", picture }] } as const;
  const kept = { id: "a", model: { source: null, name: "m" }, turns: [turn], changed: 1 };
  expect(readConversations(jsonOf([kept]))).toEqual([kept]);
  expect(plain([turn])).toEqual([{ role: "user", content: "What is it?", pictures: [picture] }]);
  const other = { ...turn, documents: [{ name: "one.png", text: "", picture: "https://example.org/a.png" }] };
  const [read] = readConversations(jsonOf([{ ...kept, turns: [other] }]));
  expect(read!.turns[0]!.documents).toEqual([{ name: "one.png", text: "" }]);
});

test("a model that sees none offers no picture", async ({ visit, site }) => {
  const { page } = await visit();
  await loadFable(page, site);
  await expect(page.getByRole("button", { name: "Add a picture" })).toBeHidden();
});
