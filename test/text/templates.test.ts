// Chat templates against transformers (test/golden/templates.py), and what they must not do to the page.
import { readFileSync } from "node:fs";
import { expect, test } from "playwright/test";
import type { ChatPrompt, Message } from "../../src/api.ts";
import { InputError, ModelError } from "../../src/errors.ts";
import { ChatTemplate, type RenderOptions } from "../../src/text/chat.ts";

interface Case {
  name: string;
  template: string;
  conversation: string;
  expect: { text: string } | { error: string };
}

const { specials, conversations, cases } = JSON.parse(readFileSync("test/golden/templates.json", "utf8")) as {
  specials: Record<string, string>;
  conversations: Record<string, ChatPrompt>;
  cases: Case[];
};

const USER: Message[] = [{ role: "user", content: "a" }];

const render = (source: string, messages: readonly Message[] = USER, options: RenderOptions = {}): string =>
  new ChatTemplate(source, specials).render(messages, options);

/** What the case renders, or the error it ends in. */
function outcome({ template, conversation }: Case): string | Error {
  const { messages, ...options } = conversations[conversation]!;
  try {
    return render(template, messages, { ...options, addGenerationPrompt: true });
  } catch (error) {
    return error as Error;
  }
}

test("every template gives the text of transformers, or fails where it fails", () => {
  const counts = { equal: 0, refused: 0, different: 0 };
  for (const each of cases) {
    const got = outcome(each);
    const where = `${each.name}, ${each.conversation}: ${each.template}`;
    if (got instanceof Error) expect.soft([ModelError, InputError], where).toContain(got.constructor);
    const want = "text" in each.expect ? each.expect.text : "an error";
    expect.soft(got instanceof Error ? "an error" : got, `${where}\n${String(got)}`).toBe(want);
    counts[got instanceof Error ? "refused" : got === want ? "equal" : "different"]++;
  }
  console.log(
    `templates: ${counts.equal} equal, ${counts.refused} refused as in Python, ${counts.different} different`,
  );
  expect(new Set(cases.map(({ template }) => template)).size).toBeGreaterThan(150);
});

const REFUSED: Record<string, string> = {
  "{{ x | nosuchfilter }}": "nosuchfilter",
  "{{ 'x' | pprint }}": "pprint",
  "{{ x is nosuchtest }}": "nosuchtest",
  "{{ 'a'.nosuchmethod() }}": "nosuchmethod",
  "{{ 'a'.encode() }}": "encode",
  "{{ [].append(1) }}": "append",
  "{{ nosuchfunction() }}": "nosuchfunction",
  "{% include 'x' %}": "include",
  "{% do 1 %}": "do",
  "a\nb{{ 1 + }}": "line 2",
  "{{ '<a>' | safe | upper }}": "safe",
  "{{ messages | map('upper') }}": "list",
  "{{ strftime_now('%Q') }}": "%Q",
  "{{ '{:g}'.format(1.5) }}": "format",
};

for (const [source, name] of Object.entries(REFUSED)) {
  test(`refused, with the name "${name}": ${source}`, () => {
    expect(() => render(source)).toThrow(ModelError);
    expect(() => render(source)).toThrow(name);
  });
}

const ENDLESS: Record<string, string> = {
  "loops in loops":
    "{% for a in range(9999) %}{% for b in range(9999) %}{% for c in range(9999) %}x{% endfor %}{% endfor %}{% endfor %}",
  "a condition that nothing meets": "{% for a in range(99999) if false %}{% endfor %}".repeat(100),
  "a text that doubles": "{% set n = namespace(t='x') %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
  "a list that doubles": "{% set n = namespace(t=[1]) %}{% for a in range(99) %}{% set n.t = n.t + n.t %}{% endfor %}",
  "a number that squares": "{% set n = namespace(t=9) %}{% for a in range(99) %}{% set n.t = n.t * n.t %}{% endfor %}",
  "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
  "two macros that call each other":
    "{% macro f() %}{{ g() }}{% endmacro %}{% macro g() %}{{ f() }}{% endmacro %}{{ g() }}",
  "a loop that calls itself": "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
  "a long text many times": "{{ 'x' * 1000000000 }}",
  "a long list many times": "{{ [1] * 1000000000 }}",
  "a power": "{{ 9 ** (9 ** 9) }}",
  "a wide field": "{{ '%999999999d' % 1 }}",
  "spaces around a text": "{{ 'x' | center(999999999) }}",
  "deep brackets": `{{ ${"(".repeat(100000)}1${")".repeat(100000)} }}`,
  "deep tags": `${"{% if true %}".repeat(100000)}${"{% endif %}".repeat(100000)}`,
};

