// What a shader's text becomes before it is compiled: tile constants set, and for adapters without a GPU what spelled.ts does.
// Each rewrite throws where it finds nothing to rewrite.
import { assert } from "../errors.ts";

/** A shader's text and what of it may be rewritten. */
export interface Template {
  readonly name: string;
  readonly code: string;
  /** Constants `override NAME: u32 = …;` and their values in the text, which they keep: the pipeline is given others. */
  readonly overrides: Readonly<Record<string, number>>;
  /** Constants `const NAME: u32 = …;` and their values in the text. */
  readonly tiles: Readonly<Record<string, number>>;
}

/** Bytes of each binding whose length is to be fixed. */
export type Lengths = Readonly<Record<string, number>>;

/** The text that is compiled. */
export async function specialise(
  source: Template,
  constants: Readonly<Record<string, number>>,
  lengths: Lengths = {},
): Promise<string> {
  const text = withHalves(withTiles(source, constants), constants);
  if (!text.includes("// unrolled") && Object.keys(lengths).length === 0) return text;
  const { unrolled, withLengths } = await import("./spelled.ts");
  return withLengths(unrolled(text), lengths);
}

/** The shader text with `const NAME: u32 = …;` replaced for each tile constant given. */
export function withTiles(source: Template, constants: Readonly<Record<string, number>>): string {
  let text = source.code;
  for (const [name, value] of Object.entries(constants)) {
    if (name in source.overrides) continue;
    const tile = new RegExp(`^const ${name}\\s*:\\s*u32\\s*=\\s*\\d+u?\\s*;`, "m");
    const isTile = name in source.tiles && tile.test(text);
    assert(isTile, `withTiles: kernel ${source.name}; got ${name}, want an override or "const ${name}: u32 = …;"`);
    text = text.replace(tile, `const ${name}: u32 = ${value};`);
  }
  return text;
}

// ---- f16 ----

/** With HALF, what a kernel keeps as `Staged`, and the numbers that it calls `Part`, are f16. */
export function withHalves(code: string, { HALF }: Readonly<Record<string, number>>): string {
  if (HALF !== 1) return code;
  const halved = code
    .replace(/\balias Staged ?= ?vec4f;/, "alias Staged = vec4<f16>;")
    .replace(/\balias Part ?= ?f32;/, "alias Part = f16;");
  assert(halved !== code, 'withHalves: got HALF 1, want a shader with "alias Staged = vec4f;"');
  return `enable f16;\n${halved}`;
}

// ---- lanes ----

/** The text of a kernel on subgroups, bound to those of LANES lanes: for adapters that can fix their size. */
export function withFixedLanes(source: Template, code: string): string {
  if (!("LANES" in source.tiles) || !code.includes("enable subgroups;")) return code;
  return code
    .replace("enable subgroups;", "enable subgroups;\nenable subgroup_size_control;")
    .replace(/@compute\b/, "@compute @subgroup_size(LANES)");
}
