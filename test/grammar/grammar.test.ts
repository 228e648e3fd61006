// Grammars over Fable's tokens, without a model: whatever tokens are drawn among those allowed, the reply is what it must be.
import { Ajv2020 } from "ajv/dist/2020.js";
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import type { TokenConstraint } from "../../src/engine/sequence.ts";
import { type CompiledConstraint, Grammars, savedConstraint } from "../../src/grammar/constraint.ts";
import { Tokenizer } from "../../src/text/tokenizer.ts";
import { random } from "../kernels/spec.ts";
import { REFUSED, SCHEMAS } from "./schemas.ts";

const json = (name: string): Record<string, unknown> => JSON.parse(readFileSync(`demo/models/fable/${name}`, "utf8"));
const tokenizer = await Tokenizer.create({
  json: json("tokenizer.json"),
  config: json("tokenizer_config.json"),
});
const END = tokenizer.idOf("<|end|>")!;
const size = tokenizer.vocabularySize;
const grammars = new Grammars({ tokenizer, size, endTokens: new Set([END]), marks: ["<|user|>"] });
const ajv = new Ajv2020({ strict: false, validateFormats: false });

const idsOf = (allowed: Uint32Array): number[] =>
  Array.from({ length: size }, (_, id) => id).filter((id) => (allowed[id >>> 5]! >>> (id & 31)) & 1);

/** Whether its bytes are whole characters: a draw among bytes alone makes text that is no UTF-8. */
const broken = new Set([...Array(size).keys()].filter((id) => tokenizer.decode([id]).includes("\ufffd")));
const isWhole = (id: number): boolean => !broken.has(id);

/** Draws evenly among the tokens allowed until the end. */
async function drawn(constraint: TokenConstraint, seed: number): Promise<string> {
  const uniform = random(seed);
  const tokens: number[] = [];
  for (let done = false; !done && tokens.length < 400;) {
    const allowed = idsOf((await constraint.allowed())!);
    const whole = allowed.filter(isWhole);
    const ids = whole.length > 0 ? whole : allowed; // within a character there is no other way
    const token = ids[Math.floor(uniform() * ids.length)]!;
    done = constraint.accept(token) || token === END;
    tokens.push(token);
  }
  constraint.dispose();
  expect(tokens.at(-1)).toBe(END);
  return tokenizer.decode(tokens.slice(0, -1));
}

test("every reply under 50 schemas is JSON of its schema", async () => {
  expect(SCHEMAS.length).toBe(50);
  for (const [i, schema] of SCHEMAS.entries()) {
    const constraint = await grammars.compile({ json: schema });
    const valid = ajv.compile(schema);
    for (let seed = 0; seed < 3; seed++) {
      const text = await drawn(constraint.begin(), 100 * i + seed);
      expect(valid(JSON.parse(text)), `${text} of ${JSON.stringify(schema)}`).toBe(true);
      expect(text).not.toMatch(/[\n\t]/); // on one line
    }
  }
});

for (const [schema, name] of REFUSED) {
  test(`a schema that cannot be kept is refused by name: ${JSON.stringify(schema)}`, async () => {
    await expect(grammars.compile({ json: schema as object })).rejects.toThrow(name);
  });
}

/** Whether the text, a token at a time, is a whole reply. */
async function accepts(constraint: CompiledConstraint, text: string): Promise<boolean> {
  const reply = constraint.begin();
  try {
    for (const token of [...tokenizer.encode(text, { addSpecial: false }), END]) {
      const allowed = await reply.allowed();
      if (!idsOf(allowed!).includes(token)) return false;
      reply.accept(token);
    }
    return true;
  } finally {
    reply.dispose();
  }
}

test("integers bounded at one side: exactly those at the right side of it", async () => {
  const cases: [object, Record<string, boolean>][] = [
    [
      { type: "integer", minimum: -5 },
      { "-6": false, "-5": true, "-1": true, "0": true, "44": true, "-44": false },
    ],
    [
      { type: "integer", maximum: -3 },
      { "-3": true, "-2": false, "-44": true, "3": false },
    ],
    [
      { type: "integer", minimum: 100 },
      { "99": false, "100": true, "1234567": true },
    ],
    [
      { type: "integer", maximum: 12 },
      { "13": false, "12": true, "-500": true, "20": false },
    ],
  ];
  for (const [schema, texts] of cases) {
    const constraint = await grammars.compile({ json: schema });
    for (const [text, want] of Object.entries(texts))
      expect([schema, text, await accepts(constraint, text)]).toEqual([schema, text, want]);
  }
});

test("a grammar of one's own, and shapes joined of texts, schemas and choices", async () => {
  const own = await grammars.compile({ grammar: 'root ::= "yes" | "no" more\nmore ::= (" no")*' });
  for (const [text, want] of [
    ["yes", true],
    ["no no no", true],
    ["maybe", false],
  ] as const)
    expect(await accepts(own, text)).toBe(want);
  const call = { sequence: [{ text: '<call "x">\n' }, { json: { type: "integer", minimum: 1, maximum: 3 } }] };
  const shape = { choice: [{ repeat: call, between: "; " }, { json: { type: "boolean" } }] };
  const joined = await grammars.compileShape(shape);
  for (const [text, want] of [
    ['<call "x">\n2', true],
    ['<call "x">\n2; <call "x">\n3', true],
    ["true", true],
    ['<call "x">\n4', false],
  ] as const)
    expect([text, await accepts(joined, text)]).toEqual([text, want]);
});

test("a control token counts as its text where it is a mark", async () => {
  const marked = await grammars.compile({ grammar: 'root ::= "<|user|>" "yes"' });
  expect(idsOf((await marked.begin().allowed())!)).toContain(tokenizer.idOf("<|user|>"));
});

test("a grammar that does not compile is an error, and later ones compile", async () => {
  await expect(grammars.compile({ grammar: "root ::= (" })).rejects.toThrow("constraint: the grammar does not compile");
  const constraint = await grammars.compile({ json: { type: "boolean" } });
  expect(JSON.parse(await drawn(constraint.begin(), 1))).toEqual(expect.any(Boolean));
});

test("a reply given up before its grammar was opened leaves nothing", async () => {
  const reply = (await grammars.compile({ json: { type: "boolean" } })).begin();
  const asked = reply.allowed();
  reply.dispose();
  expect(await asked).toBeNull();
});

test("a reply that was cut goes on where it was, and from what was saved of its constraint", async () => {
  const schema = { type: "object", properties: { name: { type: "string" } }, required: ["name"] };
  const compiled = await grammars.compile({ json: schema });
  const begun = tokenizer.encode('{"name": "To', { addSpecial: false });
  const whole = compiled.begin();
  await whole.allowed();
  for (const token of begun) whole.accept(token);
  const want = idsOf((await whole.allowed())!);
  whole.dispose();
  const saved = savedConstraint(compiled.spec, async () => grammars);
  for (const following of [compiled.begin(begun), saved.begin(begun)]) {
    expect(idsOf((await following.allowed())!)).toEqual(want);
    following.dispose();
  }
  expect(want.length).toBeGreaterThan(100); // within a string
  expect(idsOf((await compiled.begin().allowed())!).length).toBeLessThan(20);
});
