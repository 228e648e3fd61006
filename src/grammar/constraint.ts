// Grammars over a model's tokens: compiled once, followed token by token.
import type { Constraint, ConstraintSpec } from "../completions.ts";
import type { TokenConstraint } from "../engine/sequence.ts";
import { InputError } from "../errors.ts";
import { bytesToAlphabet, toAlphabet } from "../text/alphabet.ts";
import type { Tokenizer } from "../text/tokenizer.ts";
import { grammarOf, type Shape } from "./shape.ts";
import { type CompiledGrammar, type Engine, type GrammarCompiler, type GrammarMatcher, xgrammar } from "./xgrammar.ts";

/** The tokens that a grammar is over. */
export interface Vocabulary {
  tokenizer: Tokenizer;
  /** V: entries of a row of logits, at least as many as there are tokens. */
  size: number;
  endTokens: ReadonlySet<number>;
  /** Control tokens that count as their text: what a model marks its calls with. */
  marks: readonly string[];
}

/** JSON on one line. Whitespace that a grammar leaves open is where small models go round in circles. */
const ONE_LINE = [false, -1, [", ", ": "], true] as const;

interface Compiler {
  engine: Engine;
  compiler: GrammarCompiler;
}

/** The constraints of one model. The first takes a moment: the grammar engine reads all tokens. */
export class Grammars {
  readonly vocabulary: Vocabulary;
  #opening: Promise<Compiler> | null = null;

  constructor(vocabulary: Vocabulary) {
    this.vocabulary = vocabulary;
  }

  /** Throws InputError for a schema or grammar that cannot be kept, UnsupportedError without the grammar engine. */
  async compile(spec: ConstraintSpec): Promise<CompiledConstraint> {
    return this.compileShape("grammar" in spec ? { ebnf: spec.grammar } : { json: spec.json }, spec);
  }

  async compileShape(shape: Shape, spec?: ConstraintSpec): Promise<CompiledConstraint> {
    const { engine, compiler } = await this.#open();
    const rules = async (schema: object): Promise<string> => {
      const [whitespace, indent, separators, strict] = ONE_LINE;
      const grammar = await engine.Grammar.fromJSONSchema(
        JSON.stringify(schema),
        whitespace,
        indent,
        [...separators] as [string, string],
        strict,
      );
      const text = grammar.toString();
      grammar.dispose();
      return text;
    };
    try {
      const grammar = await grammarOf(shape, rules);
      return new CompiledConstraint(spec ?? { grammar }, this, engine, await compiler.compileGrammar(grammar));
    } catch (cause) {
      if (cause instanceof InputError) throw cause;
      this.#opening = null; // an error ends its WebAssembly module's work: what it holds is not used again
      throw new InputError(
        `constraint: the grammar does not compile; got ${String(cause).slice(0, 200)}, want EBNF with a rule root, or a JSON schema. Correct it.`,
        { cause },
      );
    }
  }

  #open(): Promise<Compiler> {
    this.#opening ??= this.#make().catch((error: unknown) => {
      this.#opening = null;
      throw error;
    });
    return this.#opening;
  }

  async #make(): Promise<Compiler> {
    const engine = await xgrammar();
    const { endTokens, size } = this.vocabulary;
    const texts = tokenTexts(this.vocabulary);
    const info = await engine.TokenizerInfo.createTokenizerInfo(texts, "byte_level", false, size, [...endTokens]);
    return { engine, compiler: await engine.GrammarCompiler.createGrammarCompiler(info) };
  }
}

/** By id, in GPT-2's alphabet of bytes; none for control tokens, which no grammar has. */
function tokenTexts({ tokenizer, size, marks }: Vocabulary): string[] {
  const byId = new Map(marks.map((mark) => [tokenizer.idOf(mark), mark] as const));
  const count = Math.min(size, tokenizer.vocabularySize); // a tokenizer may know tokens that no logit is of
  return Array.from({ length: count }, (_, id) =>
    byId.has(id) ? toAlphabet(byId.get(id)!) : bytesToAlphabet(tokenizer.bytesOf(id)),
  );
}

/** What nobody can reach any more gives its memory in the WebAssembly module back. */
const forgotten = new FinalizationRegistry<CompiledGrammar>((compiled) => compiled.dispose());

/** A compiled grammar, for any number of replies. */
export class CompiledConstraint implements Constraint {
  readonly spec: ConstraintSpec;
  /** Whose it is. */
  readonly grammars: Grammars;
  readonly #engine: Engine;
  readonly #compiled: CompiledGrammar;

  constructor(spec: ConstraintSpec, grammars: Grammars, engine: Engine, compiled: CompiledGrammar) {
    this.spec = spec;
    this.grammars = grammars;
    this.#engine = engine;
    this.#compiled = compiled;
    forgotten.register(this, compiled);
  }

  /** Of one reply, which begins, or goes on after `tokens`. */
  begin(tokens: readonly number[] = []): TokenConstraint {
    return new Following(() => this.matcher(), tokens);
  }

  matcher(): Promise<GrammarMatcher> {
    const ends = [...this.grammars.vocabulary.endTokens];
    // Without an end token a reply ends where nothing can follow.
    return this.#engine.GrammarMatcher.createGrammarMatcher(this.#compiled, undefined, ends.length === 0);
  }
}

/** The constraint of a reply that was saved: compiled once it goes on. */
export const savedConstraint = (spec: ConstraintSpec, grammars: () => Promise<Grammars>): Resumable => ({
  spec,
  begin: (tokens) => new Following(async () => (await (await grammars()).compile(spec)).matcher(), tokens),
});

/** A constraint that a reply which was cut can go on under. */
export interface Resumable extends Constraint {
  begin(tokens: readonly number[]): TokenConstraint;
}

/** A reply on its way through a grammar. */
class Following implements TokenConstraint {
  readonly #open: () => Promise<GrammarMatcher>;
  /** What the reply has already. */
  readonly #begun: readonly number[];
  #matcher: GrammarMatcher | null = null;
  #over = false;

  constructor(open: () => Promise<GrammarMatcher>, begun: readonly number[]) {
    this.#open = open;
    this.#begun = begun;
  }

  async allowed(): Promise<Uint32Array<ArrayBuffer> | null> {
    const matcher = (this.#matcher ??= await this.#begin());
    if (this.#over) return (this.dispose(), null); // ended while it was opened
    const words = new Uint32Array((await matcher.getNextTokenBitmask()).slice().buffer);
    if (words.every((word) => word === 0))
      throw new InputError(
        "constraint: got a grammar that no token can go on with, want one that the model's tokens spell.",
      );
    return words;
  }

  async #begin(): Promise<GrammarMatcher> {
    const matcher = await this.#open();
    for (const token of this.#begun) take(matcher, token);
    return matcher;
  }

  accept(token: number): boolean {
    take(this.#matcher!, token);
    return this.#matcher!.isTerminated();
  }

  dispose(): void {
    this.#over = true;
    this.#matcher?.dispose();
    this.#matcher = null;
  }
}

function take(matcher: GrammarMatcher, token: number): void {
  if (!matcher.acceptToken(token)) throw new Error(`constraint: token ${token} was sampled and is not allowed`);
}
