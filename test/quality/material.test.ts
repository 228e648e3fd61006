// Rows, texts, windows, needles and questions of the quality report. No GPU, no browser.
import { expect, test } from "playwright/test";
import { MEASURES, totalCost } from "../../demo/quality/measure.ts";
import { type Asked, needles, noteProbes, piecesOf, promptOf, replyOf } from "../../demo/quality/probes.ts";
import { QUESTIONS } from "../../demo/quality/questions.ts";
import { measureQuality } from "../../demo/quality/report.ts";
import { checkRow, parseRows } from "../../demo/quality/rows.ts";
import { SAMPLE } from "../../demo/quality/sample.ts";
import { checkText, chatWindows, parseChat, windowsOf } from "../../demo/quality/texts.ts";
import type { ModelInfo } from "../../src/index.ts";

/** A tokenizer of single characters, with an opening 1 around raw texts. */
const asked = (hasChatTemplate: boolean): Asked => ({
  model: { hasChatTemplate },
  tokenize: (text, { addSpecial = true } = {}) => [
    ...(addSpecial ? [1] : []),
    ...Array.from(text, (letter) => letter.codePointAt(0)!),
  ],
  detokenize: (tokens) => String.fromCodePoint(...tokens),
  render: (messages) => `${messages.map(({ role, content }) => `<${role}>${content}\n`).join("")}<assistant>`,
});

const text = (tokens: readonly number[]): string => asked(true).detokenize(tokens);

test("rows: recipes, sources, spaces; twice is once", () => {
  const typed = "f16; int8 ;swiftkv=22;swiftkv = 14,2 + int8; int8;calibrated=22; student = my students/22 +int8";
  const [own, folded, calibrated] = [{ kind: "own" }, { kind: "folded" }, { kind: "calibrated" }];
  expect(parseRows(typed)).toEqual([
    { text: "f16", recipe: "f16", source: own },
    { text: "int8", recipe: "int8", source: own },
    { text: "swiftkv=22", recipe: "f16", source: { ...folded, swiftkv: { layers: 22, group: 1 } } },
    { text: "swiftkv=14,2+int8", recipe: "int8", source: { ...folded, swiftkv: { layers: 14, group: 2 } } },
    { text: "calibrated=22", recipe: "f16", source: { ...calibrated, swiftkv: { layers: 22, group: 1 } } },
    { text: "student=my students/22+int8", recipe: "int8", source: { kind: "student", name: "my students/22" } },
  ]);
});

test("a bad row is refused in a line that names it", () => {
  const cases: readonly (readonly [string, string])[] = [
    ["f16;int3", 'rows: "int3"; got "int3", want one of f16, f32, int8, int4'],
    ["f16;;int8", 'rows: ""; got nothing, want a recipe'],
    ["f16;int8+int4", 'rows: "int8+int4"; got the formats int8 and int4, want one.'],
    ["marble:bits=2", 'rows: "marble:bits=2"; got "marble", want one of'],
    ["swiftkv=x+int8", 'rows: "swiftkv=x+int8"; got swiftkv=x, want K or K,G'],
    ["swiftkv=4,0", 'rows: "swiftkv=4,0"; got swiftkv=4,0, want K or K,G'],
    ["teacher=9", 'rows: "teacher=9"; got teacher=, want swiftkv=, calibrated=, student=, or a recipe.'],
    ["calibrated=4,x", 'rows: "calibrated=4,x"; got calibrated=4,x, want K or K,G'],
    ["student=", 'rows: "student="; got student=, want a student\'s folder, file or address.'],
    ["swiftkv=4+swiftkv=5", 'rows: "swiftkv=4+swiftkv=5"; got swiftkv=4 and swiftkv=5, want one of them.'],
  ];
  for (const [rows, message] of cases) {
    expect(() => parseRows(rows), rows).toThrow(message);
    expect(() => parseRows(rows), rows).toThrow(/^[^\n]+$/);
  }
});

