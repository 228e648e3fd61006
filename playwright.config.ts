import { defineConfig } from "playwright/test";

// Tests named *.full.test.ts take minutes and run in `npm run test:full` only.
export default defineConfig({
  testDir: "test",
  testMatch: "**/*.test.ts",
  outputDir: "test/results",
  globalSetup: "./test/setup.ts",
  reporter: "./test/reporter.ts",
  workers: 2, // compiling for a software adapter, most of the time, keeps one core busy
  forbidOnly: true,
  timeout: 3_600_000, // the last resort: what counts is silence (test/silence.ts)
  projects: [
    { name: "ci", testIgnore: "**/*.full.test.ts" },
    { name: "full", testMatch: "**/*.full.test.ts" },
  ],
});
