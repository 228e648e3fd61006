// What a shader's text becomes before it is compiled (src/gpu/specialise.ts, spelled.ts): text to text. Plain Node, no GPU.
import { expect, test } from "playwright/test";
import { fixesLanes, offerOf } from "../src/gpu/offer.ts";
import { type Template, withFixedLanes, withTiles } from "../src/gpu/specialise.ts";
import { unrolled, withLengths } from "../src/gpu/spelled.ts";
import { textOf, withSnippet } from "../src/gpu/text.ts";
import { attn_decode } from "../src/gpu/kernels.gen.ts";
import { specs } from "./kernels/index.ts";

const template = (code: string, more: Partial<Template> = {}): Template => ({
  name: "some_kernel",
  code,
  overrides: {},
  tiles: {},
  ...more,
});

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
  const source = template(code, { tiles: { R: 3 } });
  expect(unrolled(withTiles(source, { R: 2 }))).toBe(`const R: u32 = 2;\n${times(2)}  // unrolled`);
});

test("a tile constant that the text does not have is refused, an override is left alone", () => {
  const source = template("override WG: u32 = 4;\nconst E: u32 = 64;\n", {
    overrides: { WG: 4 },
    tiles: { E: 64, R: 3 },
  });
  expect(withTiles(source, { WG: 8, E: 32 })).toBe("override WG: u32 = 4;\nconst E: u32 = 32;\n");
  expect(() => withTiles(source, { R: 2 })).toThrow("kernel some_kernel; got R, want an override or");
  expect(() => withTiles(source, { WIDTH: 2 })).toThrow("got WIDTH, want an override or");
});

test("arrays of numbers get their length; of structs and atomics they stay; other names are refused", () => {
  const declared = (type: string) => `@group(0) @binding(0) var<storage, read_write> x: ${type};`;
  expect(withLengths(declared("array<f32>"), { x: 20 })).toBe(declared("array<f32, 5>"));
  expect(withLengths(declared("array<vec3u>"), { x: 64 })).toBe(declared("array<vec3u, 4>"));
  expect(withLengths(declared("array<Settings>"), { x: 96 })).toBe(declared("array<Settings>"));
  expect(withLengths(declared("array<atomic<u32>>"), { x: 96 })).toBe(declared("array<atomic<u32>>"));
  expect(() => withLengths(declared("array<f32>"), { y: 20 })).toThrow("got y, want the name of a storage array");
});

test("a snippet is replaced where it stands, once", async () => {
  const snippets = { format: "lib/page" };
  const source = {
    name: "some_kernel",
    code: { pack: "main", files: ["lib/list", "lib/page", "lib/seen"] },
    snippets,
  } as const;
  const other = withSnippet(source, "format", "fn open() { $&(); }");
  expect(other).toEqual({
    ...source,
    code: { pack: "main", files: ["lib/list", { text: "fn open() { $&(); }" }, "lib/seen"] },
  });
  const page = (await textOf({ code: { pack: "main", files: ["lib/page"] } })).trimEnd();
  expect(page).toContain("fn pair_at");
  expect(await textOf(other)).toBe((await textOf(source)).replace(page, () => "fn open() { $&(); }"));
  expect(() => withSnippet(source, "tail", "")).toThrow("got tail, want one of its snippets: format");
  expect(() => withSnippet(other, "format", "")).toThrow("got format a second time, want it once");
});

test("nested loops, braces in bodies", () => {
  const inner = "for (var c = 0u; c < 2u; c++) { if (c < i) { g(i, c); } }";
  expect(unrolled(loop("2u", inner))).toBe(
    "{ { if (0u < 0u) { g(0u, 0u); } } { if (1u < 0u) { g(0u, 1u); } } } " +
      "{ { if (0u < 1u) { g(1u, 0u); } } { if (1u < 1u) { g(1u, 1u); } } }  // unrolled",
  );
});

test("bounds are worked out, terms from left to right", () => {
  expect(unrolled(loop("(7u - 1u) / 2u - 1u"))).toBe(unrolled(loop("2u")));
});

test("what cannot be spelled out is refused", () => {
  expect(() => unrolled(loop("UNKNOWN"))).toThrow("no constant UNKNOWN");
  expect(() => unrolled(loop("count"))).toThrow("no constant of u32");
  expect(() => unrolled(loop("3u % 2u"))).toThrow("no constant of u32");
  expect(() => unrolled("for (var i = 1u; i < 3u; i++) { f(i); }  // unrolled")).toThrow("not a loop");
  expect(() => unrolled("for (var i = 0u; i < 3u; i++) {  // unrolled")).toThrow("not a loop");
});

test("attn_decode reads pages through its format alone, by the names that every format declares", async () => {
  const { pack } = attn_decode.code;
  const own = await textOf({ code: { pack, files: ["attention/attn_decode"] } });
  expect(own).not.toContain("kv[");
  const format = await textOf({ code: { pack, files: [attn_decode.snippets.format] } });
  const declared = [...format.matchAll(/^(?:const|override|fn) (\w+)/gm)].map(([, name]) => name!);
  expect(declared.length).toBeGreaterThan(5);
  expect(declared.filter((name) => !new RegExp(`\\b${name}\\b`).test(own))).toEqual([]);
  expect(await textOf(withSnippet(attn_decode, "format", ""))).not.toContain("fn value_pair");
});

test("every marked loop of the kernels is spelled out", async () => {
  for (const { kernel } of specs) {
    expect(unrolled(await textOf(kernel)), kernel.name).not.toMatch(/for \(.*\/\/ unrolled$/m);
  }
});

/** A device with subgroups of these sizes. */
const device = (least: number, most: number, ...features: string[]) =>
  ({
    features: new Set(["subgroups", ...features]),
    adapterInfo: { subgroupMinSize: least, subgroupMaxSize: most },
    limits: { maxComputeInvocationsPerWorkgroup: 256, maxComputeWorkgroupStorageSize: 16384 },
  }) as unknown as GPUDevice;

test("lanes: as many as every subgroup has, 32 at most; another number where it can be fixed", () => {
  const lanes = (least: number, most: number, ...features: string[]) => {
    const made = device(least, most, ...features);
    return [offerOf(made).lanes, fixesLanes(made)];
  };
  expect(lanes(32, 32)).toEqual([32, false]); // NVIDIA, Apple
  expect(lanes(8, 32)).toEqual([8, false]); // Intel
  expect(lanes(8, 32, "subgroup-size-control")).toEqual([32, true]);
  expect(lanes(32, 64, "subgroup-size-control")).toEqual([32, true]); // AMD
  expect(lanes(64, 128, "subgroup-size-control")).toEqual([32, false]); // Adreno: wider ones idle
  expect(lanes(4, 128)).toEqual([4, false]); // Dawn on D3D12 knows no maximum
});

test("kernels on subgroups are bound to their lanes, others stay as they are", () => {
  const code = "enable subgroups;\nconst LANES: u32 = 32;\n@compute @workgroup_size(LANES)\nfn k() {}";
  const template: Template = { name: "k", code, overrides: {}, tiles: { LANES: 32 } };
  expect(withFixedLanes(template, code)).toBe(
    "enable subgroups;\nenable subgroup_size_control;\nconst LANES: u32 = 32;\n@compute @subgroup_size(LANES) @workgroup_size(LANES)\nfn k() {}",
  );
  expect(withFixedLanes({ ...template, tiles: {} }, code)).toBe(code);
});
