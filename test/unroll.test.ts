// Loops of a shader spelled out (src/gpu/unroll.ts): text to text. Plain Node, no GPU.
import { expect, test } from "playwright/test";
import { withTiles } from "../src/gpu/kernel.ts";
import * as kernels from "../src/gpu/kernels.gen.ts";
import { unrolled } from "../src/gpu/unroll.ts";

const loop = (bound: string, body = "f(i);") => `for (var i = 0u; i < ${bound}; i++) { ${body} }  // unrolled`;
const times = (count: number) => Array.from({ length: count }, (_, i) => `{ f(${i}u); }`).join(" ");

test("bodies follow each other on the line of the loop", () => {
  expect(unrolled(`a;\n  ${loop("3u")}\nb;`)).toBe("a;\n  { f(0u); } { f(1u); } { f(2u); }  // unrolled\nb;");
  expect(unrolled(loop("0u"))).toBe("  // unrolled");
});

test("other loops stay", () => {
  const code = "for (var i = 0u; i < 3u; i++) { f(i); }\n// unrolled loops below";
  expect(unrolled(code)).toBe(code);
});

test("the variable is a whole word and no member", () => {
  const body = "in[i].i = i + ii + x_i * i4;";
  expect(unrolled(loop("2u", body))).toContain("{ in[1u].i = 1u + ii + x_i * i4; }");
});

test("bounds are constants of the file, worked out", () => {
  const code = [
    "const E: u32 = 72;  // width",
    "const BITS: u32 = 8u;",
    "const WORDS = E / (32u / BITS);",
    "const SPAN    = 8u / BITS;",
    "const COLUMNS = (WORDS + 3u) / 4u * SPAN;",
    "",
  ].join("\n");
  const after = (bound: string) => unrolled(code + loop(bound)).slice(code.length);
  expect(after("E / 24u")).toBe(`${times(3)}  // unrolled`);
  expect(after("COLUMNS")).toBe(`${times(5)}  // unrolled`);
  expect(after("1u + 2u * (SPAN + 1u)")).toBe(`${times(5)}  // unrolled`);
  expect(after("min(4u, COLUMNS / (SPAN + 1u))")).toBe(`${times(2)}  // unrolled`);
  expect(after("min(E, 1u + SPAN * 2u)")).toBe(`${times(3)}  // unrolled`);
});

test("tile constants count before", () => {
  const code = `const R: u32 = 3;\n${loop("R")}`;
  const source = { ...kernels.attn_decode_regs, code };
  expect(unrolled(withTiles(source, { R: 2 }))).toBe(`const R: u32 = 2;\n${times(2)}  // unrolled`);
});

test("nested loops, braces in bodies", () => {
  const inner = "for (var c = 0u; c < 2u; c++) { if (c < i) { g(i, c); } }";
  expect(unrolled(loop("2u", inner))).toBe(
    "{ { if (0u < 0u) { g(0u, 0u); } } { if (1u < 0u) { g(0u, 1u); } } } " +
      "{ { if (0u < 1u) { g(1u, 0u); } } { if (1u < 1u) { g(1u, 1u); } } }  // unrolled",
  );
});

test("what cannot be spelled out is refused", () => {
  expect(() => unrolled(loop("UNKNOWN"))).toThrow("no constant UNKNOWN");
  expect(() => unrolled(loop("count"))).toThrow("no constant of u32");
  expect(() => unrolled(loop("3u - 1u"))).toThrow("no constant of u32");
  expect(() => unrolled("for (var i = 1u; i < 3u; i++) { f(i); }  // unrolled")).toThrow("not a loop");
  expect(() => unrolled("for (var i = 0u; i < 3u; i++) {  // unrolled")).toThrow("not a loop");
});

test("every marked loop of the kernels is spelled out", () => {
  for (const kernel of Object.values(kernels)) {
    expect(unrolled(kernel.code), kernel.name).not.toMatch(/for \(.*\/\/ unrolled$/m);
  }
});
