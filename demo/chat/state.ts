// What the chat page is about at a moment: a model, a conversation, what runs.

import type { Engine, Message, ModelSource, Prompt, Session } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";
import type { Kept } from "./archive.ts";
import type { Settings } from "./settings.ts";
import { Thread } from "./thread.ts";
import type { RunMode } from "./twin.ts";

export interface State {
  engine: Engine | null;
  session: Session | null;
  loaded: { source: ModelSource; name: string } | null;
  /** How the engine runs the model. */
  mode: RunMode;
  /** Of the conversation; null before the first one. */
  id: string | null;
  /** As the user named it. */
  title: string | null;
  /** The model that it was had with; null: none yet. */
  model: Kept["model"] | null;
  thread: Thread;
  /** Tokens whose keys and values the engine has; 0 when they must be computed again. */
  held: number;
  running: AbortController | null;
  /** The running generation, if any. A session is disposed only after it has ended. */
  active: Promise<unknown>;
}

export const begin = (): State => ({
  engine: null,
  session: null,
  loaded: null,
  mode: { swiftkv: null, kv: "f16", student: null },
  id: null,
  title: null,
  model: null,
  thread: new Thread(),
  held: 0,
  running: null,
  active: Promise.resolve(),
});

/** The conversation as the model reads it. */
export function promptOf({ engine }: State, settings: Settings, turns: readonly Turn[]): Prompt {
  if (engine && !engine.model.hasChatTemplate) return { text: turns.map(({ content }) => content).join("") };
  const system = settings.system();
  const messages = turns.map(({ role, content, pictures }) => ({ role, content: partsOf(content, pictures) }));
  return {
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    variables: settings.variables(),
  };
}

/** Pictures stand before the words. */
const partsOf = (text: string, pictures: Turn["pictures"] = []): Message["content"] =>
  pictures.length === 0
    ? text
    : [...pictures.map((image) => ({ type: "image" as const, image })), { type: "text" as const, text }];

/** The same up to the middle of its last reply, which goes on there. */
export function promptWithin(state: State, settings: Settings, turns: readonly Turn[]): Prompt {
  const asked = promptOf(state, settings, turns.slice(0, -1));
  const begun = turns.at(-1)?.content ?? "";
  if (!state.engine || !("messages" in asked)) return promptOf(state, settings, turns);
  const { messages, ...options } = asked;
  return { tokens: state.engine.tokenize(state.engine.render(messages, options) + begun, { addSpecial: false }) };
}

/** Whether the template opens the reply with a thought. */
export function opensThought({ engine }: State, prompt: Prompt): boolean {
  if (!engine || !("messages" in prompt)) return false;
  const { messages, ...options } = prompt;
  return engine.render(messages, options).trimEnd().endsWith("<think>");
}

export function tokensOf(engine: Engine, prompt: Prompt): number {
  if ("tokens" in prompt) return prompt.tokens.length;
  if ("text" in prompt) return engine.tokenize(prompt.text).length;
  const { messages, ...options } = prompt;
  return engine.tokenize(engine.render(messages, options), { addSpecial: false }).length;
}
