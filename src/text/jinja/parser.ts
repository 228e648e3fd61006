// Statements of a template.
import { ExpressionParser } from "./expressions.ts";
import { tokenize } from "./lexer.ts";
import { type Body, CAPTURED, type Expression, type Signature, type Statement, type Target } from "./nodes.ts";
import { fail } from "./values.ts";

/** Tags of Jinja that are not supported. */
const REFUSED = ["autoescape", "block", "extends", "from", "import", "include", "print"];

/** The tree of a template. Errors: TemplateFailure with the line and what is wrong. */
export const parse = (source: string): Body => new Parser(tokenize(source)).whole();

class Parser extends ExpressionParser {
  /** How many loops are open: what `break` needs. */
  #loops = 0;

  readonly #statements: Readonly<Record<string, () => Statement>> = {
    if: () => this.#if(),
    for: () => this.#for(),
    set: () => this.#set(),
    macro: () => this.#macro(),
    call: () => this.#callBlock(),
    filter: () => this.#filterBlock(),
    with: () => this.#with(),
    generation: () => this.#generation(),
    break: () => this.#leave("break"),
    continue: () => this.#leave("continue"),
  };

  whole(): Body {
    return this.#body([]);
  }

  /** Statements up to one of the tags `ends`, of which the name is the current token then, or to the end. */
  #body(ends: readonly string[]): Body {
    const body: Statement[] = [];
    while (!this.is("over")) {
      const token = this.next();
      if (token.kind === "text") body.push({ kind: "text", text: token.text });
      else if (token.text === "{{") body.push(this.#print());
      else if (this.is("name", ...ends) && ends.length > 0) return body;
      else body.push(this.#statement());
    }
    return ends.length === 0 ? body : this.fail(`it ends without {% ${ends.at(-1)} %}`);
  }

  #print(): Statement {
    const value = this.#values(() => this.is("end"));
    this.expect("end", "}}");
    return { kind: "print", value };
  }

  #values(ends: () => boolean): Expression {
    return this.tuple(() => this.expression(), ends);
  }

  #statement(): Statement {
    const { text, line } = this.expect("name");
    const statement = Object.hasOwn(this.#statements, text) ? this.#statements[text]! : null;
    if (!statement)
      return fail(`line ${line}: ${REFUSED.includes(text) ? "the" : "an unknown"} tag {% ${text} %} is not supported`);
    const made = statement();
    this.expect("end", "%}");
    return made;
  }

  /** The body of a tag up to {% end %}. The closing %} is left to the caller. */
  #block(end: string): Body {
    const body = this.#section(end);
    this.next();
    return body;
  }

  /** The same, with the name of the tag that ends it still to be read. */
  #section(...ends: readonly string[]): Body {
    this.skip("operator", ":");
    this.expect("end", "%}");
    return this.#body(ends);
  }

  #if(): Statement {
    const branches: [Expression, Body][] = [];
    do {
      const test = this.tuple(
        () => this.or(),
        () => this.is("end"),
      );
      branches.push([test, this.#section("elif", "else", "endif")]);
    } while (this.skip("name", "elif"));
    const otherwise = this.skip("name", "else") ? this.#section("endif") : [];
    this.expect("name", "endif");
    return { kind: "if", branches, otherwise };
  }

  #for(): Statement {
    const target = this.#target((): boolean => this.is("name", "in"));
    this.expect("name", "in");
    const over = this.tuple(
      () => this.or(),
      () => this.is("end") || this.is("name", "recursive", "if"),
    );
    const only = this.skip("name", "if") ? this.expression() : null;
    const isRecursive = this.skip("name", "recursive");
    this.#loops++;
    const body = this.#section("else", "endfor");
    this.#loops--;
    const otherwise = this.skip("name", "else") ? this.#section("endfor") : [];
    this.expect("name", "endfor");
    return { kind: "for", target, over, only, isRecursive, body, otherwise };
  }

  #target(ends: () => boolean): Target {
    const targets: Target[] = [];
    let commas = 0;
    while (!ends()) {
      targets.push(this.#oneTarget());
      if (!this.skip("operator", ",")) break;
      commas++;
    }
    return targets.length === 1 && commas === 0 ? targets[0]! : { kind: "names", targets };
  }

  #oneTarget(): Target {
    if (this.skip("operator", "(")) {
      const inner = this.#target(() => this.is("operator", ")"));
      this.expect("operator", ")");
      return inner;
    }
    const name = this.expect("name").text;
    if (["true", "false", "none", "True", "False", "None"].includes(name))
      this.fail(`nothing can be assigned to ${name}`);
    return this.skip("operator", ".") ? this.#field(name) : { kind: "name", name };
  }

  #field(namespace: string): Target {
    this.names.add(namespace);
    return { kind: "field", namespace, name: this.expect("name").text };
  }

  #set(): Statement {
    const target = this.#target(() => this.is("operator", "=") || this.is("end"));
    if (this.skip("operator", "=")) return { kind: "set", target, value: this.#values(() => this.is("end")) };
    let filtered: Expression = { kind: "name", name: CAPTURED };
    while (this.skip("operator", "|")) filtered = this.filter(filtered);
    return { kind: "capture", target, body: this.#block("endset"), filtered };
  }

  #filterBlock(): Statement {
    let filtered: Expression = this.filter({ kind: "name", name: CAPTURED });
    while (this.skip("operator", "|")) filtered = this.filter(filtered);
    return { kind: "capture", target: null, body: this.#block("endfilter"), filtered };
  }

  #macro(): Statement {
    const name = this.expect("name").text;
    return { kind: "macro", name, signature: this.#signature("endmacro") };
  }

  #callBlock(): Statement {
    const parameters = this.is("operator", "(") ? this.#parameters() : [];
    const call = this.expression();
    if (call.kind !== "call") return this.fail("{% call %} without a call");
    return { kind: "call", call, signature: this.#function("endcall", parameters) };
  }

  #signature(end: string): Signature {
    return this.#function(end, this.#parameters());
  }

  /** A body of its own: loops around it cannot be left, and its names are its own. */
  #function(end: string, parameters: Signature["parameters"]): Signature {
    const [loops, names] = [this.#loops, this.names];
    [this.#loops, this.names] = [0, new Set()];
    const body = this.#block(end);
    const uses = this.names;
    this.#loops = loops;
    this.names = new Set([...names, ...uses]);
    return { parameters, uses, body };
  }

  #parameters(): Signature["parameters"] {
    const parameters: { name: string; otherwise: Expression | null }[] = [];
    this.expect("operator", "(");
    while (!this.skip("operator", ")")) {
      if (parameters.length > 0) this.expect("operator", ",");
      const name = this.expect("name").text;
      const otherwise = this.skip("operator", "=") ? this.expression() : null;
      if (!otherwise && parameters.at(-1)?.otherwise) this.fail("a parameter without a default after one with it");
      parameters.push({ name, otherwise });
    }
    return parameters;
  }

  #with(): Statement {
    const variables: [Target, Expression][] = [];
    while (!this.is("end") && !this.is("operator", ":")) {
      if (variables.length > 0) this.expect("operator", ",");
      const target = this.#oneTarget();
      this.expect("operator", "=");
      variables.push([target, this.expression()]);
    }
    return { kind: "with", variables, body: this.#block("endwith") };
  }

  /** What marks the assistant's words for training: a scope of its own, nothing else. */
  #generation(): Statement {
    const { body } = this.#function("endgeneration", []);
    return { kind: "with", variables: [], body };
  }

  #leave(kind: "break" | "continue"): Statement {
    return this.#loops > 0 ? { kind } : this.fail(`{% ${kind} %} outside a loop`);
  }
}
