// Reads shaders/<room>/<kernel>.wgsl: joins what a kernel uses of shaders/lib, and describes the joined text by reflection.
// Packs: the files that are loaded together (packs.mjs).
import { readdirSync, readFileSync } from "node:fs";
// The bare name resolves to a CommonJS file inside a "type": "module" package and fails in Node.
import { ResourceType, WgslReflect } from "wgsl_reflect/wgsl_reflect.module.js";
import { withoutMatrices } from "./matrices.mjs";
import { packOf } from "./packs.mjs";

const SHADERS = new URL("./", import.meta.url);
const isLib = (path) => path.startsWith("lib/");

/** Every shader file's text by its path in shaders/, e.g. "lib/settings.wgsl". */
export function readShaders() {
  const paths = readdirSync(SHADERS, { recursive: true })
    .map((path) => path.replaceAll("\\", "/"))
    .filter((path) => path.endsWith(".wgsl"));
  return new Map(paths.sort().map((path) => [path, readFileSync(new URL(path, SHADERS), "utf8")]));
}

/** Comment lines at the top of a shader. */
export const headerOf = (code) => code.slice(0, code.search(/^(?!\/\/)/m));

/** What the header's lines `// tag …` say, word by word. */
const tagged = (code, tag) =>
  [...headerOf(code).matchAll(new RegExp(`^// ${tag} +(.*)$`, "gm"))].flatMap(([, words]) => words.split(/\s+/));

/** The lib files that the file at `path` uses, directly or through another one, each once. */
function libsOf(files, path) {
  const libs = [];
  const visit = (from) => {
    for (const lib of tagged(files.get(from), "uses")) {
      if (!files.has(lib)) throw new Error(`shaders/${from}: uses a missing file; got ${lib}. Correct the name.`);
      if (!isLib(lib)) throw new Error(`shaders/${from}: uses a kernel; got ${lib}, want a file of lib/.`);
      if (libs.includes(lib)) continue;
      libs.push(lib);
      visit(lib);
    }
  };
  visit(path);
  return libs;
}

/** Functions of lib files that the joined text never calls: the kernel uses more than it needs. */
function idle(code, libText) {
  const names = [...libText.matchAll(/^fn (\w+)/gm)].map(([, name]) => name);
  return names.filter((name) => [...code.matchAll(new RegExp(`\\b${name}\\(`, "g"))].length < 2);
}

/** A file's text by its path in shaders/, as it stands in a pack. */
export const fileText = (files, path) => files.get(path).trimEnd();

/** One kernel's text: its own file, whose line numbers stay, then the lib files. Also the paths of these files. */
export function join(files, path) {
  const libs = libsOf(files, path);
  const paths = [path, ...libs];
  const code = joinTexts(paths.map((one) => fileText(files, one)));
  for (const lib of libs) {
    const unused = idle(code, files.get(lib));
    if (unused.length > 0) throw new Error(`shaders/${path}: uses ${lib} and never calls ${unused}. Split the file.`);
  }
  const formats = libs.filter((lib) => lib.startsWith("lib/format_"));
  if (formats.length > 1) throw new Error(`shaders/${path}: uses several page formats; got ${formats}, want one.`);
  return { code, files: paths, snippets: Object.fromEntries(formats.map((lib) => ["format", lib])) };
}

/** As src/gpu/text.ts joins them. */
const joinTexts = (texts) => texts.join("\n\n") + "\n";

/** `NAME: value` of every line that matches; values are numbers (true = 1, false = 0). */
function numbers(code, pattern) {
  return Object.fromEntries(
    [...code.matchAll(pattern)].map(([, key, value]) => [
      key,
      value === "true" ? 1 : value === "false" ? 0 : Number(value),
    ]),
  );
}

const NUMBERS = ["u32", "i32", "f32"];

/** Offset in bytes and type of each member of a struct that JavaScript fills. */
function fieldsOf(struct, members) {
  const fields = members.map((m) => [m.name, { offset: m.offset, type: m.type.getTypeName() }]);
  const other = fields.find(([, { type }]) => !NUMBERS.includes(type));
  if (other) throw new Error(`struct ${struct}: member ${other[0]}; got ${other[1].type}, want one of ${NUMBERS}`);
  return Object.fromEntries(fields);
}

/** Bindings, params and the structs that storage arrays hold. */
function resources(name, reflect, entry) {
  const used = new Set(entry.resources.map((v) => v.name));
  const bindings = {};
  const structs = {};
  let params = null;
  for (const v of reflect.getBindGroups().flat().filter(Boolean)) {
    if (!used.has(v.name)) throw new Error(`${name}.wgsl: binding ${v.name} is declared but never used`);
    if (v.group !== 0) throw new Error(`${name}.wgsl: binding ${v.name} is in group ${v.group}, want group 0`);
    if (v.resourceType === ResourceType.Uniform) {
      params = { binding: v.binding, size: v.size, fields: fieldsOf("Params", v.members) };
    } else {
      bindings[v.name] = { binding: v.binding, type: v.access === "read_write" ? "storage" : "read-only-storage" };
      const { format, stride } = v.type;
      if (format?.isStruct) structs[format.name] = { size: stride, fields: fieldsOf(format.name, format.members) };
    }
  }
  return { bindings, params, structs };
}

