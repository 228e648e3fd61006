// oxlint-disable no-empty-pattern -- Playwright reads the names of fixtures off the pattern
// The pages as the package has them: built, under a strict content security policy, without headers for isolation.
import { execFileSync } from "node:child_process";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { expect } from "playwright/test";
import { listen, POLICY } from "../../demo/server/built.mjs";
import { ask, loadFable, set, STORY, test as base, type Visit, wait } from "./visit.ts";

const root = fileURLToPath(new URL("../..", import.meta.url));

const test = base.extend<object, { site: string }>({
  site: [
    async ({}, use) => {
      const folder = join(root, "test/results/published");
      const vite = join(root, "node_modules/vite/bin/vite.js");
      const build = [vite, "build", "--mode", "demo", "--logLevel", "error", "--outDir", join(folder, "dist-demo")];
      execFileSync(process.execPath, build, { cwd: root });
      const server = await listen({ root: folder, port: 0, middlewares: [] });
      await use(`http://localhost:${server.port}/`);
      await server.close();
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

/** Opens a page; what it asks for from elsewhere, and what the policy refuses, are faults. */
async function opened(visit: () => Promise<Visit>, address: string): Promise<Visit> {
  const visited = await visit();
  const origin = new URL(address).origin;
  visited.page.on("request", (request) => {
    if (!request.url().startsWith(origin) && !/^(data|blob):/.test(request.url())) visited.faults.push(request.url());
  });
  const response = await visited.page.goto(address);
  expect(response?.headers()["content-security-policy"]).toBe(POLICY);
  expect(await visited.page.evaluate(() => crossOriginIsolated)).toBe(false);
  return visited;
}

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
  await expect(page.locator("#reply")).toHaveText(/\w{3}/, wait);
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
