// What a build makes of shaders: shaders/minify.mjs, shaders/compact.mjs. Plain Node, no GPU; `node test/native.mjs --small`
// runs the kernels' own tests on such texts.
import { expect, test } from "playwright/test";
import { decoded, encoded } from "../shaders/compact.mjs";
import { minify } from "../shaders/minify.mjs";
import { compactKernels } from "../shaders/plugin.mjs";
import { describe, fileText, kernelsOf, readShaders } from "../shaders/read.mjs";
import type { KernelSource } from "../src/gpu/kernel.ts";
import * as generated from "../src/gpu/kernels.gen.ts";
import { unrolled, withLengths } from "../src/gpu/spelled.ts";

const files = readShaders();
const kernels = kernelsOf(files);
const minified = (paths: readonly string[]) => `${paths.map((path) => minify(fileText(files, path))).join("\n\n")}\n`;

test("comments and spaces go, operators stay apart", () => {
  expect(
    minify("// header\nconst A: u32 = 4;  // why\n\nfn f(x: f32) -> f32 {\n  return x - -1.0;  // sign\n}\n"),
  ).toBe("const A:u32=4;\nfn f(x:f32)->f32{return x- -1.0;}");
  expect(minify("fn g() {\n  let y = a / *p;\n  let z =\n    y;\n}")).toBe("fn g(){let y=a/ *p;let z=y;}");
  expect(minify("@compute @workgroup_size(8)\nfn h() {}")).toBe("@compute@workgroup_size(8)\nfn h(){}");
});

test("a marked loop keeps a line of its own", () => {
  const text = "fn f() {\n  a();\n  for (var i = 0u; i < N; i++) { b(i); }  // unrolled\n  c();\n}";
  expect(minify(text)).toBe("fn f(){a();\nfor(var i=0u;i<N;i++){b(i);}// unrolled\nc();}");
  expect(unrolled(minify(`const N = 2u;\n${text}`))).toContain("\n{b(0u);} {b(1u);}// unrolled\n");
});

test("the text says the same: entry, bindings, parameters, overrides, tile constants", () => {
  for (const { name, files: paths, source, structs } of kernels) {
    const small = describe(name, { code: minified(paths), snippets: source.snippets });
    expect({ ...small.source, code: "" }, name).toEqual({ ...source, code: "" });
    expect(small.structs, name).toEqual(structs);
  }
});

test("the text is spelled out to the same, and its arrays get their length", () => {
  const bare = (code: string) => minify(code).replace(/\s/g, "").replaceAll("//unrolled", "");
  for (const { name, files: paths, source } of kernels) {
    expect(bare(unrolled(minified(paths))), name).toBe(bare(unrolled(source.code)));
    const lengths = Object.fromEntries(Object.keys(source.bindings).map((binding) => [binding, 4096]));
    expect(bare(withLengths(minified(paths), lengths)), name).toBe(bare(withLengths(source.code, lengths)));
  }
});

test("a description in few bytes is the description", async () => {
  const { "": _, ...parts } = compactKernels(kernels);
  const lines = [`const decoded = ${decoded.toString()};`, ...Object.values(parts)];
  const built = (await import(
    `data:text/javascript,${encodeURIComponent(lines.join("\n").replace(/^import .*$/gm, ""))}`
  )) as object;
  expect({ ...built }).toEqual({ ...generated });
  const source: KernelSource = generated.adamw;
  expect(decoded(encoded(source))).toEqual(source);
  const gap = { ...source, bindings: { x: { binding: 3, type: "storage" as const } } };
  expect(() => encoded(gap)).toThrow("adamw.wgsl: its description cannot be written");
});
