// oxlint-disable no-empty-pattern -- Playwright reads the names of fixtures off the pattern
// The pages as the package has them: built, under a strict content security policy, without headers for isolation.
import { expect } from "playwright/test";
import { listen, POLICY } from "../../demo/server/built.mjs";
import { packaged } from "./package.ts";
import { test as base, type Visit } from "./visit.ts";

export const test = base.extend<object, { site: string }>({
  site: [
    async ({}, use) => {
      const server = await listen({ root: await packaged(), port: 0, middlewares: [] });
      await use(`http://localhost:${server.port}/`);
      await server.close();
    },
    { scope: "worker", timeout: 120_000 },
  ],
});

/** Opens a page; what it asks for from elsewhere, and what the policy refuses, are faults. */
export async function opened(visit: () => Promise<Visit>, address: string): Promise<Visit> {
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
