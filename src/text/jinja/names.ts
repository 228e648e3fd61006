// Names that a template reads before it makes them: what it can be given.
import { GLOBALS } from "./globals.ts";
import type { Body } from "./nodes.ts";

/**
 * In the order in which they first come. A name with a default of the template's own is among them, as in
 * `{% if thinking is not defined %}{% set thinking = true %}{% endif %}`.
 */
export function freeNames(body: Body): string[] {
  const names: Names = { free: new Set(), own: new Set(["loop", "caller", "varargs", "kwargs", ...GLOBALS.keys()]) };
  visit(body, names);
  return [...names.free];
}

interface Names {
  free: Set<string>;
  own: Set<string>;
}

/** Any part of the tree, in the order of the text. */
function visit(part: unknown, names: Names): void {
  if (Array.isArray(part)) for (const each of part) visit(each, names);
  else if (typeof part === "object" && part !== null) visitNode(part as Record<string, unknown>, names);
}

/** What a statement assigns is read before it is assigned to, and what it assigns to is known in its body. */
function visitNode(node: Record<string, unknown>, names: Names): void {
  const { kind, name, target, value, over, parameters, variables, ...others } = node;
  if (kind === "constant") return;
  if (kind === "name" && !names.own.has(name as string)) names.free.add(name as string);
  if (kind === "macro") names.own.add(name as string);
  visit([value, over], names);
  take(target, names);
  for (const [variable, given] of (variables ?? []) as [unknown, unknown][]) {
    visit(given, names);
    take(variable, names);
  }
  for (const { name: parameter, otherwise } of (parameters ?? []) as { name: string; otherwise: unknown }[]) {
    names.own.add(parameter);
    visit(otherwise, names);
  }
  visit(Object.values(others), names);
}

/** A target: a name, several, or a field of a namespace, which the template has made before. */
function take(target: unknown, names: Names): void {
  if (typeof target !== "object" || target === null) return;
  const { kind, name, targets } = target as { kind: string; name?: string; targets?: unknown[] };
  if (kind === "name") names.own.add(name!);
  for (const each of targets ?? []) take(each, names);
}
