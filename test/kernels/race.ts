// Runs a kernel on the CPU in lockstep (wgsl_reflect) and reports data races. No GPU needed.
// Known faults of the interpreter are listed in docs/kernels.md; numbers are judged on real devices only.
import { withoutMatrices } from "../../shaders/matrices.mjs";
import { detectRaces } from "wgsl_reflect/wgsl_reflect.module.js";
import { packParams } from "../../src/gpu/kernel.ts";
import { withTiles } from "../../src/gpu/specialise.ts";
import { textOf } from "../../src/gpu/text.ts";
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

/** The interpreter sizes arrays while it reads: what sizes them comes first, also that of lib files, which lie behind. */
function constantsFirst(code: string): string {
  const lines = code.split("\n");
  const isConstant = (line: string) => /^(const|alias) .*;/.test(line);
  return [...lines.filter(isConstant), ...lines.filter((line) => !isConstant(line))].join("\n");
}

const ADDRESS = /^fn (\w+)\(([^)]+)\) -> u32 \{\s*return ([^;]*);\s*\}$/m;

/**
 * Functions that give an address by one expression, written out where they are called: the interpreter keeps what a call
 * gave in its syntax tree, where other invocations find it.
 */
function inlined(code: string): string {
  const found = code.match(ADDRESS);
  if (!found) return code;
  const [whole, name, parameters, value] = found as unknown as [string, string, string, string];
  const names = parameters.split(", ").map((parameter) => parameter.split(":")[0]!);
  let text = code.replace(whole, "");
  for (let call = callOf(text, name); call; call = callOf(text, name)) {
    const { from, to, args } = call;
    const word = new RegExp(`(?<![\\w.])(${names.join("|")})\\b`, "g");
    const written = value.replace(word, (parameter) => `(${args[names.indexOf(parameter)]})`);
    text = `${text.slice(0, from)}(${written})${text.slice(to)}`;
  }
  return inlined(text);
}

/** The first call of a function: its place and the text of its arguments. */
function callOf(code: string, name: string): { from: number; to: number; args: string[] } | null {
  const from = code.search(new RegExp(`(?<![\\w.])${name}\\(`));
  if (from < 0) return null;
  const args = [""];
  let depth = 1;
  let to = from + name.length + 1;
  for (; depth > 0; to++) {
    const letter = code[to]!;
    depth += "([".includes(letter) ? 1 : ")]".includes(letter) ? -1 : 0;
    if (letter === "," && depth === 1) args.push("");
    else if (depth > 0) args[args.length - 1] += letter;
  }
  return { from, to, args };
}

const entryOf = (code: string): string => /@compute[^{]*?fn (\w+)/.exec(code)![1]!;

/** Race and interpreter errors of `test` (want: none). */
export async function races({ kernel }: KernelSpec, test: KernelCase, given?: string): Promise<string[]> {
  const code = given ?? (await textOf(kernel));
  const values = test.constants as Readonly<Record<string, number>>;
  const text = constantsFirst(
    inlined(bake(withTiles({ ...kernel, code: alone(withoutMatrices(code)) }, values), values)),
  );
  const group: Record<number, unknown> = {};
  for (const [name, { binding }] of Object.entries(kernel.bindings)) group[binding] = test.buffers[name]!.slice();
  if (kernel.params) {
    const view = new DataView(new ArrayBuffer(kernel.params.size));
    packParams(kernel, test.params as Record<string, number>, view, 0);
    group[kernel.params.binding] = { uniform: new Uint8Array(view.buffer) };
  }
  const found = detectRaces(text, entryOf(text), [...test.grid], { 0: group });
  return [...found.races, ...found.errors].map((entry) => JSON.stringify(entry).slice(0, 300));
}
