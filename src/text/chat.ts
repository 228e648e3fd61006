// A conversation as the model was trained to read it: the model's own Jinja template.

import { Environment, Interpreter, Template } from "@huggingface/jinja";
import type { Message } from "../api.ts";
import { InputError, ModelError } from "../errors.ts";
import { isFields, nameOf } from "./fields.ts";

/** Longest range() a template may ask for: a damaged one must not hang the page. */
const MAX_RANGE = 1e5;

/** The template called raise_exception: it does not accept these messages. */
class Refusal extends Error {}

/** One compiled chat template. Immutable. */
export class ChatTemplate {
  private readonly template: Template;
  private readonly specials: Readonly<Record<string, string>>;

  /** `specials`: `bos_token`, `eos_token`, … as `Tokenizer.specials` has them. Errors: ModelError if `source` does not compile. */
  constructor(source: string, specials: Readonly<Record<string, string>>) {
    this.template = compile(source);
    this.specials = specials;
  }

  /**
   * The prompt text; encode it with `addSpecial: false`. `addGenerationPrompt` (default false) opens the assistant's
   * reply. Errors: InputError for malformed messages or a conversation the template refuses, ModelError if it fails.
   */
  render(messages: readonly Message[], options: { addGenerationPrompt?: boolean } = {}): string {
    const environment = globals();
    for (const [name, text] of Object.entries(this.specials)) environment.set(name, text);
    environment.set("messages", checkMessages(messages));
    environment.set("add_generation_prompt", options.addGenerationPrompt ?? false);
    // Templates ask "tools is not none"; the reference implementation always passes both.
    environment.set("tools", null);
    environment.set("documents", null);
    try {
      const result: { value: unknown } = new Interpreter(environment).run(this.template.parsed);
      return String(result.value);
    } catch (error) {
      if (error instanceof Refusal) {
        throw new InputError(`chat template: it refuses these messages: ${error.message} Change the conversation.`, {
          code: "bad-prompt",
        });
      }
      throw new ModelError(`chat template: it fails: ${reason(error)}. Pass { text } or another template.`, {
        cause: error,
      });
    }
  }
}

function compile(source: string): Template {
  if (typeof source !== "string") throw new ModelError(`chat template: got ${nameOf(source)}, want a string.`);
  try {
    return new Template(source.replaceAll(/\r\n?/g, "\n")); // as Jinja2 reads its source
  } catch (error) {
    throw new ModelError(`chat template: it does not compile: ${reason(error)}. Is the file damaged?`, {
      cause: error,
    });
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

function checkMessages(messages: readonly Message[]): { role: string; content: string }[] {
  if (!Array.isArray(messages)) {
    throw new InputError(`messages: got ${nameOf(messages)}, want an array of {role, content}. Pass a list.`, {
      code: "bad-prompt",
    });
  }
  return messages.map((message: unknown, index) => {
    if (isFields(message) && typeof message["role"] === "string" && typeof message["content"] === "string") {
      return { ...message, role: message["role"], content: message["content"] };
    }
    throw new InputError(`messages: entry ${index} lacks a text, want {role, content} with two strings. Correct it.`, {
      code: "bad-prompt",
    });
  });
}

/** What every template may use without being given it. */
function globals(): Environment {
  const environment = new Environment();
  for (const [name, value] of Object.entries({ true: true, false: false, none: null })) {
    environment.set(name, value);
    environment.set(name[0]!.toUpperCase() + name.slice(1), value);
  }
  environment.set("raise_exception", (message: unknown) => {
    throw new Refusal(String(message));
  });
  environment.set("range", range);
  environment.set("strftime_now", (format: unknown) => formatTime(new Date(), String(format)));
  return environment;
}

/** Python's range, as a list. */
function range(first: unknown, second?: unknown, third?: unknown): number[] {
  const [start, stop, step] = typeof second === "number" ? [first, second, third ?? 1] : [0, first, 1];
  const valid = typeof start === "number" && typeof stop === "number" && typeof step === "number" && step !== 0;
  const length = valid ? Math.max(0, Math.ceil((stop - start) / step)) : NaN;
  if (!valid || !(length <= MAX_RANGE))
    throw new Error(`range() over more than ${MAX_RANGE} numbers, or not over numbers`);
  return Array.from({ length }, (_, index) => start + index * step);
}

const two = (value: number): string => String(value).padStart(2, "0");
const word = (date: Date, part: Intl.DateTimeFormatOptions): string => date.toLocaleDateString("en-US", part);

/** The directives of C's strftime that templates use; others stay as they are. */
const DIRECTIVES: Readonly<Record<string, (date: Date) => string>> = {
  "%d": (date) => two(date.getDate()),
  "%m": (date) => two(date.getMonth() + 1),
  "%y": (date) => two(date.getFullYear() % 100),
  "%Y": (date) => String(date.getFullYear()),
  "%H": (date) => two(date.getHours()),
  "%M": (date) => two(date.getMinutes()),
  "%S": (date) => two(date.getSeconds()),
  "%a": (date) => word(date, { weekday: "short" }),
  "%A": (date) => word(date, { weekday: "long" }),
  "%b": (date) => word(date, { month: "short" }),
  "%B": (date) => word(date, { month: "long" }),
};

const formatTime = (date: Date, format: string): string =>
  format.replace(/%[a-zA-Z]/g, (directive) => DIRECTIVES[directive]?.(date) ?? directive);
