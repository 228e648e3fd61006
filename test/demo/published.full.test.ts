// The examples as the package has them: built, under a strict content security policy.
import { join } from "node:path";
import { expect } from "playwright/test";
import { POLICY } from "../../demo/server/built.mjs";
import { root } from "./package.ts";
import { opened, test } from "./published.ts";
import { wait } from "./visit.ts";

for (const [name, says] of [
  ["chat", "Done: length"],
  ["long", /Done: \d+ tokens in \d+ kB; all of them in 16 bits take \d+ kB/],
  ["calibrate", "Done: prompts run 4 of 8 layers"],
] as const) {
  test(`example: ${name}`, async ({ visit, site }) => {
    const { page, faults } = await opened(visit, `${site}examples/${name}.html`);
    await expect(page.getByRole("status")).toHaveText(says, wait);
    await expect(page.locator("#reply")).toHaveText(/\w{3}/);
    // The policy has no worker-src: equations are solved on the main thread instead.
    expect(faults.filter((fault) => !fault.startsWith("Creating a worker from 'blob:"))).toEqual([]);
    await page.close();
  });
}

test("example: stream, and its button", async ({ visit, site }) => {
  const { page, faults } = await opened(visit, `${site}examples/stream.html`);
  await page.waitForFunction(() => document.querySelector("#reply")!.textContent!.length > 3, null, wait); // at the next frame
  await page.getByRole("button", { name: "Stop" }).click();
  await expect(page.getByRole("status")).toHaveText(/^Done: abort, \d+ tokens/, wait);
  expect(faults).toEqual([]);
  await page.close();
});

test("example: files from disk; a wrong one is refused with a code", async ({ visit, site }) => {
  const { page, faults } = await opened(visit, `${site}examples/files.html`);
  const fable = join(root, "demo/models/fable");
  await page.setInputFiles("#files", join(fable, "README.md"));
  await expect(page.getByRole("status")).toHaveText(/^(bad-source|not-found|bad-file): /, wait);
  const files = ["config.json", "tokenizer.json", "tokenizer_config.json", "model.safetensors"];
  await page.setInputFiles(
    "#files",
    files.map((file) => join(fable, file)),
  );
  await expect(page.getByRole("status")).toHaveText(/^Done: /, wait);
  expect(faults).toEqual([]);
  await page.close();
});

test("JSON of a schema on its page, whose policy allows WebAssembly and nothing more", async ({ visit, site }) => {
  const { page, faults } = await visit();
  const response = await page.goto(`${site}tools.html`);
  expect(response?.headers()["content-security-policy"]).toBe(
    POLICY.replace("script-src 'self'", "script-src 'self' 'wasm-unsafe-eval'"),
  );
  await page.getByRole("button", { name: "Run" }).click();
  await expect(page.getByText("Valid: it keeps to the schema.")).toBeVisible(wait);
  expect(faults).toEqual([]);
  await page.close();
});
