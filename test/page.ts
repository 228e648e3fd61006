// oxlint-disable no-empty-pattern -- Playwright reads the names of fixtures off the pattern
// A browser with WebGPU and the harness page in it, once per worker.
import { fileURLToPath } from "node:url";
import { test as base } from "playwright/test";
import type { Browser, Page } from "playwright";
import { createServer } from "vite";
import { launch } from "../demo/server/browser.mjs";
import { modelFiles } from "../demo/server/files.mjs";
import type { Harness } from "./harness.ts";
import { MODEL_FOLDERS } from "./material.ts";
import { Silence } from "./silence.ts";

const root = fileURLToPath(new URL("..", import.meta.url));

export type Call = <K extends keyof Harness>(
  name: K,
  ...args: Parameters<Harness[K]>
) => Promise<Awaited<ReturnType<Harness[K]>>>;

interface Fixtures {
  /** Address of the test server: the repository at /, models below /test-models/. */
  address: string;
  browserWithGpu: Browser;
  harness: Page;
  /** Hears what the harness page reports. */
  silence: Silence;
  /** Calls a function of test/harness.ts in the page. Fails when the page reports no progress for a minute. */
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
        optimizeDeps: { include: ["idb-keyval"], noDiscovery: true },
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
  silence: [async ({}, use) => use(new Silence()), { scope: "worker" }],
  harness: [
    async ({ address, browserWithGpu, silence }, use) => {
      const page = await browserWithGpu.newPage();
      await page.exposeFunction("heard", (what: string) => silence.heard(what));
      page.on("pageerror", (error) => console.log("page:", error.message));
      await page.goto(`${address}test/harness.html`);
      await page.waitForFunction(() => "harness" in globalThis);
      await use(page);
      await page.close();
    },
    { scope: "worker", timeout: 120_000 },
  ],
  call: [
    async ({ harness, silence }, use) => {
      const call = (name: string, ...args: unknown[]) => {
        const reply = harness.evaluate(
          ([name, args]) =>
            (globalThis as unknown as { harness: Record<string, (...a: unknown[]) => unknown> }).harness[name]!(
              ...args,
            ),
          [name, args] as const,
        );
        return silence.guard([name, args[0]].join(" "), reply);
      };
      await use(call as Call);
    },
    { scope: "worker" },
  ],
});
