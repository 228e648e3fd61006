// Everything that the package exports says what it is. From the sources of what src/index.ts and the other entries export;
// `npm run docs:api` holds the rolled-up declarations to the same.
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "playwright/test";
import { declarationsOf, undocumented } from "../tools/package/docstrings.mjs";

const ENTRIES = ["src/index.ts", "src/recipes.ts", "src/ai-sdk/index.ts"];

/** Names that a file exports, and the files that it exports others' from, with which: null is all. */
function exportsOf(path: string): { from: string; names: string[] | null }[] {
  const text = readFileSync(path, "utf8");
  const lists = [...text.matchAll(/^export (?:type )?(?:\*|\{([^}]*)\}) from "(.*)";/gm)];
  return lists.map(([, names, from]) => ({
    from: join(dirname(path), from!),
    names: names?.split(",").map((name) => name.replace("type ", "").trim()) ?? null,
  }));
}

/** What lacks a docstring of what is exported by a file, itself or from others. */
function silentIn(path: string, names: string[] | null): string[] {
  const own = declarationsOf(readFileSync(path, "utf8")).filter(({ code }) => code.startsWith("export "));
  const wanted = own.filter(({ name }) => names === null || names.includes(name));
  const passed = names === null ? exportsOf(path) : [];
  return [...undocumented(wanted), ...passed.flatMap((each) => silentIn(each.from, each.names))];
}

test("every exported name and every member of it has a docstring", () => {
  for (const entry of ENTRIES) expect(silentIn(entry, null)).toEqual([]);
});

test("the rule can fail: a name, a member, a method; overloads share theirs", () => {
  const text = `export interface A {
  /** x */
  a: number;
  b?: string;
  readonly c: () => void;
  d(x: number): void;
  /** All forms. */
  e(x: number): void;
  e(x: string): void;
}
/** B */
export type B = { c: number };
/**
 * Several
 * lines
 */
export declare function f(): void;
export async function g() {}
`;
  expect(undocumented(declarationsOf(text))).toEqual(["A", "A.b", "A.c", "A.d", "g"]);
});
