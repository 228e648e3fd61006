// Declarations of TypeScript with the comments before them, and what of them says nothing about itself.

const HEAD = /^(?:export )?(?:declare )?(?:abstract )?(?:async )?(?:class|interface|type|function\*?|const) (\w+)/;

/** Each begins at the left edge and goes on to the next that does. */
export function declarationsOf(text) {
  const blocks = text.split(/\n(?=\/\*\*|(?:export|declare|abstract|interface|type|class|function|const)\b)/);
  return blocks.flatMap((block, i) => {
    const [, name] = HEAD.exec(block) ?? [];
    const comment = i > 0 && blocks[i - 1].startsWith("/**") && !/^\w/m.test(blocks[i - 1]) ? blocks[i - 1] : "";
    return name ? [{ name, comment, code: block.trim() }] : [];
  });
}

/** A field or method of a declaration, by its own indent. */
const MEMBER = /^(?: {2}|\t)(?:readonly |abstract )*(\w+)\??[(:<]/;

/** The names of what lacks a docstring, `Name` or `Name.member`. How errors are made, and their names, need none. */
export const undocumented = (declarations) =>
  declarations.flatMap(({ name, comment, code }) => [
    ...(comment === "" ? [name] : []),
    ...membersWithout(code).map((member) => `${name}.${member}`),
  ]);

function membersWithout(code) {
  if (!/^(?:export )?(?:declare )?(?:abstract )?(?:class|interface)/.test(code)) return [];
  const lines = code.split("\n");
  const members = lines.flatMap((line, i) => {
    const [, name] = MEMBER.exec(line) ?? [];
    return name ? [{ name, documented: lines[i - 1].trim().endsWith("*/") }] : [];
  });
  const without = members.filter(({ name }) => !members.some((other) => other.name === name && other.documented));
  return without.map(({ name }) => name).filter((name) => name !== "constructor" && name !== "name");
}
