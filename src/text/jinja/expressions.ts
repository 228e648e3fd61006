// Expressions of a template, with the precedence that Jinja gives its operators.
import type { Arguments, Expression } from "./nodes.ts";
import type { BinaryOperator, Comparison } from "./operators.ts";
import { literalNumber, literalText } from "./literals.ts";
import type { Token, TokenKind } from "./lexer.ts";
import { fail } from "./values.ts";

const NOTHING: Expression = { kind: "constant", value: null };
const NO_ARGUMENTS: Arguments = { positional: [], named: [], list: null, dict: null };
const COMPARISONS = ["==", "!=", "<", "<=", ">", ">="];
const CONSTANTS: Readonly<Record<string, boolean | null>> = {
  true: true,
  True: true,
  false: false,
  False: false,
  none: null,
  None: null,
};
/** Kinds of a token that can begin the argument of a test without parentheses. */
const OPERANDS: readonly TokenKind[] = ["name", "string", "integer", "float"];

export class ExpressionParser {
  readonly #tokens: readonly Token[];
  #at = 0;
  /** Every name that was read, for macros, which take what they name. */
  protected names = new Set<string>();

  constructor(tokens: readonly Token[]) {
    this.#tokens = tokens;
  }

  protected get current(): Token {
    return this.#tokens[this.#at]!;
  }

  protected next(): Token {
    return this.#tokens[this.current.kind === "over" ? this.#at : this.#at++]!;
  }

  protected fail(what: string, token = this.current): never {
    return fail(`line ${token.line}: ${what}`);
  }

  protected is(kind: TokenKind, ...texts: readonly string[]): boolean {
    return this.current.kind === kind && (texts.length === 0 || texts.includes(this.current.text));
  }

  protected skip(kind: TokenKind, text: string): boolean {
    const found = this.is(kind, text);
    if (found) this.#at++;
    return found;
  }

  protected expect(kind: TokenKind, text?: string): Token {
    if (this.current.kind === kind && (text === undefined || this.current.text === text)) return this.next();
    return this.fail(`got ${this.current.text ? `"${this.current.text}"` : "the end"}, want ${text ?? `a ${kind}`}`);
  }

  protected expression(): Expression {
    let left = this.or();
    while (this.skip("name", "if")) {
      const test = this.or();
      const otherwise = this.skip("name", "else") ? this.expression() : null;
      left = { kind: "choice", test, chosen: left, otherwise };
    }
    return left;
  }

  /** Without `if`: what stands before the condition of a loop. */
  protected or(): Expression {
    let left = this.#and();
    while (this.skip("name", "or")) left = { kind: "or", left, right: this.#and() };
    return left;
  }

  #and(): Expression {
    let left = this.#not();
    while (this.skip("name", "and")) left = { kind: "and", left, right: this.#not() };
    return left;
  }

  #not(): Expression {
    return this.skip("name", "not") ? { kind: "not", of: this.#not() } : this.#comparison();
  }

  #comparison(): Expression {
    const first = this.#sum();
    const rest: [Comparison, Expression][] = [];
    for (let operator = this.#comparator(); operator !== null; operator = this.#comparator())
      rest.push([operator, this.#sum()]);
    return rest.length === 0 ? first : { kind: "compare", first, rest };
  }

  #comparator(): Comparison | null {
    if (this.is("operator", ...COMPARISONS)) return this.next().text as Comparison;
    if (this.skip("name", "in")) return "in";
    const following = this.#tokens[this.#at + 1];
    if (!this.is("name", "not") || following?.kind !== "name" || following.text !== "in") return null;
    this.#at += 2;
    return "not in";
  }

  #sum = (): Expression => this.#chain(this.#concat, ["+", "-"]);

  #concat = (): Expression => {
    const items = [this.#product()];
    while (this.skip("operator", "~")) items.push(this.#product());
    return items.length === 1 ? items[0]! : { kind: "concat", items };
  };

  #product = (): Expression => this.#chain(this.#power, ["*", "/", "//", "%"]);

  /** From left to right: Jinja's ** is no exception. */
  #power = (): Expression => this.#chain(() => this.#unary(true), ["**"]);

  #chain(operand: () => Expression, operators: readonly string[]): Expression {
    let left = operand();
    while (this.is("operator", ...operators)) {
      const operator = this.next().text as BinaryOperator;
      left = { kind: "binary", operator, left, right: operand() };
    }
    return left;
  }

  /** A sign binds more than a filter: -1|abs is 1. */
  #unary(withFilters: boolean): Expression {
    const isSigned = this.is("operator", "-", "+");
    const first = isSigned ? this.#signed() : this.primary();
    const whole = this.#postfix(first);
    return withFilters ? this.#filtered(whole) : whole;
  }

  #signed(): Expression {
    const minus = this.next().text === "-";
    return { kind: "sign", minus, of: this.#unary(false) };
  }

  protected primary(): Expression {
    const token = this.next();
    if (token.kind === "name") return this.#name(token.text);
    if (token.kind === "string") return { kind: "constant", value: this.#text(token) };
    if (token.kind === "integer" || token.kind === "float") return { kind: "constant", value: literalNumber(token) };
    if (token.kind === "operator" && token.text === "(") return this.#parenthesis();
    if (token.kind === "operator" && token.text === "[") return { kind: "list", items: this.#items("]") };
    if (token.kind === "operator" && token.text === "{") return { kind: "dict", entries: this.#entries() };
    return this.fail(token.text ? `unexpected "${token.text}"` : "it ends early", token);
  }

  #name(name: string): Expression {
    if (Object.hasOwn(CONSTANTS, name)) return { kind: "constant", value: CONSTANTS[name]! };
    this.names.add(name);
    return { kind: "name", name };
  }

  #text(token: Token): string {
    let text = literalText(token);
    while (this.is("string")) text += literalText(this.next());
    return text;
  }

  #parenthesis(): Expression {
    const inner = this.tuple(
      () => this.expression(),
      () => this.is("operator", ")"),
      true,
    );
    this.expect("operator", ")");
    return inner;
  }

  /** Expressions with commas between them are a tuple; one without a comma is itself. */
  protected tuple(item: () => Expression, ends: () => boolean, mayBeEmpty = false): Expression {
    const items: Expression[] = [];
    let commas = 0;
    while (!ends()) {
      items.push(item());
      if (!this.skip("operator", ",")) break;
      commas++;
    }
    if (commas === 0 && items.length === 1) return items[0]!;
    return commas > 0 || mayBeEmpty ? { kind: "tuple", items } : this.fail("want an expression");
  }

  #items(closing: string): Expression[] {
    const items: Expression[] = [];
    while (!this.skip("operator", closing)) {
      if (items.length > 0) this.expect("operator", ",");
      if (this.skip("operator", closing)) break;
      items.push(this.expression());
    }
    return items;
  }

