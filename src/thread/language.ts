// Tokenizer and chat template on the page's thread, made when the page asks for them first: prompts that go to the worker need
// neither.
import type { ChatTemplate } from "../text/chat.ts";
import { kindOf, type ModelKind, Tokenizer, type TokenizerFiles, typeOf } from "../text/tokenizer.ts";

/** What both are made of, as the worker tells it. */
export interface LanguageFiles {
  /** TokenizerFiles as JSON: a tenth of their objects' size. */
  tokenizer: string;
  /** Of the model in them. */
  type: unknown;
  /** The chat template's source. */
  template: string | null;
}

export const languageFiles = (files: TokenizerFiles, template: string | null): LanguageFiles => ({
  tokenizer: JSON.stringify(files),
  type: typeOf(files),
  template,
});

export class Language {
  readonly #files: LanguageFiles;
  readonly #kind: ModelKind;
  readonly #Template: typeof ChatTemplate;
  #tokenizer: Tokenizer | null = null;
  #template: ChatTemplate | null = null;

  private constructor(files: LanguageFiles, kind: ModelKind, Template: typeof ChatTemplate) {
    this.#files = files;
    this.#kind = kind;
    this.#Template = Template;
  }

  /** Fetches the code that these files need. */
  static async of(files: LanguageFiles): Promise<Language> {
    const [kind, { ChatTemplate }] = await Promise.all([kindOf(files.type), import("../text/chat.ts")]);
    return new Language(files, kind, ChatTemplate);
  }

  get tokenizer(): Tokenizer {
    return (this.#tokenizer ??= Tokenizer.of(JSON.parse(this.#files.tokenizer) as TokenizerFiles, this.#kind));
  }

  get template(): ChatTemplate | null {
    const { template } = this.#files;
    return (this.#template ??= template === null ? null : new this.#Template(template, this.tokenizer.specials));
  }
}
