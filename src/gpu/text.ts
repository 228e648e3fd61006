// A kernel's text: written out where the kernel is, or joined of the files of shaders/, which come in packs. `main` is there
// from the start; the others are fetched where the first of their kernels is compiled.
import { assert } from "../errors.ts";
import { texts as main } from "./packs/main.gen.ts";

type Texts = Readonly<Record<string, string>>;

const PACKS = {
  main: async () => ({ texts: {} as Texts }),
  blocks: () => import("./packs/blocks.gen.ts"),
  cpu: () => import("./packs/cpu.gen.ts"),
  gpu: () => import("./packs/gpu.gen.ts"),
  int8: () => import("./packs/int8.gen.ts"),
  kv: () => import("./packs/kv.gen.ts"),
  matrix: () => import("./packs/matrix.gen.ts"),
  peak: () => import("./packs/peak.gen.ts"),
  sampling: () => import("./packs/sampling.gen.ts"),
  spare: () => import("./packs/spare.gen.ts"),
  students: () => import("./packs/students.gen.ts"),
  tiles: () => import("./packs/tiles.gen.ts"),
  vision: () => import("./packs/vision.gen.ts"),
};

/** Files of shaders/ by name, without .wgsl, or texts that stand in for them, in order. */
export interface Joined {
  readonly pack: keyof typeof PACKS;
  readonly files: readonly (string | { readonly text: string })[];
}

export type Code = string | Joined;

/** The whole text of a kernel. */
export async function textOf({ code }: { readonly code: Code }): Promise<string> {
  if (typeof code === "string") return code;
  const { texts } = await PACKS[code.pack]();
  const parts = code.files.map((file) => (typeof file === "string" ? (main[file] ?? texts[file]) : file.text));
  return `${parts.join("\n\n")}\n`;
}

/** A kernel, as far as its text goes. */
interface Written {
  readonly name: string;
  readonly code: Joined;
  /** Files that another text may stand in for, by the name of what they are. */
  readonly snippets: Readonly<Record<string, string>>;
}

/** A source whose text is no longer the one that was generated. */
export type Rewritten<S extends Written> = Omit<S, "code"> & { readonly code: Joined };

/** The kernel with `text` in place of its snippet `name`, e.g. how attn_decode reads another format of pages. */
export function withSnippet<S extends Written>(source: S, name: string, text: string): Rewritten<S> {
  const { pack, files } = source.code;
  const snippet = source.snippets[name];
  const known = Object.keys(source.snippets).join(", ") || "none";
  assert(snippet !== undefined, `withSnippet: kernel ${source.name}; got ${name}, want one of its snippets: ${known}`);
  assert(files.includes(snippet), `withSnippet: kernel ${source.name}; got ${name} a second time, want it once`);
  return { ...source, code: { pack, files: files.map((file) => (file === snippet ? { text } : file)) } };
}
