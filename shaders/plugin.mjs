// For builds: shaders without comments and spaces, and their descriptions in few bytes. The modules that `generate.mjs` wrote
// are replaced by smaller ones with the same exports.
import { decoded, encoded } from "./compact.mjs";
import { description, packTexts } from "./generate.mjs";
import { minify } from "./minify.mjs";
import { familiesOf, kernelsOf, readShaders, structsOf } from "./read.mjs";

/** What takes the place of src/gpu/kernels.gen.ts. */
export function compactKernels(kernels) {
  const sources = kernels.map(
    (kernel) => `export const ${kernel.name} = /*#__PURE__*/ decoded(${JSON.stringify(encoded(description(kernel)))});`,
  );
  const families = Object.entries(familiesOf(kernels)).map(
    ([family, members]) => `${family}: { ${members.map(({ name }) => name).join(", ")} }`,
  );
  return [
    decoded.toString(),
    ...sources,
    `export const families = { ${families.join(", ")} };`,
    `export const structs = ${JSON.stringify(structsOf(kernels))};`,
  ].join("\n");
}

/** Vite plugin. */
export function smallShaders() {
  const files = readShaders();
  const kernels = kernelsOf(files);
  const packs = packTexts(files, kernels, minify);
  return {
    name: "longprompt-shaders",
    apply: "build",
    load(id) {
      if (id.endsWith("/src/gpu/kernels.gen.ts")) return compactKernels(kernels);
      const [, pack] = /\/src\/gpu\/packs\/(\w+)\.gen\.ts$/.exec(id) ?? [];
      return pack && packs[pack];
    },
  };
}
