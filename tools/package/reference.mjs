// npm run docs:api: dist/api-reference.md, what each entry exports with its docstring, from the rolled-up declarations.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { ENTRIES, ROOT } from "./build.mjs";
import { declarationsOf, undocumented } from "./docstrings.mjs";

/** The text of a docstring without its frame. */
const prose = (comment) =>
  comment
    .replace(/^\/\*\*\s?|\s*\*\/\s*$/g, "")
    .replaceAll(/^ \* ?/gm, "")
    .trim();

/** Names that an entry exports, whether where they are declared or in a list. */
function exportedOf(text) {
  const lists = [...text.matchAll(/^export (?:type )?\{([^}]*)\}/gm)].flatMap(([, list]) => list.split(","));
  const declared = [
    ...text.matchAll(/^export (?:declare )?(?:abstract )?(?:class|interface|type|function|const) (\w+)/gm),
  ];
  return new Set([...lists.map((name) => name.replace("type ", "").trim()), ...declared.map(([, name]) => name)]);
}

function section(name) {
  const text = readFileSync(join(ROOT, `dist/${name}.d.ts`), "utf8");
  const exported = exportedOf(text);
  const declarations = declarationsOf(text).filter(({ name: declared }) => exported.has(declared));
  const silent = undocumented(declarations);
  if (silent.length > 0) throw new Error(`docs:api: got ${silent.join(", ")} without a docstring, want one of each.`);
  const parts = declarations.map(({ name: declared, comment, code }) =>
    [`### ${declared}`, ...(comment ? [prose(comment)] : []), `\`\`\`ts\n${code}\n\`\`\`\n`].join("\n\n"),
  );
  return `## longprompt${name === "index" ? "" : `/${name}`}\n\n${parts.join("\n")}`;
}

const sections = Object.keys(ENTRIES).map(section);
writeFileSync(join(ROOT, "dist/api-reference.md"), `# API reference\n\n${sections.join("\n")}`);