/** One kernel as a plain object. Throws on anything the conventions forbid. */
export function describe(name, { code, snippets = {} }) {
  const reflect = new WgslReflect(withoutMatrices(code));
  const [entry, ...others] = reflect.entry.compute;
  if (others.length > 0 || entry?.name !== name) {
    const found = reflect.entry.compute.map((f) => f.name);
    throw new Error(`${name}.wgsl: entry points; got [${found}], want one @compute function named ${name}`);
  }
  const { structs, ...bound } = resources(name, reflect, entry);
  const source = {
    name,
    ...bound,
    // `override NAME: u32 = 4;` set at pipeline creation
    overrides: numbers(code, /^override\s+(\w+)\s*:\s*\w+\s*=\s*(\d[\w.]*?|true|false)u?\s*;/gm),
    // `const NAME: u32 = 4;` register tile sizes, rewritten in the text: an override cannot size a function-scope array
    tiles: numbers(code, /^const\s+(\w+)\s*:\s*u32\s*=\s*(\d+)u?\s*;/gm),
    // as a device names them
    features: [...code.matchAll(/^enable\s+(\w+)\s*;/gm)].map(([, feature]) => feature.replaceAll("_", "-")),
    // files of `code` that withSnippet (src/gpu/text.ts) replaces, by the name of what they are
    snippets,
    code,
  };
  return { source, structs };
}

/** All kernels by name: where each lies, its family, its files and the pack they come in, its source, its structs. */
export function kernelsOf(files) {
  const paths = [...files.keys()].filter((path) => !isLib(path));
  checkLibs(files, paths);
  return paths
    .map((path) => {
      const [room, file] = path.split("/");
      const name = file.replace(".wgsl", "");
      const [family] = tagged(files.get(path), "family");
      const joined = join(files, path);
      return { name, room, family, pack: packOf(room, name), files: joined.files, ...describe(name, joined) };
    })
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Paths of the files of each pack. A lib file lies in the pack of the kernels that use it, in `main` if they are of several. */
export function packsOf(kernels) {
  const users = new Map();
  for (const { pack, files } of kernels)
    for (const path of files) users.set(path, (users.get(path) ?? new Set()).add(pack));
  const packs = {};
  for (const [path, [pack, ...others]] of [...users].sort(([a], [b]) => (a < b ? -1 : 1)))
    (packs[others.length === 0 ? pack : "main"] ??= []).push(path);
  return packs;
}

function checkLibs(files, paths) {
  const used = new Set(paths.flatMap((path) => libsOf(files, path)));
  const unused = [...files.keys()].filter((path) => isLib(path) && !used.has(path));
  if (unused.length > 0) throw new Error(`shaders/${unused}: no kernel uses it. Delete it.`);
}

/** Kernels that take each other's place, by family: the same buffers and parameters. */
export function familiesOf(kernels) {
  const families = {};
  for (const kernel of kernels) if (kernel.family) (families[kernel.family] ??= []).push(kernel);
  for (const [family, [first, ...others]] of Object.entries(families)) {
    if (others.length === 0) throw new Error(`${first.name}.wgsl: family ${family} has no other member`);
    for (const other of others) checkAlike(family, first, other);
  }
  return families;
}

/** What a dispatch gives: buffers by name and access, parameters by name and type. */
const interfaceOf = ({ bindings, params }) => [
  ...Object.entries(bindings).map(([name, { type }]) => `${name}: ${type}`),
  ...Object.entries(params?.fields ?? {}).map(([name, { type }]) => `${name}: ${type}`),
];

function checkAlike(family, first, other) {
  const [mine, theirs] = [interfaceOf(first.source), interfaceOf(other.source)];
  const apart = [...mine.filter((one) => !theirs.includes(one)), ...theirs.filter((one) => !mine.includes(one))];
  if (apart.length > 0) {
    throw new Error(
      `${other.name}.wgsl: family ${family}; got other buffers or parameters than ${first.name}: ${apart}`,
    );
  }
}

/** The structs of storage buffers, by name. A struct of one name has one layout. */
export function structsOf(kernels) {
  const structs = {};
  for (const { name, structs: own } of kernels) {
    for (const [struct, layout] of Object.entries(own)) {
      structs[struct] ??= layout;
      if (JSON.stringify(structs[struct]) !== JSON.stringify(layout)) {
        throw new Error(`${name}.wgsl: struct ${struct}; got another layout than elsewhere. Put it into lib/.`);
      }
    }
  }
  return structs;
}