  #entries(): [Expression, Expression][] {
    const entries: [Expression, Expression][] = [];
    while (!this.skip("operator", "}")) {
      if (entries.length > 0) this.expect("operator", ",");
      if (this.skip("operator", "}")) break;
      const key = this.expression();
      this.expect("operator", ":");
      entries.push([key, this.expression()]);
    }
    return entries;
  }

  #postfix(start: Expression): Expression {
    let of = start;
    for (;;) {
      if (this.skip("operator", ".")) of = this.#attribute(of);
      else if (this.skip("operator", "[")) of = this.#subscript(of);
      else if (this.is("operator", "(")) of = { kind: "call", callee: of, given: this.#arguments() };
      else return of;
    }
  }

  #attribute(of: Expression): Expression {
    if (this.is("integer")) return { kind: "item", of, index: this.primary() };
    return { kind: "attribute", of, name: this.expect("name").text };
  }

  #subscript(of: Expression): Expression {
    const start = this.is("operator", ":") ? NOTHING : this.expression();
    if (this.skip("operator", "]")) return { kind: "item", of, index: start };
    this.expect("operator", ":");
    const stop = this.is("operator", ":", "]") ? NOTHING : this.expression();
    const step = this.skip("operator", ":") && !this.is("operator", "]") ? this.expression() : NOTHING;
    this.expect("operator", "]");
    return { kind: "slice", of, start, stop, step };
  }

  #filtered(start: Expression): Expression {
    let input = start;
    for (;;) {
      if (this.skip("operator", "|")) input = this.filter(input);
      else if (this.skip("name", "is")) input = this.#test(input);
      else if (this.is("operator", "(")) input = { kind: "call", callee: input, given: this.#arguments() };
      else return input;
    }
  }

  protected filter(input: Expression): Expression {
    const name = this.expect("name").text;
    return { kind: "filter", name, input, given: this.is("operator", "(") ? this.#arguments() : NO_ARGUMENTS };
  }

  #test(input: Expression): Expression {
    const negated = this.skip("name", "not");
    const name = this.expect("name").text;
    const test: Expression = { kind: "test", name, input, given: this.#testArguments() };
    return negated ? { kind: "not", of: test } : test;
  }

  #testArguments(): Arguments {
    if (this.is("operator", "(")) return this.#arguments();
    const begins = OPERANDS.includes(this.current.kind) || this.is("operator", "[", "{");
    if (!begins || this.is("name", "else", "or", "and")) return NO_ARGUMENTS;
    if (this.is("name", "is")) this.fail("two tests in a row");
    return { ...NO_ARGUMENTS, positional: [this.#postfix(this.primary())] };
  }

  #arguments(): Arguments {
    const [positional, named]: [Expression[], [string, Expression][]] = [[], []];
    let [list, dict]: (Expression | null)[] = [null, null];
    this.expect("operator", "(");
    while (!this.skip("operator", ")")) {
      if (this.skip("operator", "*")) list = this.expression();
      else if (this.skip("operator", "**")) dict = this.expression();
      else if (this.#isNamed()) named.push([this.#argumentName(), this.expression()]);
      else if (named.length > 0 || list || dict) this.fail("an argument without a name after one with a name");
      else positional.push(this.expression());
      if (!this.is("operator", ")")) this.expect("operator", ",");
    }
    return { positional, named, list: list ?? null, dict: dict ?? null };
  }

  #isNamed(): boolean {
    const following = this.#tokens[this.#at + 1];
    return this.is("name") && following?.kind === "operator" && following.text === "=";
  }

  #argumentName(): string {
    const { text } = this.next();
    this.expect("operator", "=");
    return text;
  }
}
