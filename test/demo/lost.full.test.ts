// The graphics device goes away while the chat replies: a line says so, and the reply is the one it would have been.
import { expect } from "playwright/test";
import { ended, loadFable, newChat, replies, STORY, box, test, wait } from "./visit.ts";

test("a lost device shows as a line until there is another one", async ({ visit, site }) => {
  const visited = await visit();
  const { page, faults } = visited;
  await page.addInitScript(() => {
    const { requestDevice } = GPUAdapter.prototype;
    GPUAdapter.prototype.requestDevice = async function (descriptor) {
      const device = await requestDevice.call(this, descriptor);
      Object.assign(globalThis, { loseDevice: () => device.destroy() });
      return device;
    };
  });
  await loadFable(page, site);
  const tell = async (lose: boolean) => {
    await newChat(visited, 60);
    await box(page).fill(STORY);
    await box(page).press("Enter");
    await expect(replies(page).last().locator(".body")).toHaveText(/\w+ \w+/, wait);
    if (lose) await page.evaluate(() => (globalThis as unknown as { loseDevice: () => void }).loseDevice());
    if (lose) await expect(page.getByText("The graphics device was lost; going on.")).toBeVisible();
    return (await ended(page)).text;
  };
  const undisturbed = await tell(false);
  expect(await tell(true)).toBe(undisturbed);
  await expect(page.getByText("The graphics device was lost")).toBeHidden();
  expect(faults).toEqual([]);
  await page.close();
});