test("a row that the model cannot have is refused before it is opened", () => {
  const kvShape = { layers: 8, heads: 6, kvHeads: 2, headWidth: 32, windows: Array<number>(8).fill(0), context: 2048 };
  const model = { layers: 8, context: 512, kvShape: { ...kvShape, swiftkv: null } } as unknown as ModelInfo;
  const check = (row: string) => () => checkRow(parseRows(row)[0]!, model);
  expect(check("swiftkv=4,2+int8")).not.toThrow();
  expect(check("swiftkv=9")).toThrow('rows: "swiftkv=9"; got 9 layers, want at most 8; the model has 8.');
  expect(check("calibrated=8")).toThrow('rows: "calibrated=8"; got 8 layers, want at most 7; the model has 8.');
  expect(check("swiftkv=4,3")).toThrow('rows: "swiftkv=4,3"; got groups of 3, want a divisor of 4.');
});

test("texts that are none, conversations that are none: a line that says which and why", () => {
  const refusal = (work: () => unknown): string => {
    try {
      work();
    } catch (error) {
      return String(error);
    }
    return "accepted";
  };
  expect(refusal(() => checkText({ name: "a.txt", text: " \n" }))).toContain(
    "text: a.txt; got an empty file, want text.",
  );
  const binary = new TextDecoder().decode(Uint8Array.from({ length: 400 }, (_, i) => 255 - (i % 200)));
  for (const content of ["ELF\0\0", binary])
    expect(refusal(() => checkText({ name: "a.bin", text: content }))).toContain(
      "got binary data, want text in UTF-8.",
    );
  expect(refusal(() => checkText({ name: "a.txt", text: "Füße � und Text".repeat(9) }))).toContain("binary");
  const lines: readonly (readonly [string, string])[] = [
    ["no", "line 1; got no JSON"],
    ["3", "got no list of messages"],
    ['{"messages":[{"role":"user"}]}', "got a message without role and content"],
    ['{"messages":[{"role":"user","content":"a"}]}', "got no turn of the assistant"],
    ['{"messages":[{"role":"assistant","content":"a"}]}', "got no turn before the assistant's"],
  ];
  for (const [line, what] of lines) expect(refusal(() => parseChat({ name: "c.jsonl", text: line }))).toContain(what);
});

test("windows are cut evenly and do not overlap; too short a text says how long it must be", () => {
  const tokens = Array.from({ length: 100 }, (_, i) => i);
  const sizes = { prompt: 20, continuation: 5, windows: 3 };
  const windows = windowsOf("a", tokens, sizes);
  expect(windows.map(({ prompt, continuation }) => [prompt[0], prompt.length, continuation])).toEqual([
    [0, 20, [20, 21, 22, 23, 24]],
    [33, 20, [53, 54, 55, 56, 57]],
    [66, 20, [86, 87, 88, 89, 90]],
  ]);
  expect(windowsOf("a", tokens.slice(0, 60), sizes)).toHaveLength(2);
  const [opened] = windowsOf("a", tokens, sizes, [999]);
  expect([opened!.prompt.slice(0, 2), opened!.prompt.length]).toEqual([[999, 1], 20]);
  expect(() => windowsOf("a.txt", tokens.slice(0, 24), sizes)).toThrow(
    "text: a.txt; got 24 tokens, want at least 25 (prompt 20, continuation 5).",
  );
});

test("of a conversation the last turn of the assistant is what follows; long ones are left out", () => {
  const line = (question: string): string =>
    JSON.stringify({
      messages: [
        { role: "user", content: question },
        { role: "assistant", content: "Yes." },
        { role: "user", content: "ignored" },
      ],
    });
  const conversations = parseChat({ name: "c", text: `${line("Why?")}\n\n${line("Why? ".repeat(30))}\n` });
  expect(conversations).toHaveLength(2);
  const [window, ...others] = chatWindows(asked(true), "c", conversations, { prompt: 60, continuation: 3, windows: 9 });
  expect(others).toEqual([]);
  expect([text(window!.prompt), text(window!.continuation)]).toEqual(["<user>Why?\n<assistant>", "Yes"]);
  expect(() => chatWindows(asked(true), "c", conversations, { prompt: 9, continuation: 3, windows: 9 })).toThrow(
    /^chat: c; got prompts of at least 22 tokens, want one of at most 9/,
  );
});

