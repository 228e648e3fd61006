// What a reply is made of, and its text as EBNF.
import { keptSchema } from "./schema.ts";

export type Shape =
  | { text: string }
  | { json: unknown }
  | { ebnf: string }
  | { sequence: readonly Shape[] }
  | { choice: readonly Shape[] }
  /** One or more, with the text between them. */
  | { repeat: Shape; between: string };

/** Rules of a JSON schema, `root` among them. */
export type SchemaRules = (schema: object) => Promise<string>;

/** A grammar whose rule `root` is the shape. Throws InputError for a schema that cannot be kept. */
export async function grammarOf(shape: Shape, schemaRules: SchemaRules): Promise<string> {
  if ("ebnf" in shape) return shape.ebnf;
  const rules: string[] = [];
  const expression = async (part: Shape): Promise<string> => {
    if ("text" in part) return quoted(part.text);
    if ("sequence" in part) return (await each(part.sequence)).join(" ");
    if ("choice" in part) return `(${(await each(part.choice)).join(" | ")})`;
    if ("repeat" in part) {
      const one = await expression(part.repeat);
      return part.between === "" ? `(${one})+` : `(${one}) (${quoted(part.between)} ${one})*`;
    }
    const prefix = `p${rules.length}_`;
    const text = "json" in part ? await schemaRules(keptSchema(part.json)) : part.ebnf;
    rules.push(renamed(text, prefix));
    return `${prefix}root`;
  };
  const each = async (parts: readonly Shape[]): Promise<string[]> => {
    const texts: string[] = [];
    for (const part of parts) texts.push(await expression(part)); // one after another: each numbers its rules
    return texts;
  };
  const root = await expression(shape);
  return [`root ::= ${root}`, ...rules].join("\n");
}

const quoted = (text: string): string =>
  `"${text.replaceAll(/["\\]/g, String.raw`\$&`).replaceAll("\n", String.raw`\n`)}"`;

/** The same rules under other names. Texts and classes stay. */
const renamed = (rules: string, prefix: string): string =>
  rules.replaceAll(/"(?:\\.|[^"\\])*"|\[(?:\\.|[^\]\\])*\]|[A-Za-z_]\w*/g, (token) =>
    /^["[]/.test(token) ? token : prefix + token,
  );
