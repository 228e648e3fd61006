// The package as npm gets it: pages built once per run, commands beside them. Commands start in half the time that Vite's
// development server takes to transform every source for each.
import { execFileSync } from "node:child_process";
import { cpSync, existsSync, mkdirSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../..", import.meta.url));

/** Playwright empties its results as a run begins. */
const FOLDER = join(root, "test/results/package");
const DONE = join(FOLDER, "done");

/** Whether this process is the one that builds. */
function claims(): boolean {
  mkdirSync(dirname(FOLDER), { recursive: true });
  try {
    mkdirSync(FOLDER);
    return true;
  } catch {
    return false;
  }
}

function build(): void {
  const vite = join(root, "node_modules/vite/bin/vite.js");
  const args = ["build", "--mode", "demo", "--logLevel", "error", "--outDir", join(FOLDER, "dist-demo")];
  execFileSync(process.execPath, [vite, ...args], { cwd: root });
  cpSync(join(root, "demo/server"), join(FOLDER, "demo/server"), { recursive: true });
  cpSync(join(root, "package.json"), join(FOLDER, "package.json"));
  writeFileSync(DONE, "");
}

/** Its folder, once it is there. */
export async function packaged(limitMs = 120_000): Promise<string> {
  if (!existsSync(DONE) && claims()) build();
  const until = performance.now() + limitMs;
  while (!existsSync(DONE)) {
    if (performance.now() > until) throw new Error(`package: ${FOLDER} was not built; see the other worker's error.`);
    await new Promise((resolve) => setTimeout(resolve, 100));
  }
  return FOLDER;
}
