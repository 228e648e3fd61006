// For builds: shaders without comments and spaces, and their descriptions in few bytes. The modules that `generate.mjs` wrote
// are replaced by smaller ones with the same exports.
import { dirname, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { encoded } from "./compact.mjs";
import { description, packTexts } from "./generate.mjs";
import { minify } from "./minify.mjs";
import { familiesOf, kernelsOf, readShaders, structsOf } from "./read.mjs";

const COMPACT = fileURLToPath(new URL("compact.mjs", import.meta.url));

/** What takes the place of src/gpu/kernels.gen.ts. Kernels of a family are there from the start, others come with what uses them. */
export function compactKernels(kernels) {
  const families = familiesOf(kernels);
  const members = Object.values(families).flat();
  const packs = new Map();
  for (const kernel of kernels) {
    const pack = members.includes(kernel) ? "main" : kernel.pack;
    packs.set(pack, [...(packs.get(pack) ?? []), kernel]);
  }
  const objects = Object.entries(families).map(([family, all]) => `${family}: { ${all.map(({ name }) => name)} }`);
  const shared = [
    `import { ${members.map(({ name }) => name)} } from "./kernels.gen.ts?main";`,
    `export const families = { ${objects} };`,
    `export const structs = ${JSON.stringify(structsOf(kernels))};`,
  ];
  const descriptions = [...packs].map(([pack, own]) => [`?${pack}`, own.map(compactKernel).join("\n")]);
  const parts = { ...Object.fromEntries(descriptions), "?shared": shared.join("\n") };
  const index = Object.keys(parts).map((part) => `export * from "./kernels.gen.ts${part}";`);
  return { "": index.join("\n"), ...parts };
}

const compactKernel = (kernel) =>
  `export const ${kernel.name} = /*#__PURE__*/ decoded(${JSON.stringify(encoded(description(kernel)))});`;

const IMPORT = /import \{([^}]*)\} from "([./\w]*kernels\.gen\.ts)";/g;

/** A module's text whose imports of kernels lead to the part that each lies in: what reaches one part reaches no other. */
export const importParts = (code, partOf) =>
  code.replace(IMPORT, (_, list, file) => {
    const names = list.split(",").map((name) => name.trim());
    const parts = [...new Set(names.filter(Boolean).map(partOf))];
    const from = (part) => names.filter((name) => name && partOf(name) === part).join(", ");
    return parts.map((part) => `import { ${from(part)} } from "${file}${part}";`).join(" ");
  });

/** Vite plugin. */
export function smallShaders() {
  const files = readShaders();
  const kernels = kernelsOf(files);
  const packs = packTexts(files, kernels, minify);
  const modules = compactKernels(kernels);
  const partOf = (name) =>
    Object.keys(modules).find((part) => part && modules[part].includes(`export const ${name} =`)) ?? "";
  return {
    name: "longprompt-shaders",
    apply: "build",
    enforce: "pre",
    resolveId(id, from) {
      const [, file, part] = /^(.*kernels\.gen\.ts)(\?\w+)$/.exec(id) ?? [];
      if (!part) return;
      return resolve(dirname(from), file) + part;
    },
    transform(code, id) {
      if (/\/src\/.*\.ts$/.test(id) && !id.includes("kernels.gen.ts"))
        return { code: importParts(code, partOf), map: null };
    },
    load(id) {
      const [, pack] = /\/src\/gpu\/packs\/(\w+)\.gen\.ts$/.exec(id) ?? [];
      if (pack) return packs[pack];
      const [, part] = /\/src\/gpu\/kernels\.gen\.ts(.*)$/.exec(id) ?? [];
      return part === undefined ? undefined : `import { decoded } from ${JSON.stringify(COMPACT)};\n${modules[part]}`;
    },
  };
}