for (const [name, source] of Object.entries(ENDLESS)) {
  test(`a template does not hang the page: ${name}`, () => {
    const started = performance.now();
    expect(() => render(source)).toThrow(ModelError);
    expect(performance.now() - started).toBeLessThan(5000);
  });
}

test("a long conversation is no endless one", () => {
  const turns = Array.from({ length: 2000 }, (_, at) => ({
    role: at % 2 ? "assistant" : "user",
    content: "word ".repeat(200),
  }));
  const source = "{% for m in messages %}{{ '<' + m.role + '>' + m['content'] | trim + '\\n' }}{% endfor %}";
  expect(render(source, turns)).toHaveLength(turns.reduce((sum, { role }) => sum + role.length + 3 + 999, 0));
});

test("what a template reads beside the conversation is known by name", () => {
  const variables = (source: string): string[] => new ChatTemplate(source, {}).variables;
  const own =
    "{% set ns = namespace(a=1) %}{% for m in messages if m %}{{ loop.index }}{{ ns.a }}{{ bos_token }}{% endfor %}";
  expect(variables(`${own}{{ tools }}{{ range(3) }}`)).toEqual([]);
  expect(variables("{% if enable_thinking is defined and not enable_thinking %}-{% endif %}")).toEqual([
    "enable_thinking",
  ]);
  expect(variables("{% if a is not defined %}{% set a = true %}{% endif %}{{ a }}")).toEqual(["a"]);
  expect(variables("{% set a = a | default(1) %}{% set b = 2 %}{{ b }}")).toEqual(["a"]);
  expect(variables("{% macro f(x, y=z) %}{{ x }}{{ y }}{% endmacro %}{{ f(u.v[w]) }}")).toEqual(["z", "u", "w"]);
  expect(variables("{% for a, b in messages %}{{ a }}{{ b }}{% endfor %}{% with c = d %}{{ c }}{% endwith %}")).toEqual(
    ["d"],
  );
});

test("tools, documents and variables reach the template; a variable may replace a special token", () => {
  const source = "{{ tools[0].name }}{{ documents[0].title }}{{ enable_thinking }}{{ bos_token }}{{ tools is none }}";
  const all = {
    tools: [{ name: "t" }],
    documents: [{ title: "d" }],
    variables: { enable_thinking: false, bos_token: "B" },
  };
  expect(render(source, USER, all)).toBe("tdFalseBFalse");
  expect(render("{{ tools is none }}{{ documents is none }}")).toBe("TrueTrue");
});

test("a whole number is an int, a Number object a float", () => {
  const message = { role: "user", content: "", n: [1, Object(1), 1.5, 2 ** 60, 1n], gone: undefined };
  expect(render("{{ messages[0].n | tojson }}{{ 'gone' in messages[0] }}", [message])).toBe(
    "[1, 1.0, 1.5, 1.152921504606847e+18, 1]False",
  );
});

test("malformed prompts are the caller's error, and name the field", () => {
  const cyclic: Record<string, unknown> = { role: "user", content: "" };
  cyclic["self"] = cyclic;
  const wrong: [string, unknown, unknown?][] = [
    ["role", [{ content: "x" }]],
    ["content", [{ role: "user" }]],
    ["content", [{ role: "user", content: 3 }]],
    ["part 0", [{ role: "user", content: ["x"] }]],
    ["text", [{ role: "user", content: [{ type: "text" }] }]],
    ["function", [{ role: "user", content: "", run: () => 1 }]],
    ["nested", [cyclic]],
    ["tools", USER, { tools: {} }],
    ["tools", USER, { tools: ["x"] }],
    ["documents", USER, { documents: [null] }],
    ["variables", USER, { variables: [] }],
    ["messages", USER, { variables: { messages: [] } }],
  ];
  for (const [name, messages, options] of wrong) {
    const run = (): string => render("{{ 1 }}", messages as Message[], options as RenderOptions);
    expect(run, name).toThrow(InputError);
    expect(run, name).toThrow(name);
  }
});
