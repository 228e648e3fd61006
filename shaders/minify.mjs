// A shader file's text in fewer bytes, for builds: without comments and without spaces that separate nothing. Names stay, so
// that a compiler's message still says which variable it means.

/** Loops that src/gpu/specialise.ts spells out end in this comment. */
const MARK = "// unrolled";

const SPACE = /\s+/g;
const WORD = /\w/;
/** Two of these side by side could be another operator, as in `a - -b`. */
const OPERATOR = /[-+*/%&|^<>=!]/;

const separates = (before, after) =>
  (WORD.test(before) && WORD.test(after)) || (OPERATOR.test(before) && OPERATOR.test(after));

/** Spaces go where the characters beside them stay apart without. */
const squeezed = (line) =>
  line.replace(SPACE, (_, at) => (separates(line[at - 1], line.slice(at).trimStart()[0]) ? " " : ""));

/** Its lines, without comments and indentation. A line in a body is joined to the one before; a marked loop stays alone. */
export function minify(text) {
  let minified = "";
  let depth = 0;
  for (const line of text.split("\n")) {
    const mark = line.endsWith(MARK) ? MARK : "";
    const code = squeezed(line.replace(/\/\/.*$/, "").trim());
    if (code === "") continue;
    const breaks = depth === 0 || mark || minified.endsWith(MARK) || separates(minified.at(-1), code[0]);
    minified += `${minified && breaks ? "\n" : ""}${code}${mark}`;
    for (const letter of code) depth += letter === "{" ? 1 : letter === "}" ? -1 : 0;
  }
  return minified;
}
