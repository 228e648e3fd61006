// The rules of the house that a machine can keep.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "playwright/test";
import { generate, packTexts } from "../shaders/generate.mjs";
import {
  describe as describeKernel,
  familiesOf,
  headerOf,
  join as joined,
  kernelsOf,
  packsOf,
  type Read,
  readShaders,
} from "../shaders/read.mjs";

const shaders = readShaders();

test("generated kernels are fresh", () => {
  expect(readFileSync("src/gpu/kernels.gen.ts", "utf8")).toBe(generate());
  for (const [pack, text] of Object.entries(packTexts(shaders)))
    expect(readFileSync(`src/gpu/packs/${pack}.gen.ts`, "utf8")).toBe(text);
});

for (const { name, room, source } of kernelsOf(shaders)) {
  test(`${room}/${name}: the header lists exactly its buffers, with their access`, () => {
    const header = headerOf(source.code);
    const rows = [...header.matchAll(/^\/\/ {3}(\w+)\s+\[.*\]\s+.*?\b(read_write|read|write)\b/gm)];
    const listed = rows.map(([, buffer, access]) => [buffer, access === "read" ? "read-only-storage" : "storage"]);
    const found = Object.entries(source.bindings).map(([buffer, { type }]) => [buffer, type]);
    expect(listed).toEqual(found);
    for (const tag of ["dispatch", "cost", "why"]) expect(header).toMatch(new RegExp(`^// ${tag} +\\S`, "m"));
    expect(existsSync(`test/kernels/${room}/${name}.ts`)).toBe(true);
  });
}

// What shaders share: lib files, joined to the text of each kernel that uses them.

/** A kernel that calls `called`, with `tags` in its header. */
const shader = (name: string, tags: string, called: string) => `// ${name} — a test
${tags}
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@compute @workgroup_size(1)
fn ${name}() { out[0] = ${called}; }
`;

test("a lib file is joined once, after the kernel's own lines", () => {
  const files = new Map([
    ["a/k.wgsl", shader("k", "// uses lib/two.wgsl lib/one.wgsl", "two() + one()")],
    ["lib/one.wgsl", "// one\nfn one() -> f32 { return 1.0; }\n"],
    ["lib/two.wgsl", "// two\n// uses lib/one.wgsl\nfn two() -> f32 { return one() + one(); }\n"],
  ]);
  const { code } = joined(files, "a/k.wgsl");
  expect(code.startsWith(files.get("a/k.wgsl")!)).toBe(true);
  expect(code.match(/fn \w+/g)).toEqual(["fn k", "fn two", "fn one"]);
  expect(describeKernel("k", { code }).source.bindings).toEqual({ out: { binding: 0, type: "storage" } });
});

test("lib files that are missing, unused or more than a kernel needs are refused", () => {
  const one: [string, string] = ["lib/one.wgsl", "fn one() -> f32 { return 1.0; }\n"];
  const uses = shader("k", "// uses lib/one.wgsl", "1.0");
  expect(() => kernelsOf(new Map([["a/k.wgsl", uses]]))).toThrow("uses a missing file; got lib/one.wgsl");
  expect(() => kernelsOf(new Map([["a/k.wgsl", uses], one]))).toThrow("never calls one");
  expect(() => kernelsOf(new Map([["a/k.wgsl", shader("k", "//", "1.0")], one]))).toThrow("no kernel uses it");
});

test("a page format is a file of its kernel that can be replaced", () => {
  const files = new Map([
    ["a/k.wgsl", shader("k", "// uses lib/format_x.wgsl", "open()")],
    ["lib/format_x.wgsl", "// x\nfn open() -> f32 { return 1.0; }\n"],
  ]);
  const { code, ...rest } = joined(files, "a/k.wgsl");
  expect(rest).toEqual({ files: [...files.keys()], snippets: { format: "lib/format_x.wgsl" } });
  expect(code).toBe([...files.values()].join("\n"));
});

