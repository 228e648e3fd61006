// dist/*.d.ts: the compiler's declarations rolled up, one file for each entry. Other tools that do this need TypeScript's API,
// which version 7 does not have; this one reads declarations by itself.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { rolldown } from "rolldown";
import { dts } from "rolldown-plugin-dts";
import { ENTRIES, ROOT } from "./build.mjs";

const FLAGS = "--declaration --emitDeclarationOnly --noEmit false";

/** Declarations of all entries and what they import, file by file. */
function emit(folder) {
  const compiler = join(ROOT, "node_modules/typescript/bin/tsc");
  const project = ["--project", join(ROOT, "tools/package/tsconfig.json")];
  const args = [compiler, ...project, ...FLAGS.split(" "), "--outDir", folder];
  execFileSync(process.execPath, args, { cwd: ROOT, stdio: "inherit" });
}

const folder = mkdtempSync(join(tmpdir(), "longprompt-types-"));
try {
  emit(folder);
  for (const [name, path] of Object.entries(ENTRIES)) {
    const input = join(folder, path.replace(/^src\/(.*)\.ts$/, "$1.d.ts"));
    const bundle = await rolldown({
      input: { [name]: input },
      plugins: [dts({ dtsOnly: true, generator: "oxc", tsconfig: false })],
    });
    const banner = '/// <reference types="@webgpu/types" />';
    await bundle.write({ dir: join(ROOT, "dist"), entryFileNames: "[name].d.ts", banner });
  }
} finally {
  rmSync(folder, { recursive: true });
}
