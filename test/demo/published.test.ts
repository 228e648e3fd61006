// The chat as the package has it: built, under a strict content security policy, and an example beside it.
import { expect } from "playwright/test";
import { POLICY } from "../../demo/server/built.mjs";
import { japanesePdf } from "./pdf.ts";
import { opened, test } from "./published.ts";
import { ask, loadFable, set, STORY, wait } from "./visit.ts";

test("the policy lets no text run as code, compiles no WebAssembly, and loads nothing from elsewhere", () => {
  expect(POLICY).toContain("script-src 'self';");
  expect(POLICY).not.toMatch(/unsafe|wasm|\*(?!;)/);
});

test("the chat loads a model and answers; nothing is asked of other machines", async ({ visit, site }) => {
  const { page, faults } = await opened(visit, site);
  await loadFable(page, site);
  await set(page, { "Max tokens": "12" });
  const { text, figures } = await ask(page, STORY);
  expect(text).toMatch(/\w{3}/);
  expect(figures).toContain("wrote 12");
  expect(faults).toEqual([]);
  await page.getByRole("button", { name: "Add a text or PDF" }).click();
  const pdf = { name: "nihon.pdf", mimeType: "application/pdf", buffer: japanesePdf() };
  await page.getByLabel("Open files").setInputFiles(pdf);
  await expect(page.getByRole("button", { name: /^Edit attachment: nihon\.pdf, 2 characters/ })).toBeVisible(wait);
  expect(faults).toEqual([]);
  const ran = await page.evaluate(async () => {
    const script = document.createElement("script");
    script.textContent = "document.body.dataset.inline = 'ran'";
    document.body.append(script);
    setTimeout("document.body.dataset.text = 'ran'" as unknown as () => void); // text as code: refused, too
    await new Promise((resolve) => setTimeout(resolve, 100));
    return { ...document.body.dataset };
  });
  expect(ran).not.toHaveProperty("inline");
  expect(ran).not.toHaveProperty("text");
  await page.close();
});

test("example: two replies at once from a worker, which the policy lets start", async ({ visit, site }) => {
  const { page, faults } = await opened(visit, `${site}examples/worker.html`);
  await expect(page.getByRole("status")).toHaveText(
    /^Done: 40 and 40 tokens on .+, [1-9]\d* turns of this page$/,
    wait,
  );
  for (const id of ["first", "second"]) await expect(page.locator(`#${id}`)).toHaveText(/\w{3}/);
  await expect.poll(() => page.workers(), wait).toEqual([]); // ended with its engine
  expect(faults).toEqual([]);
  await page.close();
});
