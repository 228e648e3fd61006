// Runs a kernel on the CPU in lockstep (wgsl_reflect) and reports data races. No GPU needed.
// Known faults of the interpreter are listed in docs/kernels.md; numbers are judged on real devices only.
import { detectRaces } from "wgsl_reflect/wgsl_reflect.module.js";
import { packParams } from "../../src/gpu/kernel.ts";
import { withTiles } from "../../src/gpu/specialise.ts";
import type { KernelCase, KernelSpec } from "./spec.ts";

/** Overrides become constants: the interpreter cannot size workgroup arrays by an override. */
function bake(code: string, constants: Readonly<Record<string, number>>): string {
  return code.replace(/^override (\w+)\s*:\s*(\w+)\s*=\s*[^;]+;/gm, (line, name: string, type: string) =>
    name in constants
      ? `const ${name}: ${type} = ${constants[name]}${type === "u32" ? "u" : ""};`
      : line.replace("override", "const"),
  );
}

/**
 * A quad of lanes as threads that get their own value from each other: what they compute is wrong, which memory they
 * touch is not (no address of ours depends on what a quad function gives back). The interpreter has no such functions.
 */
const alone = (code: string): string =>
  code
    .replace(/^enable subgroups;/m, "")
    .replace("@builtin(subgroup_invocation_id)", "@builtin(local_invocation_index)")
    .replace(/quadBroadcast\((\w+), \du\)/g, "$1")
    .replace(/quadSwap\w+\(/g, "(");

/** Race and interpreter errors of `test` (want: none). */
export function races({ kernel }: KernelSpec, test: KernelCase, code: string = kernel.code): string[] {
  const values = test.constants as Readonly<Record<string, number>>;
  const text = bake(withTiles({ ...kernel, code: alone(code) }, values), values);
  const group: Record<number, unknown> = {};
  for (const [name, { binding }] of Object.entries(kernel.bindings)) group[binding] = test.buffers[name]!.slice();
  if (kernel.params) {
    const view = new DataView(new ArrayBuffer(kernel.params.size));
    packParams(kernel, test.params as Record<string, number>, view, 0);
    group[kernel.params.binding] = { uniform: new Uint8Array(view.buffer) };
  }
  const found = detectRaces(text, kernel.name, [...test.grid], { 0: group });
  return [...found.races, ...found.errors].map((entry) => JSON.stringify(entry).slice(0, 300));
}
