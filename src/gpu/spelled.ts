// What makes shaders quick on a CPU: arrays of known length, loops spelled out. Fetched with the first kernel that wants it.
import { assert } from "../errors.ts";

/**
 * The shader text with runtime-sized arrays of `lengths` given their length. Bounds checks then compare with a constant:
 * on SwiftShader, which does not hoist them out of loops, products gain 15 to 18 %. Arrays of structs and atomics stay.
 */
export function withLengths(code: string, lengths: Readonly<Record<string, number>>): string {
  let sized = code;
  for (const [name, bytes] of Object.entries(lengths)) {
    const array = new RegExp(`var<storage, ?\\w+> ?${name}\\s*:\\s*array<`);
    assert(array.test(sized), `withLengths: got ${name}, want the name of a storage array`);
    const numbers = new RegExp(`(var<storage, ?\\w+> ?${name}\\s*:\\s*array<)(vec([234])[fui]|[fui]32)>;`);
    sized = sized.replace(
      numbers,
      (_, declaration: string, type: string, lanes?: string) => `${declaration}${type}, ${elements(bytes, lanes)}>;`,
    );
  }
  return sized;
}

/** Whole elements in `bytes`; a vec3 takes the room of four values. */
const elements = (bytes: number, lanes = "1"): number => Math.floor(bytes / 4 / (lanes === "3" ? 4 : Number(lanes)));

// ---- loops: SwiftShader keeps an array in registers only while its indices are constants ----

/** A loop from 0 up in steps of 1; its body holds braces at most two deep. */
const LOOP = /for ?\(var (\w+) ?= ?0u; ?\1 ?< ?([^;]+); ?\1\+\+\) ?(\{(?:[^{}]|\{(?:[^{}]|\{[^{}]*\})*\})*\})/;

/** a * b / c … of whole numbers, from left to right. */
function product(text: string): number {
  const [first, ...steps] = text.split(/(?=[*/])/);
  return steps.reduce((value, step) => {
    const factor = Number(step.slice(1));
    return step.startsWith("*") ? value * factor : Math.floor(value / factor);
  }, Number(first));
}

const sum = (text: string): number =>
  text
    .split(/(?=[+-])/)
    .reduce((total, term) => total + (term[0] === "-" ? -1 : 1) * product(term.replace(/^[+-]/, "")), 0);

/** What `const name` of the shader is defined as. */
function definition(code: string, name: string): string {
  const found = code.match(new RegExp(`^const ${name}\\s*(?::\\s*u32\\s*)?=\\s*([^;]+);`, "m"))?.[1];
  assert(found !== undefined, `unrolled: the shader has no constant ${name}`);
  return found;
}

/** Value of an expression of u32: numbers, constants of the shader, + - * /, min of two, and parentheses. */
function constantOf(code: string, expression: string): number {
  const named = (name: string): string => String(constantOf(code, definition(code, name)));
  let rest = expression.replace(/(?<=\d)u\b/g, "").replace(/\b[A-Z]\w*/g, named);
  const least = (inner: string): number => Math.min(...inner.split(",").map(sum));
  while (rest.includes("(")) rest = rest.replace(/(?:min)?\(([^()]*)\)/, (_, inner: string) => String(least(inner)));
  const value = sum(rest);
  assert(Number.isInteger(value), `unrolled: ${expression} is no constant of u32`);
  return value;
}

function spelled(code: string, name: string, bound: string, body: string): string {
  const word = new RegExp(`(?<![\\w.])${name}\\b`, "g"); // not the member .name
  return Array.from({ length: constantOf(code, bound) }, (_, i) => body.replace(word, `${i}u`)).join(" ");
}

/**
 * The shader text with the loops of lines that end in `// unrolled` spelled out, nested ones too: their bodies one after
 * another on that line, the variable replaced by its value. Tile constants must be in the text already.
 */
export function unrolled(code: string): string {
  return code.replace(/^.*(?=\/\/ unrolled$)/gm, (line) => {
    assert(LOOP.test(line), `unrolled: not a loop of one line from 0u: ${line.trim()}`);
    let text = line;
    while (LOOP.test(text)) {
      text = text.replace(LOOP, (_, name: string, bound: string, body: string) => spelled(code, name, bound, body));
    }
    return text;
  });
}
