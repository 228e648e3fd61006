// A conversation as the model was trained to read it: the model's own Jinja template.

import type { ChatPrompt, Message } from "../api.ts";
import { InputError, isObject, ModelError } from "../errors.ts";
import { nameOf } from "./fields.ts";
import { Template } from "./jinja/template.ts";
import { fromJson, Refusal, type Value } from "./jinja/values.ts";

/** What a template reads beside the messages. */
export interface RenderOptions extends Omit<ChatPrompt, "messages"> {
  /** Default false. Opens the assistant's reply. */
  addGenerationPrompt?: boolean;
}

/** One compiled chat template. Immutable. */
export class ChatTemplate {
  readonly #template: Template;
  readonly #specials: Readonly<Record<string, string>>;
  readonly source: string;

  /** `specials`: `bos_token`, `eos_token`, … as `Tokenizer.specials` has them. Errors: ModelError if `source` does not compile. */
  constructor(source: string, specials: Readonly<Record<string, string>>) {
    this.#template = compile(source);
    this.source = source;
    this.#specials = specials;
  }

  /** What it reads beside the conversation and the tokenizer's special tokens, as `enable_thinking`. */
  get variables(): string[] {
    return this.#template.variables.filter(
      (name) => !RESERVED.includes(name) && !/^(bos|eos|pad|unk|sep|cls|mask)_token$/.test(name),
    );
  }

  reads(variable: string): boolean {
    return this.#template.variables.includes(variable);
  }

  /** Whether it writes the tools that it is given. */
  get readsTools(): boolean {
    return this.reads("tools") || this.reads("xml_tools");
  }

  /** Whether it writes tools that the system's message carries. */
  get toolsInMessage(): boolean {
    return /message(\[['"]tools['"]\]|\.tools\b)/.test(this.source);
  }

  /**
   * The prompt text; encode it with `addSpecial: false`. Errors: InputError for malformed messages or options and for a
   * conversation the template refuses, ModelError if it fails.
   */
  render(messages: readonly Message[], options: RenderOptions = {}): string {
    const variables = Object.entries({
      ...this.#specials,
      ...checkVariables(options.variables),
      messages: checkMessages(messages),
      // Templates ask "tools is not none": as in transformers, both are always there.
      tools: checkList("tools", options.tools),
      documents: checkList("documents", options.documents),
      add_generation_prompt: options.addGenerationPrompt ?? false,
    }).map(([name, data]) => [name, toValue(name, data)] as const);
    try {
      return this.#template.render(variables);
    } catch (error) {
      if (error instanceof Refusal)
        throw wrong(`chat template: it refuses these messages: ${error.message} Change the conversation.`);
      throw new ModelError(`chat template: it fails: ${reason(error)}. Pass { text } or another template.`, {
        cause: error,
      });
    }
  }
}

function compile(source: string): Template {
  if (typeof source !== "string") throw new ModelError(`chat template: got ${nameOf(source)}, want a string.`);
  try {
    return new Template(source);
  } catch (error) {
    throw new ModelError(`chat template: it does not compile: ${reason(error)}. Is the file damaged?`, {
      cause: error,
    });
  }
}

const reason = (error: unknown): string => (error instanceof Error ? error.message : String(error)).slice(0, 200);

const wrong = (message: string): InputError => new InputError(message, { code: "bad-prompt" });

const toValue = (name: string, data: unknown): Value =>
  fromJson(data, (what) => {
    throw wrong(`${name}: got ${what}, want data as JSON has it. Pass plain objects, lists, texts and numbers.`);
  });

function checkMessages(messages: unknown): Record<string, unknown>[] {
  if (!Array.isArray(messages))
    throw wrong(`messages: got ${nameOf(messages)}, want an array of {role, content}. Pass a list.`);
  return messages.map(checkMessage);
}

function checkMessage(message: unknown, index: number): Record<string, unknown> {
  if (!isObject(message))
    throw wrong(`messages: entry ${index} is ${nameOf(message)}, want {role, content}. Correct it.`);
  const { role, content } = message;
  if (typeof role !== "string")
    throw wrong(`messages: role of entry ${index}; got ${nameOf(role)}, want a string. Correct it.`);
  if (content === undefined && !Array.isArray(message["tool_calls"]))
    throw wrong(`messages: entry ${index} lacks a content; want a string, null or a list of parts. Add it.`);
  if (Array.isArray(content)) content.forEach((part, at) => checkPart(part, `part ${at} of entry ${index}`));
  else if (content !== undefined && content !== null && typeof content !== "string")
    throw wrong(
      `messages: content of entry ${index}; got ${nameOf(content)}, want a string, null or a list. Correct it.`,
    );
  return asTemplatesReadIt(message);
}

function checkPart(part: unknown, where: string): void {
  if (!isObject(part) || typeof part["type"] !== "string")
    throw wrong(`messages: ${where}; got ${nameOf(part)}, want { type: "text", text } or alike. Correct it.`);
  if (part["type"] === "text" && typeof part["text"] !== "string")
    throw wrong(`messages: ${where}; text is ${nameOf(part["text"])}, want a string. Correct it.`);
}

/** Names under which a message's thoughts are passed. Templates read the first; gpt-oss's reads the second. */
const THOUGHTS = ["reasoning_content", "thinking", "reasoning"];

/** As transformers 5 hands messages on: null fields are left out, thoughts are there under their usual names. */
function asTemplatesReadIt(message: Record<string, unknown>): Record<string, unknown> {
  const fields = Object.fromEntries(Object.entries(message).filter(([, value]) => value !== null));
  const thought = THOUGHTS.map((name) => fields[name]).find((value) => value !== undefined);
  return thought === undefined ? fields : { thinking: thought, ...fields, reasoning_content: thought };
}

/** A list of objects, null where there is none. */
function checkList(name: string, list: unknown): unknown {
  if (list === undefined || list === null) return null;
  if (Array.isArray(list) && list.every(isObject)) return list;
  throw wrong(`${name}: got ${nameOf(list)}, want a list of objects. Correct it.`);
}

/** Names that the prompt itself sets. */
const RESERVED = ["messages", "tools", "documents", "add_generation_prompt"];

function checkVariables(variables: unknown): Record<string, unknown> {
  if (variables === undefined) return {};
  if (!isObject(variables)) throw wrong(`variables: got ${nameOf(variables)}, want an object. Pass { name: value }.`);
  const reserved = RESERVED.find((name) => Object.hasOwn(variables, name));
  if (reserved !== undefined)
    throw wrong(`variables: got "${reserved}", which the prompt sets itself. Pass it beside variables.`);
  return variables;
}
