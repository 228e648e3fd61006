// For builds: shaders without comments and spaces, and their descriptions in few bytes. The modules that `generate.mjs` wrote
// are replaced by smaller ones with the same exports.
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
  const index = [
    ...[...packs.keys()].map((pack) => `export * from "./kernels.gen.ts?${pack}";`),
    `import { ${members.map(({ name }) => name)} } from "./kernels.gen.ts?main";`,
    `export const families = { ${objects} };`,
    `export const structs = ${JSON.stringify(structsOf(kernels))};`,
  ];
  const descriptions = [...packs].map(([pack, own]) => [`?${pack}`, own.map(compactKernel).join("\n")]);
  return { "": index.join("\n"), ...Object.fromEntries(descriptions) };
}

const compactKernel = (kernel) =>
  `export const ${kernel.name} = /*#__PURE__*/ decoded(${JSON.stringify(encoded(description(kernel)))});`;

/** Vite plugin. */
export function smallShaders() {
  const files = readShaders();
  const kernels = kernelsOf(files);
  const packs = packTexts(files, kernels, minify);
  const modules = compactKernels(kernels);
  return {
    name: "longprompt-shaders",
    apply: "build",
    enforce: "pre",
    resolveId(id, from) {
      if (id.startsWith("./kernels.gen.ts?")) return from + id.slice("./kernels.gen.ts".length);
    },
    load(id) {
      const [, pack] = /\/src\/gpu\/packs\/(\w+)\.gen\.ts$/.exec(id) ?? [];
      if (pack) return packs[pack];
      const [, part] = /\/src\/gpu\/kernels\.gen\.ts(.*)$/.exec(id) ?? [];
      return part === undefined ? undefined : `import { decoded } from ${JSON.stringify(COMPACT)};\n${modules[part]}`;
    },
  };
}
