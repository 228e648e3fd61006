// A template comes with a model, so it is untrusted: whatever it asks for, it ends soon and with a message.
import { expect, test } from "playwright/test";
import { ChatTemplate } from "../../src/text/chat.ts";

const BOUNDED: readonly (readonly [template: string, says: string])[] = [
  ["{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}", "more than 2000000 steps"],
  ["{% for i in range(100001) %}{% endfor %}", "range(): more than 100000 numbers"],
  ["{{ 'ab' * 100000000 }}", "text at once, too many"],
  ["{{ ([1] * 1000000) | length + ([1] * 1000001) | length }}", "items at once, too many"],
  ["{{ ('a' * 60000) | join('b' * 60000) }}", "text at once, too many"],
  ["{{ 'a' | indent(900000000, first=true) }}", "text at once, too many"],
  ["{{ 2 ** 100000 }}", "too large"],
  ["{% macro again() %}{{ again() }}{% endmacro %}{{ again() }}", "call themselves more than 100 times"],
  [
    "{% set s = namespace(x='ab') %}{% for i in range(100) %}{% set s.x = s.x + s.x %}{% endfor %}",
    "more than 2000000 steps",
  ],
];

for (const [template, says] of BOUNDED) {
  test(`a template ends: ${template.slice(0, 60)}`, () => {
    const render = () => new ChatTemplate(template, {}).render([{ role: "user", content: "x" }]);
    expect(render).toThrow(`chat template: it fails:`);
    expect(render).toThrow(says);
  });
}