test("needles: one for each length and depth, always the same, with a number found nowhere else", () => {
  const [lengths, depths] = [
    [400, 900],
    [0, 0.5, 1],
  ];
  const all = needles(asked(true), SAMPLE, lengths, depths);
  expect(all.map(({ length, depth }) => [length, depth])).toEqual(
    lengths.flatMap((length) => depths.map((depth) => [length, depth])),
  );
  expect(needles(asked(true), SAMPLE, lengths, depths)).toEqual(all);
  expect(new Set(all.map(({ value }) => text(value))).size).toBe(6);
  for (const { length, depth, prompt, lead, value } of all) {
    const whole = text(prompt);
    expect(text(value)).toMatch(/^\d{4}$/);
    expect(text(lead)).toMatch(/^The badge number of the \w+ \w+ is $/);
    expect(whole.split(text(lead) + text(value))).toHaveLength(2);
    expect(whole).toMatch(/\nWhat is the badge number of the \w+ \w+\?\n<assistant>$/);
    expect(prompt.length).toBeLessThanOrEqual(length + 4);
    expect(prompt.length).toBeGreaterThan(length - 300);
    const place = whole.indexOf(text(value)) / whole.length;
    expect(Math.abs(place - depth)).toBeLessThan(0.35);
  }
});

test("notes: four in one text, each asked for with its own value", () => {
  const all = noteProbes(asked(true), SAMPLE, 900);
  expect(all).toHaveLength(4);
  const texts = all.map(({ prompt }) => text(prompt).replace(/\n[^\n]*\n<assistant>$/, ""));
  expect(new Set(texts.map((each) => each.slice(0, 300))).size).toBe(1);
  for (const { lead, value, prompt } of all) expect(text(prompt)).toContain(`${text(lead)}${text(value)}.`);
});

test("a text without sentences is cut after some words; a model without turns is asked in lines", () => {
  expect(piecesOf("One two. “Three!” four")).toEqual(["One two.", "“Three!”", "four"]);
  expect(piecesOf("word ".repeat(90)).map((piece) => piece.split(" ").length)).toEqual([40, 40, 10]);
  const plain = asked(false);
  expect(text(promptOf(plain, "Text.", "Why?").slice(1))).toBe("Text.\n\nQuestion: Why?\nAnswer:");
  const { lead, value } = replyOf(plain, "It is", "42");
  expect([text(lead), text(value)]).toEqual([" It is ", "42"]);
});

test("questions: the answer and the wrong ones differ; what is right stands in the passage", () => {
  for (const { passage, answer, wrong, question } of QUESTIONS) {
    expect(new Set([answer, ...wrong]).size, question).toBe(4);
    expect(passage).toContain(answer);
  }
});

test("what is measured decides the cost; what is unknown is refused before any work", async () => {
  const window = { prompt: [1, 2], continuation: [3] };
  const material = { windows: [window], needles: [], notes: [], seconds: [], questions: [] };
  expect(totalCost(material, ["ce"])).toBe(2 + 6);
  expect(totalCost(material, ["ce", "greedy"])).toBe(2 + 6 + 2 + 6 * 64);
  expect(totalCost(material, MEASURES)).toBe(totalCost(material, ["ce", "greedy"]));
  const report = () => {};
  const refuse = (options: object) => expect(measureQuality({ source: "/nowhere/", ...options }, { report })).rejects;
  await refuse({ measures: ["ce", "bleu"] }).toThrow(
    'measures: got "bleu", want some of ce, greedy, needle, second, qa.',
  );
  await refuse({ rows: "int9" }).toThrow('rows: "int9"');
  await refuse({ texts: [{ name: "x", text: "" }] }).toThrow("text: x; got an empty file");
});
