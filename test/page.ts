// oxlint-disable no-empty-pattern -- Playwright reads the names of fixtures off the pattern
// A browser with WebGPU and the harness page in it, once per worker.
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { test as base } from "playwright/test";
import type { Browser, Page } from "playwright";
import { createServer } from "vite";
import { launch } from "../demo/server/browser.mjs";
import { modelFiles } from "../demo/server/files.mjs";
import type { Harness } from "./harness.ts";

const root = fileURLToPath(new URL("..", import.meta.url));
/** Third-party weights for tests: where the workplace keeps them, or where `npm run model` puts them. */
const MODEL_FOLDERS = [`${root}models`, `${root}../shared/models`, `${root}demo/models`];

/** Where a test model's folder is, or null. */
export const modelFolder = (name: string): string | null =>
  MODEL_FOLDERS.map((dir) => `${dir}/${name}`).find(existsSync) ?? null;

export type Call = <K extends keyof Harness>(
  name: K,
  ...args: Parameters<Harness[K]>
) => Promise<Awaited<ReturnType<Harness[K]>>>;

interface Fixtures {
  /** Address of the test server: the repository at /, models below /test-models/. */
  address: string;
  browserWithGpu: Browser;
  harness: Page;
  /** Calls a function of test/harness.ts in the page. */
  call: Call;
}

export const test = base.extend<object, Fixtures>({
  address: [
    async ({}, use) => {
      const server = await createServer({
        root,
        configFile: false,
        logLevel: "error",
        server: { port: 0, host: "localhost", hmr: false, watch: null },
        optimizeDeps: { include: ["@huggingface/jinja", "@huggingface/tokenizers", "idb-keyval"], noDiscovery: true },
        plugins: [
          {
            name: "test-models",
            configureServer: ({ middlewares }) => void middlewares.use(modelFiles("/test-models/", MODEL_FOLDERS)),
          },
        ],
      });
      await server.listen();
      await use(server.resolvedUrls!.local[0]!);
      await server.close();
    },
    { scope: "worker", timeout: 60_000 },
  ],
  browserWithGpu: [
    async ({}, use) => {
      const { browser } = await launch({});
      await use(browser);
      await browser.close();
    },
    { scope: "worker", timeout: 600_000 },
  ],
  harness: [
    async ({ address, browserWithGpu }, use) => {
      const page = await browserWithGpu.newPage();
      page.on("pageerror", (error) => console.log("page:", error.message));
      await page.goto(`${address}test/harness.html`);
      await page.waitForFunction(() => "harness" in globalThis);
      await use(page);
      await page.close();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  call: [
    async ({ harness }, use) => {
      const call = (name: string, ...args: unknown[]) =>
        harness.evaluate(
          ([name, args]) =>
            (globalThis as unknown as { harness: Record<string, (...a: unknown[]) => unknown> }).harness[name]!(
              ...args,
            ),
          [name, args] as const,
        );
      await use(call as Call);
    },
    { scope: "worker" },
  ],
});
