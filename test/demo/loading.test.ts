// From the models to a loaded one, and what stands in the way.

import { readdir } from "node:fs/promises";
import { join } from "node:path";
import type { Page } from "playwright";
import { expect } from "playwright/test";
import { ask, box, ended, replies, STORY, test, wait } from "./visit.ts";

const FABLE = join(import.meta.dirname, "../../demo/models/fable");

let page: Page;
let faults: string[];

test.beforeEach(async ({ visit }) => {
  ({ page, faults } = await visit());
});

test.afterEach(() => page.close());

test("the keyboard alone leads from the address to a reply", async ({ site }) => {
  await page.goto(site);
  await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
  const path: string[] = [];
  for (let step = 0; step < 4; step++) {
    await page.keyboard.press("Tab");
    path.push(await page.evaluate(() => document.activeElement?.textContent?.trim().slice(0, 8) ?? ""));
  }
  expect(path).toEqual(["Skip to ", "Conversa", "Settings", "FableCom"]);
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

test("Cancel leads back to the models, without a complaint", async ({ site }) => {
  let release = (): void => {};
  const held = new Promise<void>((resolve) => (release = resolve));
  await page.route("**/fable/model.safetensors", async (route) => {
    await held;
    await route.abort().catch(() => {});
  });
  await page.goto(site);
  await page.getByRole("button", { name: /^Fable/ }).click();
  await page.getByRole("button", { name: "Cancel" }).click();
  await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
  await expect(page.getByRole("alert")).toHaveCount(0);
  release();
});

test("own files load, chosen or dropped", async ({ site }) => {
  await page.goto(site);
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
  test(`the hub's answer ${code} is explained`, async ({ site }) => {
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
    await page.goto(`${site}/?model=someone/some-model`);
    const card = page.getByRole("alert");
    await expect(card.getByRole("heading")).toHaveText(title);
    await expect(card).toContainText(advice);
    await expect(page.getByRole("button", { name: /^Fable/ })).toBeVisible();
  });
}

test("a repository of GGUF files offers those that run, with precision and size", async ({ site }) => {
  const headers = { "access-control-allow-origin": "*" };
  const sizes = { "m-BF16.gguf": 9e8, "m-IQ2_XS.gguf": 1e8, "m-Q4_K_M.gguf": 4e8 };
  const files = Object.entries(sizes).map(([path, size]) => ({ path, size, rfilename: path }));
  await page.route("https://huggingface.co/**", (route) => {
    const url = route.request().url();
    if (url.includes("/tree/")) return route.fulfill({ headers, json: files });
    if (url.includes("/api/")) return route.fulfill({ headers, json: { sha: "a".repeat(40), siblings: files } });
    return route.fulfill({ status: 404, headers, body: "" });
  });
  await page.goto(`${site}/?model=someone/some-GGUF`);
  const card = page.getByRole("alert");
  await expect(card.getByRole("heading")).toHaveText("This repository holds GGUF files: choose one");
  await expect(card.getByRole("button")).toHaveText(["Load Q4_K_M, 400 MB", "BF16, 900 MB"]);
  await card.getByRole("button", { name: /Q4_K_M/ }).click();
  await expect(card.getByRole("heading")).toHaveText("There is no such model"); // the file itself was asked for
  await expect(card).toContainText("m-Q4_K_M.gguf");
});
