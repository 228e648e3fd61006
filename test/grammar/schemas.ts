// Schemas of bounded replies, one or more of each thing that is kept. The replies are bounded because whoever writes them may
// be a model that never comes to an end by itself.
const object = (properties: Record<string, object>, more: object = {}) => ({
  type: "object",
  properties,
  required: Object.keys(properties),
  additionalProperties: false,
  ...more,
});
const text = (maxLength: number, minLength = 0) => ({ type: "string", minLength, maxLength });
const whole = (minimum: number, maximum: number) => ({ type: "integer", minimum, maximum });
const list = (items: object, minItems: number, maxItems: number) => ({ type: "array", items, minItems, maxItems });
const oneOf = (...values: unknown[]) => ({ enum: values });
const yes = { type: "boolean" };
const nothing = { type: "null" };

const person = object({ name: text(12, 1), age: whole(0, 130) });
const point = object({ x: whole(-99, 99), y: whole(-99, 99) });

export const SCHEMAS: readonly object[] = [
  yes,
  nothing,
  text(10),
  text(5, 5),
  text(1, 1),
  whole(0, 9),
  whole(-15, 203),
  whole(95, 1007),
  whole(-20, -3),
  { type: "integer", exclusiveMinimum: 3, exclusiveMaximum: 6 },
  { type: "integer", minimum: 1.5, maximum: 3.2 },
  { type: "integer", minimum: 100 },
  { type: "integer", maximum: -3 },
  oneOf("red", "green", "blue"),
  oneOf(1, "a", null, true, [1, 2], { a: 1 }),
  { type: "string", enum: ["é", 'a "quoted" word', "a\\b", "line\nbreak", "日本"] },
  { const: { version: 2 } },
  { type: ["boolean", "null"] },
  { anyOf: [whole(0, 5), oneOf("none")] },
  { oneOf: [yes, text(3)] },
  { type: "string", pattern: "^[A-Z]{2}\\d{3}$" },
  { type: "string", pattern: "(cat|dog)s?" },
  { type: "string", pattern: "^.{2,4}$" },
  { type: "string", pattern: "^[^a-z]{1,3}(é|[\\w.\\-]x)$" },
  { type: "string", pattern: "^\\w{1,6}\\.(txt|md)$" },
  { type: "string", format: "date" },
  { type: "string", pattern: "^([01]\\d|2[0-3]):[0-5]\\d$" },
  { type: "string", format: "uuid" },
  { type: "string", format: "ipv4" },
  list(yes, 0, 3),
  list(whole(0, 9), 3, 3),
  list(list(yes, 1, 2), 1, 2),
  { type: "array", prefixItems: [whole(0, 9), yes] },
  { type: "array", prefixItems: [text(4)], items: nothing, maxItems: 3 },
  object({}),
  person,
  point,
  object({ people: list(person, 1, 2) }),
  object({ from: point, to: point }),
  object({ title: text(20), tags: list(oneOf("new", "old", "used"), 0, 3), price: whole(0, 100000) }),
  object({ a: yes, b: yes, c: yes }, { required: ["b"] }),
  object({ a: yes, b: yes, c: yes }, { required: [], minProperties: 2, maxProperties: 2 }),
  object({ "a key": yes, ключ: nothing, "x.y-z": yes }),
  object({ kind: { const: "circle" }, radius: whole(1, 50) }),
  {
    anyOf: [
      object({ kind: { const: "circle" }, r: whole(1, 9) }),
      object({ kind: { const: "square" }, side: whole(1, 9) }),
    ],
  },
  {
    $defs: { p: point },
    type: "object",
    properties: { p: { $ref: "#/$defs/p" } },
    required: ["p"],
    additionalProperties: false,
  },
  { definitions: { flag: yes }, $ref: "#/definitions/flag" },
  object({ deep: object({ deeper: object({ deepest: whole(0, 3) }) }) }),
  {
    title: "A note",
    description: "With annotations",
    ...object({ text: { ...text(15), description: "What it says" } }),
  },
  object({
    city: text(12, 1),
    unit: oneOf("celsius", "fahrenheit"),
    days: whole(1, 14),
    details: { anyOf: [yes, nothing] },
  }),
];

/** What cannot be kept, and what its error names. */
export const REFUSED: readonly (readonly [schema: unknown, name: RegExp])[] = [
  [{ type: "number", minimum: 0 }, /schema; got minimum with type number/],
  [{ type: "array", items: yes, uniqueItems: true }, /uniqueItems/],
  [{ type: "integer", multipleOf: 3 }, /multipleOf/],
  [{ not: nothing }, /not with no type/],
  [{ if: yes }, /if with/],
  [{ allOf: [yes, yes] }, /allOf/],
  [object({ a: { type: "strin" } }), /schema\.properties\.a\.type; got "strin"/],
  [object({ a: yes }, { required: ["b"] }), /schema\.required; got "b"/],
  [object({ a: yes }, { anyOf: [{ required: ["a"] }] }), /type with anyOf|properties with anyOf/],
  [{ type: "string", pattern: "(?=a)b" }, /pattern/],
  [object({ 'a "quote"': yes }), /schema\.properties; got/],
  [{ type: "string", pattern: "[é-ü]" }, /pattern/],
  [{ type: "string", pattern: 'say "x"' }, /pattern/],
  [{ type: "string", pattern: "a\\sb" }, /pattern/],
  [{ type: "string", pattern: "a", maxLength: 3 }, /several of pattern, format and lengths/],
  [{ type: "string", format: "regex" }, /format; got "regex"/],
  [{ type: "string", maxLength: -1 }, /maxLength; got -1/],
  [whole(3, 1), /bounds 3 to 1/],
  [{ type: "integer", enum: [1, "x"] }, /schema\.enum; got "x"/],
  [false, /schema; got false/],
  ["text", /schema; got "text"/],
  [{ type: "array", contains: yes }, /contains/],
];
