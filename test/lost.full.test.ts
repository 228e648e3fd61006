// Devices that go away at random points, by destroy() and with the browser's GPU process: the same tokens as undisturbed.
import { readdirSync, readFileSync } from "node:fs";
import { expect } from "playwright/test";
import { chromium, type Page } from "playwright";
import { findBrowser } from "../demo/server/browser.mjs";
import { random } from "./kernels/spec.ts";
import type { Outlasted, Point } from "./lost.ts";
import { makeCheckpoint, readGolden } from "./golden/checkpoint.ts";
import { toFiles } from "./golden/folder.ts";
import { serveFolders, source, testWith } from "./golden/serve.ts";
import { Silence } from "./silence.ts";

const { prompt } = readGolden("llama3");
const PROMPTS = [{ tokens: [...prompt, ...prompt].slice(0, 60) }, { tokens: prompt.slice(0, 20) }] as const;
const OPTIONS = { tune: "off", kv: "f32", context: 128, chunk: 8 } as const;
const make = (name: string) => toFiles(makeCheckpoint(name), readGolden(name).dtype);
const test = testWith(make);

type LostAt = (point: Point | null) => Promise<Outlasted>;

const PHASES = ["load", "prefill", "decode", "save", "idle"] as const;

/** At random reports and delays. */
function pointsIn(phase: Point["phase"], count: number, { counts }: Outlasted): Point[] {
  const uniform = random(PHASES.indexOf(phase));
  return Array.from({ length: count }, () => {
    const first = phase === "load" ? 1 : 0; // with the first report there is no device yet
    const at = first + Math.floor(uniform() * (counts[phase] - first));
    return { phase, at, delay: Math.floor(uniform() * 30) };
  });
}

async function expectOutlasted(lostAt: LostAt, phase: Point["phase"]) {
  const undisturbed = await lostAt(null);
  expect([undisturbed.losses, undisturbed.events]).toEqual([0, []]);
  for (const point of pointsIn(phase, 5, undisturbed)) {
    const { tokens, losses, events } = await lostAt(point);
    console.log(`       ${JSON.stringify(point)}: ${events.join(", ")}`);
    expect(tokens, JSON.stringify(point)).toEqual(undisturbed.tokens);
    expect(losses, JSON.stringify(point)).toBe(1);
    expect(events[0], JSON.stringify(point)).toBe("device-lost");
    expect(events).not.toContain("device-failed");
  }
}

for (const phase of PHASES) {
  test(`5 devices that are destroyed at random points: ${phase}`, async ({ call }) => {
    await expectOutlasted((point) => call("lostAt", source("llama3"), PROMPTS, OPTIONS, point, "destroy"), phase);
  });
}

/** Process ids below `pid`, with their command lines. */
function processesBelow(pid: number): { pid: number; command: string }[] {
  const all = readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .flatMap((name) => {
      try {
        const stat = readFileSync(`/proc/${name}/stat`, "utf8");
        const parent = Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
        return [{ pid: Number(name), parent, command: readFileSync(`/proc/${name}/cmdline`, "utf8") }];
      } catch {
        return []; // it has ended meanwhile
      }
    });
  const below = (from: number): typeof all =>
    all.filter(({ parent }) => parent === from).flatMap((each) => [each, ...below(each.pid)]);
  return below(pid);
}

type Call = <T>(name: "lostAt" | "killedForGood", ...args: unknown[]) => Promise<T>;

/** A browser of its own, with a page that can end its GPU process. */
async function withKillable(address: string, flags: readonly string[], work: (call: Call) => Promise<void>) {
  const { executablePath, args } = await findBrowser({});
  const server = await chromium.launchServer({ executablePath, args: [...args, ...flags] });
  try {
    const browser = await chromium.connect(server.wsEndpoint());
    const page = await browser.newPage();
    const silence = new Silence();
    await page.exposeFunction("heard", (what: string) => silence.heard(what));
    await page.exposeFunction("killGpu", () => {
      const gpu = processesBelow(server.process().pid!).find(({ command }) => command.includes("--type=gpu-process"));
      process.kill(gpu!.pid, "SIGKILL");
    });
    await serveFolders(page, make);
    await page.goto(`${address}test/harness.html`);
    await page.waitForFunction(() => "harness" in globalThis);
    await work((name, ...args) => silence.guard(name, callIn(page, name, args)));
  } finally {
    await server.close();
  }
}

const callIn = <T>(page: Page, name: string, args: unknown[]): Promise<T> =>
  page.evaluate(
    ([name, args]) =>
      (globalThis as unknown as { harness: Record<string, (...a: unknown[]) => Promise<T>> }).harness[name]!(...args),
    [name, args] as const,
  );

test.describe("the GPU process", () => {
  test.skip(process.platform !== "linux", "finds the process in /proc");

  for (const phase of PHASES) {
    test(`5 GPU processes that are killed at random points: ${phase}`, async ({ address }) => {
      // Chromium gives up WebGPU after some crashes of its GPU process, unless it is told not to count them.
      const flags = ["--disable-gpu-process-crash-limit", "--disable-domain-blocking-for-3d-apis"];
      await withKillable(address, flags, (call) =>
        expectOutlasted((point) => call("lostAt", source("llama3"), PROMPTS, OPTIONS, point, "kill"), phase),
      );
    });
  }

  test("a browser that gives no adapter any more ends requests with that reason", async ({ address }) => {
    await withKillable(address, [], async (call) => {
      const given = [source("llama3"), PROMPTS[0], OPTIONS];
      const { outcomes, events } = await call<Record<"outcomes" | "events", string[]>>("killedForGood", ...given);
      expect(outcomes).toEqual(["fulfilled", "UnsupportedError"]);
      expect(events).toEqual(["device-lost", "device-renewed", "device-lost", "device-failed"]);
    });
  });
});
