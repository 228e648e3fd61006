import { defineConfig } from "playwright/test";

// Tests named *.full.test.ts take minutes and run in `npm run test:full` only.
export default defineConfig({
  testDir: "test",
  testMatch: "**/*.test.ts",
  outputDir: "test/results",
  reporter: "./test/reporter.ts",
  workers: 1,
  forbidOnly: true,
  timeout: 300_000,
  projects: [
    { name: "ci", testIgnore: "**/*.full.test.ts" },
    { name: "full", testMatch: "**/*.full.test.ts", timeout: 1_800_000 },
  ],
});