test("a lib file lies in the pack of its users, or in the first where they are of several", () => {
  const kernel = (pack: string, ...files: string[]) => ({ pack, files }) as unknown as Read;
  const kernels = [kernel("cpu", "cpu/a", "lib/x", "lib/y"), kernel("kv", "kv/b", "lib/y"), kernel("main", "rows/c")];
  expect(packsOf(kernels)).toEqual({ cpu: ["cpu/a", "lib/x"], kv: ["kv/b"], main: ["lib/y", "rows/c"] });
});

test("members of a family take the same buffers", () => {
  const files = new Map([
    ["a/k.wgsl", shader("k", "// family f", "1.0")],
    ["a/l.wgsl", shader("l", "// family f", "1.0")],
    ["a/m.wgsl", shader("m", "// family f", "1.0").replaceAll("out", "y")],
  ]);
  expect(() => familiesOf(kernelsOf(files))).toThrow("family f; got other buffers or parameters than k: out: storage");
  files.delete("a/m.wgsl");
  expect(familiesOf(kernelsOf(files))["f"]!.map(({ name }) => name)).toEqual(["k", "l"]);
  files.delete("a/l.wgsl");
  expect(() => familiesOf(kernelsOf(files))).toThrow("family f has no other member");
});

/** Functions of three lines or more whose body, comments apart, stands in several of the files. */
function twins(files: ReadonlyMap<string, string>): string[] {
  const places = new Map<string, string[]>();
  for (const [path, code] of files) {
    for (const [, name, body] of code.matchAll(/^fn (\w+)\([^{]*\{\n((?:(?!\}\n).*\n){3,})\}/gm)) {
      const bare = body!.replace(/\/\/.*$/gm, "").replace(/[ \t]+$/gm, "");
      places.set(bare, [...(places.get(bare) ?? []), `${path} ${name}`]);
    }
  }
  return [...places.values()].filter((found) => found.length > 1).map((found) => found.join(" = "));
}

test("no function stands in two shader files: what is shared lies in lib/", () => {
  expect(twins(shaders)).toEqual([]);
  const body = "(x: f32) -> f32 {\n  let y = x;  // why\n  let z = y;\n  return z;\n}\n";
  const files = new Map([
    ["a.wgsl", `fn f${body}`],
    ["b.wgsl", `fn g${body.replace("  // why", "")}`],
    ["c.wgsl", `fn h${body.replace("let z", "let w")}`],
  ]);
  expect(twins(files)).toEqual(["a.wgsl f = b.wgsl g"]);
});

// Which room may import which. A room is a folder of src/ or a file directly in it; imports point downwards.
const LEAVES = [
  "api",
  "attended",
  "completions",
  "events",
  "figures",
  "footprint",
  "generation",
  "prompts",
  "sessions",
  "students",
  "errors",
  "tensor",
  "later",
];
const MAY_IMPORT: Record<string, readonly string[]> = {
  gpu: [],
  text: [],
  io: [],
  pictures: [],
  kv: ["gpu"],
  model: ["gpu", "kv"],
  train: ["gpu", "kv", "model"],
  engine: [
    "kv/blocks",
    "kv/holdings",
    "kv/later",
    "kv/optional",
    "kv/pages",
    "kv/parked",
    "kv/plan",
    "kv/residence",
    "model/model",
  ],
  grammar: ["engine/sequence", "text"],
  chat: ["engine", "model/model", "text", "grammar", "pictures"],
  "ai-sdk": [],
  thread: ["engine/feed", "text", "io/files/source", "chat/session"],
  load: ["gpu", "kv", "model", "train", "engine", "text", "io", "grammar", "chat", "thread/own"],
  start: ["load", "thread/start"],
  worker: ["load", "thread"],
  optional: ["gpu/measure", "chat/sample", "io/kept"],
  index: ["start", "load", "optional", "gpu/device", "gpu/measure", "model/cost", "chat/sample"],
  recipes: ["kv/parse", "kv/recipe"],
};

// Within a room, places (folders, or files directly in it) from the lowest up: each imports itself and those before it.
// A file of the room's own name, src/load.ts, stands on top.
const ORDER: Record<string, readonly string[]> = {
  thread: ["own", "language", "protocol", "errors", "link", "target", "stream", "reply", "engine", "host", "start"],
  io: ["files", "kept", "saves", "formats", "checkpoint", "student", "remember"],
  load: [
    "trained",
    "settings",
    "read",
    "student",
    "running",
    "open",
    "plan",
    "full",
    "solve",
    "calibrate",
    "training",
    "distil",
    "convert",
    "shares",
    "sharing",
    "loading",
    "prefixes",
    "saving",
    "renewal",
    "engine",
  ],
  train: ["tensor", "start", "ops", "products", "attention", "buffers", "student", "loss", "optimiser", "trainer"],
  model: [
    "reader",
    "stretched",
    "rotation",
    "families",
    "config",
    "model",
    "cost",
    "weights",
    "ops",
    "vision",
    "context",
    "layer",
    "sample",
    "step",
    "room",
    "between",
    "activations",
    "swiftkv",
    "names",
    "forward",
    "questions",
    "trial",
    "tune",
    "profiled",
    "rhythm",
    "transformer",
    "calibrate",
    "states",
  ],
};

const placeOf = (path: string): string => path.replace(/^src\//, "").replace(/\.ts$/, "");
const roomOf = (path: string): string => placeOf(path).split("/")[0]!;

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name) && !entry.name.endsWith(".d.mts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

const importsOf = (file: string): string[] =>
  [...readFileSync(file, "utf8").matchAll(/(?:from|import)(?:\s+|\()"(\.[^"]+)"/g)].map(([, target]) =>
    normalize(join(dirname(file), target!)),
  );

function upwards(room: string, file: string, target: string): boolean {
  const order = ORDER[room];
  if (!order) return false;
  const rank = (path: string) => {
    const [, place] = placeOf(path).split("/");
    return place === undefined ? order.length : order.indexOf(place);
  };
  return rank(target) < 0 || rank(target) > rank(file);
}

function forbidden(file: string, target: string): boolean {
  const [from, to] = [roomOf(file), roomOf(target)];
  if (LEAVES.includes(to)) return false;
  if (from === to) return upwards(from, file, target);
  return !MAY_IMPORT[from]?.some((allowed) => allowed === to || allowed === placeOf(target));
}

test("imports point downwards", () => {
  const wrong = filesOf("src").flatMap((file) =>
    importsOf(file)
      .filter((target) => forbidden(file, target))
      .map((target) => `${file} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("the import rule can fail", () => {
  expect(forbidden("src/gpu/device.ts", "src/engine/engine.ts")).toBe(true);
  expect(forbidden("src/engine/engine.ts", "src/model/transformer.ts")).toBe(true);
  expect(forbidden("src/engine/engine.ts", "src/model/model.ts")).toBe(false);
  expect(forbidden("src/model/ops/linear.ts", "src/model/layer/qkv.ts")).toBe(true);
  expect(forbidden("src/model/layer/qkv.ts", "src/model/ops/linear.ts")).toBe(false);
  expect(forbidden("src/io/files/http.ts", "src/io/formats/gguf.ts")).toBe(true);
  expect(forbidden("src/model/config.ts", "src/model/unlisted.ts")).toBe(true);
  expect(forbidden("src/load/engine.ts", "src/load.ts")).toBe(true);
});

test("no import cycle", () => {
  const graph = new Map(filesOf("src").map((file) => [file, importsOf(file)]));
  const done = new Set<string>();
  const cycles: string[] = [];
  const visit = (file: string, path: readonly string[]): void => {
    if (path.includes(file)) cycles.push([...path.slice(path.indexOf(file)), file].join(" → "));
    if (path.includes(file) || done.has(file)) return;
    for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
    done.add(file);
  };
  for (const file of graph.keys()) visit(file, []);
  expect(cycles).toEqual([]);
});

/** What package.json exports. */
const PUBLIC = ["src/index.ts", "src/recipes.ts"];

test("the demo uses the public surface only", () => {
  const wrong = filesOf("demo").flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith("src/") && !PUBLIC.includes(target))
      .map((target) => `${file} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("files are one story each: at most 400 lines", () => {
  const long = [...filesOf("src"), ...filesOf("demo"), ...[...shaders.keys()].map((file) => `shaders/${file}`)].filter(
    (file) => !file.endsWith(".gen.ts") && readFileSync(file, "utf8").split("\n").length > 400,
  );
  expect(long).toEqual([]);
});
