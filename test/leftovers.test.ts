// Variables without a value of their own in loops of shaders: Dawn on Vulkan, and wgpu until June 2026, give them zeros once,
// not in each turn (findings/wgsl-var-in-loop-keeps-values.sh). So each is written before it is read.
import { expect, test } from "playwright/test";
import { fileText, readShaders } from "../shaders/read.mjs";

/** `path:line name` of each variable in a loop, declared without a value, whose next use reads it. */
function leftovers(path: string, text: string): string[] {
  const code = text.replace(/\/\/[^\n]*/g, "");
  const nested: boolean[] = []; // of each open brace: whether a loop's
  const found: string[] = [];
  let isLoop = false;
  for (const { 0: token, 1: name, index } of code.matchAll(/\b(?:for|while|loop)\b|[{}]|\bvar (\w+)[^=;]*;/g)) {
    if (token === "{") {
      nested.push(isLoop);
      isLoop = false;
    } else if (token === "}") nested.pop();
    else if (name === undefined) isLoop = true;
    else if (nested.includes(true)) {
      const next = new RegExp(String.raw`\b${name}\b(?:\s*\[[^\]]*\]|\.\w+)*\s*(=(?!=))?`).exec(
        code.slice(index + token.length),
      );
      if (!next?.[1]) found.push(`${path}:${code.slice(0, index).split("\n").length} ${name}`);
    }
  }
  return found;
}

test("what a loop declares without a value is written before it is read", () => {
  const files = readShaders();
  const all = Object.keys(files).flatMap((path) => leftovers(path, fileText(files, path)));
  expect(all).toEqual([]);
});

test("the rule can fail", () => {
  const inLoop = (body: string) => leftovers("x", `fn f() {\n  for (var i = 0u; i < 4u; i++) {\n    ${body}\n  }\n}`);
  expect(inLoop("var a: f32;\n    a += 1.0;")).toEqual(["x:3 a"]);
  expect(inLoop("if (i > 1u) { var a: array<f32, 4>; b = a[0]; }")).toEqual(["x:3 a"]);
  expect(inLoop("var a: array<f32, 4>;\n    a[i] = 1.0; // a += 1\n    b += a[i];")).toEqual([]);
  expect(inLoop("var a = 0.0;\n    a += 1.0;")).toEqual([]);
  expect(leftovers("x", "fn f() {\n  var a: f32;\n  a += 1.0;\n}")).toEqual([]);
});
