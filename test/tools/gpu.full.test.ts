// The programs of the pack, run here at a size that a CPU can do: SwiftShader beside Chromium stands for a Vulkan driver.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import type { Report } from "../../tools/gpu/results.ts";

const folder = mkdtempSync(join(tmpdir(), "longprompt-gpu-"));
const driver = ["/usr/lib/chromium", "/opt/google/chrome"].find((at) => existsSync(`${at}/vk_swiftshader_icd.json`));

test("the pack's programs measure a toy model, check kernels and golden tokens, and write a report", () => {
  test.skip(!driver, "no SwiftShader beside an installed Chromium");
  execFileSync(process.execPath, ["tools/gpu/pack.mjs", "--parts", "--out", folder]);
  const out = join(folder, "bench");
  const vulkan = { LD_LIBRARY_PATH: driver!, VK_ICD_FILENAMES: `${driver}/vk_swiftshader_icd.json` };
  const program = [join(folder, "longprompt-gpu/main.mjs"), "--tiny", "--seconds", "400", "--out", out];
  const run = spawnSync(process.execPath, program, { env: { ...process.env, ...vulkan }, encoding: "utf8" });
  expect(run.status, run.stderr).toBe(0);
  const [name] = readdirSync(out).filter((file) => file.endsWith(".json"));
  const report = JSON.parse(readFileSync(join(out, name!), "utf8")) as Report;
  expect(report.skipped).toEqual([]);
  expect(report.machine!.software).toBe(true);
  expect(report.golden.length).toBeGreaterThan(0);
  expect(report.golden.filter(({ ok }) => !ok)).toEqual([]);
  expect(report.kernels).toEqual({ passed: 2, failed: [], lacking: [] });
  expect(report.models.map(({ recipe, rows }) => [recipe, rows.length])).toEqual(
    ["f16", "swiftkv=half", "kivi:bits=4", "shadow"].map((recipe) => [recipe, 2]),
  );
  expect(report.models[0]!.kernels.map(({ phase }) => phase)).toEqual(["prefill", "decode"]);
});
