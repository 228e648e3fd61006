// A recipe says how keys and values are kept: a format that projections write, and systems with options on top of it.
// parse.ts reads it from a text; one that is a format alone needs no more than this file.
import type { KvFormat, KvModel, RecipePrice } from "../api.ts";
import { InputError } from "../errors.ts";
import { WRITTEN_FORMATS } from "./format.ts";
import type { Finding } from "./pairs.ts";
import { optional } from "./optional.ts";
import type { Retention } from "./plan.ts";
import { bytesOf, evictedOf, peakOf, resolve, type ResolvedCache, wholeUpTo } from "./shape.ts";
import type { KvBounds, KvSystem, OptionRule, Options, SystemDefinition, Texts } from "./system.ts";
import { layoutOf } from "./systems/swiftkv/layout.ts";

/** A system of a recipe and its options. */
export interface ChosenSystem {
  definition: SystemDefinition;
  options: Options;
  texts: Texts;
}

/** What a recipe with systems is held to; parse.ts brings it. */
export interface Rules {
  /** What is known of systems together, by name. */
  judge(names: readonly string[]): readonly Finding[];
  /** Throws InputError where model or step cannot have a system. */
  check(system: KvSystem, model: KvModel, bounds: KvBounds): void;
}

export class Recipe {
  readonly format: KvFormat;
  readonly #systems: readonly ChosenSystem[];
  readonly #rules: Rules | null;

  constructor(format: KvFormat, systems: readonly ChosenSystem[] = [], rules: Rules | null = null) {
    this.format = format;
    this.#systems = systems;
    this.#rules = rules;
  }

  /** Of its systems. */
  get names(): string[] {
    return this.#systems.map(({ definition }) => definition.name);
  }

  /** The canonical text, with every option: equal recipes have equal texts. */
  toString(): string {
    const terms = this.#systems.map(({ definition: { name, options: rules }, options, texts }) => {
      const numbers = Object.entries(options).map(([option, value]) => `${option}=${wordFor(rules[option]!, value)}`);
      const list = [...numbers, ...Object.entries(texts).map(([option, text]) => `${option}=${text}`)];
      return list.length > 0 ? `${name}:${list.join(",")}` : name;
    });
    return [...(this.format === "f16" && terms.length > 0 ? [] : [this.format]), ...terms].join("+");
  }

  /** The cache it makes for a model. Throws InputError where the model cannot have it. */
  resolve(model: KvModel, bounds: KvBounds): ResolvedCache {
    const layouts = this.#systems.flatMap(({ definition, texts }) => definition.layout?.(model, texts) ?? []);
    const layout = layouts[0] ?? layoutOf(model.layers, model.swiftkv);
    const systems = this.#systems.map(({ definition, options }) => definition.create(options, model, bounds, layout));
    for (const system of systems) this.#rules?.check(system, model, bounds);
    return resolve(model, WRITTEN_FORMATS[this.format], layout, systems);
  }

  /** Fetches what its systems run on the GPU: before a model is made with it. */
  async load(): Promise<void> {
    if (this.#systems.length === 0) return;
    await Promise.all([optional.load(), ...this.#systems.map(({ definition }) => definition.load?.())]);
  }

  /** What it costs after a prompt of `tokens` tokens, before anything is loaded. `kept`: of an earlier one that it goes on from. */
  price(model: KvModel, tokens: number, kept: Retention | null = null): RecipePrice {
    if (!Number.isInteger(tokens) || tokens < 1) {
      throw new InputError(`price: tokens; got ${tokens}, want a whole number of at least 1.`);
    }
    const resolved = this.resolve(model, { context: tokens, rows: Infinity, sequences: 1 });
    const retention = kept ?? resolved.retaining?.retain(tokens) ?? null;
    const kvBytes = bytesOf(resolved, tokens, retention);
    const extraWeightBytes = resolved.systems.reduce((sum, { extraWeightBytes = 0 }) => sum + extraWeightBytes, 0);
    const evictedTokens = evictedOf(resolved, retention);
    const [peakBytes, streaming] = [peakOf(resolved, tokens), resolved.streamingReason];
    return { kvBytes, kvBytesPerToken: kvBytes / tokens, evictedTokens, peakBytes, streaming, extraWeightBytes };
  }

  /**
   * Tokens of the longest prompt that stays as it is in a context of `context` tokens, where longer ones are kept in part (PyramidKV,
   * SnapKV) or chosen from (ShadowKV). Null where every prompt stays as it is.
   */
  wholeUpTo(model: KvModel, context: number): number | null {
    return wholeUpTo(this.resolve(model, { context, rows: Infinity, sequences: 1 }), context);
  }

  /** Doubts about the combination, each a sentence. Impossible ones were refused when the recipe was read. */
  warnings(model: Pick<KvModel, "swiftkv"> & { seesPictures?: boolean }): string[] {
    const doubts = this.#judge(model).filter(({ verdict }) => verdict === "unproven");
    const blind = model.seesPictures === false ? this.#systems.filter(({ definition }) => definition.forPictures) : [];
    return [
      ...doubts.map(({ text }) => text),
      ...blind.map(({ definition: { name } }) => `${name} was made for pictures, and this model sees none.`),
    ];
  }

  #judge({ swiftkv }: Pick<KvModel, "swiftkv">): readonly Finding[] {
    const names = [...(swiftkv ? ["swiftkv"] : []), ...this.names];
    return this.#rules?.judge(names) ?? [];
  }

  /** Throws InputError where two of its systems, or one and the model's SwiftKV, contradict each other. */
  check(model: Pick<KvModel, "swiftkv">): void {
    const refused = this.#judge(model).find(({ verdict }) => verdict === "refused");
    if (refused) throw new InputError(`kv: ${refused.text} Leave one of the two out.`);
  }
}

/** A value as it is written. */
const wordFor = ({ words = {} }: OptionRule, value: number): string =>
  Object.keys(words).find((word) => words[word] === value) ?? String(value);
