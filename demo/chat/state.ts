// What the chat page is about at a moment: a model, a conversation, what runs.

import type { Engine, ModelSource, Prompt, Session } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";
import type { KeptTurn } from "./archive.ts";
import type { Settings } from "./settings.ts";
import type { RunMode } from "./twin.ts";

export interface State {
  engine: Engine | null;
  session: Session | null;
  loaded: { source: ModelSource; name: string } | null;
  /** How the engine runs the model. */
  mode: RunMode;
  /** Of the conversation; null before the first one. */
  id: string | null;
  turns: KeptTurn[];
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
  turns: [],
  held: 0,
  running: null,
  active: Promise.resolve(),
});

/** The conversation as the model reads it. */
export function promptOf({ engine }: State, settings: Settings, turns: readonly Turn[]): Prompt {
  if (engine && !engine.model.hasChatTemplate) return { text: turns.map(({ content }) => content).join("") };
  const system = settings.system();
  const messages = turns.map(({ role, content }) => ({ role, content }));
  return {
    messages: system ? [{ role: "system", content: system }, ...messages] : messages,
    variables: settings.variables(),
  };
}
