// dist/*.d.ts: the compiler's declarations rolled up, one file for each entry. Other tools that do this need TypeScript's API,
// which version 7 does not have; this one reads declarations by itself.
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
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

/**
 * Types that compilers of several years know under different terms. Before TypeScript 5.7 a Uint8Array has no parameter; what
 * encode() gives is the same type in every version. GPUDevice is in the DOM library since version 6, in @webgpu/types before,
 * and the two contradict each other: the declarations take what there is.
 */
const TERMS = [
  ["Uint8Array<ArrayBuffer>", "Bytes", 'ReturnType<TextEncoder["encode"]>'],
  ["GPUDevice", "Device", "typeof globalThis extends { GPUDevice: { prototype: infer D } } ? D : object"],
];

function forAnyCompiler(text) {
  const used = TERMS.filter(([term]) => text.includes(term));
  const named = used.reduce((changed, [term, name]) => changed.replaceAll(term, name), text);
  return used.map(([, name, type]) => `type ${name} = ${type};\n`).join("") + named;
}

const folder = mkdtempSync(join(tmpdir(), "longprompt-types-"));
try {
  emit(folder);
  for (const [name, path] of Object.entries(ENTRIES)) {
    const input = join(folder, path.replace(/^src\/(.*)\.ts$/, "$1.d.ts"));
    const bundle = await rolldown({
      input: { [name]: input },
      plugins: [dts({ dtsOnly: true, oxc: true, tsconfig: false })],
    });
    const { output } = await bundle.generate({ entryFileNames: "[name].d.ts" });
    writeFileSync(join(ROOT, "dist", `${name}.d.ts`), forAnyCompiler(output[0].code));
  }
} finally {
  rmSync(folder, { recursive: true });
}
