// The rules of the house that a machine can keep.
import { readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize } from "node:path";
import { expect, test } from "playwright/test";
import { describe as describeKernel, generate } from "../shaders/generate.mjs";

const shaders = readdirSync("shaders").filter((file) => file.endsWith(".wgsl"));

test("generated kernels are fresh", () => {
  expect(readFileSync("src/gpu/kernels.gen.ts", "utf8")).toBe(generate());
});

for (const file of shaders) {
  test(`${file}: the header lists exactly its buffers, with their access`, () => {
    const code = readFileSync(join("shaders", file), "utf8");
    const header = code.slice(0, code.search(/^(?!\/\/)/m));
    const rows = [...header.matchAll(/^\/\/ {3}(\w+)\s+\[.*\]\s+.*?\b(read_write|read|write)\b/gm)];
    const listed = rows.map(([, name, access]) => [name, access === "read" ? "read-only-storage" : "storage"]);
    const { bindings } = describeKernel(file.replace(".wgsl", ""), code);
    const found = Object.entries(bindings as Record<string, { type: string }>).map(([name, { type }]) => [name, type]);
    expect(listed).toEqual(found);
    for (const tag of ["dispatch", "cost", "why"]) expect(header).toMatch(new RegExp(`^// ${tag} +\\S`, "m"));
  });
}

// Which room may import which. A room is a folder of src/ or a file directly in it; imports point downwards.
const LEAVES = ["api", "errors"];
const MAY_IMPORT: Record<string, readonly string[]> = {
  gpu: [],
  text: [],
  io: [],
  kv: ["gpu"],
  model: ["gpu", "kv"],
  engine: ["kv/blocks", "model/model"],
  chat: ["engine", "model/model", "text"],
  load: ["gpu", "kv", "model", "engine", "text", "io", "chat"],
  index: ["load", "gpu/measure", "model/cost"],
};

const placeOf = (path: string): string => path.replace(/^src\//, "").replace(/\.ts$/, "");
const roomOf = (path: string): string => placeOf(path).split("/")[0]!;

function filesOf(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && /\.m?ts$/.test(entry.name) && !entry.name.endsWith(".d.mts"))
    .map((entry) => join(entry.parentPath, entry.name));
}

const importsOf = (file: string): string[] =>
  [...readFileSync(file, "utf8").matchAll(/(?:from|import)\s+"(\.[^"]+)"/g)].map(([, target]) =>
    normalize(join(dirname(file), target!)),
  );

function forbidden(file: string, target: string): boolean {
  const [from, to] = [roomOf(file), roomOf(target)];
  if (from === to || LEAVES.includes(to)) return false;
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
  expect(forbidden("src/engine/engine.ts", "src/model/llama.ts")).toBe(true);
  expect(forbidden("src/engine/engine.ts", "src/model/model.ts")).toBe(false);
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

test("the demo uses the public surface only", () => {
  const wrong = filesOf("demo").flatMap((file) =>
    importsOf(file)
      .filter((target) => target.startsWith("src/") && target !== "src/index.ts")
      .map((target) => `${file} → ${target}`),
  );
  expect(wrong).toEqual([]);
});

test("files are one story each: at most 400 lines", () => {
  const long = [...filesOf("src"), ...filesOf("demo"), ...shaders.map((file) => `shaders/${file}`)].filter(
    (file) => !file.endsWith(".gen.ts") && readFileSync(file, "utf8").split("\n").length > 400,
  );
  expect(long).toEqual([]);
});
