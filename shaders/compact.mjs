// A kernel's description (src/gpu/kernels.gen.ts) as one line of text, for builds: a quarter of the bytes of the object.

/** A member or constant whose type or value is not the usual one has it behind its name. */
const usual = (value, common) => (value === common ? "" : `=${value}`);

const bindingWord = ([name, { type }]) => name + (type === "storage" ? "!" : "");

/** Bindings in the order of their numbers; the parameters are called *. */
function bindingWords({ bindings, params }) {
  const words = Object.entries(bindings).map((entry) => [entry[1].binding, bindingWord(entry)]);
  if (params) words.push([params.binding, "*"]);
  return words.sort(([a], [b]) => a - b).map(([, word]) => word);
}

/** The description as text. Throws where `decoded` would not give it back, e.g. for binding numbers with a gap. */
export function encoded(source) {
  const { name, params, overrides, tiles, features, snippets, code } = source;
  const numbers = (constants) => Object.entries(constants).map(([key, value]) => `${key}=${value}`);
  const lists = [
    [name],
    bindingWords(source),
    Object.entries(params?.fields ?? {}).map(([field, { type }]) => field + usual(type, "u32")),
    numbers(overrides),
    numbers(tiles),
    features,
    Object.entries(snippets).flat(),
    [code.pack, ...code.files],
  ];
  const text = lists.map((words) => words.join(" ")).join(";");
  if (JSON.stringify(decoded(text)) !== JSON.stringify(source))
    throw new Error(`${name}.wgsl: its description cannot be written as ${text}. Extend shaders/compact.mjs.`);
  return text;
}

/** The description of a line. Stands in the build as it is here: it uses nothing from outside. */
export function decoded(text) {
  const lists = text.split(";").map((list) => list.split(" ").filter(Boolean));
  const [[name], words, members, overrides, tiles, features, [snippet, file], [pack, ...files]] = lists;
  const numbers = (list) =>
    Object.fromEntries(list.map((word) => word.split("=")).map(([key, value]) => [key, Number(value)]));
  const bindings = words.flatMap((word, binding) =>
    word === "*"
      ? []
      : [[word.replace("!", ""), { binding, type: word.endsWith("!") ? "storage" : "read-only-storage" }]],
  );
  const fields = members.map((word) => word.split("=")).map(([key, type = "u32"], i) => [key, { offset: 4 * i, type }]);
  return {
    name,
    bindings: Object.fromEntries(bindings),
    params: words.includes("*")
      ? { binding: words.indexOf("*"), size: 4 * fields.length, fields: Object.fromEntries(fields) }
      : null,
    overrides: numbers(overrides),
    tiles: numbers(tiles),
    features,
    snippets: snippet ? { [snippet]: file } : {},
    code: { pack, files },
  };
}
