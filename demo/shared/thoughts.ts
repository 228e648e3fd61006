// What a model thinks before it answers.

import { make } from "./dom.ts";

/** Apart from the answer, which may be still to come. The first mark may be the prompt's: then a thought is known once it ends. */
export function withoutThought(text: string): { thought: string; answer: string } {
  const [all = "", thought = ""] =
    /^\s*<think>([^]*?)(?:<\/think>|$)/.exec(text) ?? /^((?:(?!<think>)[^])*?)<\/think>/.exec(text) ?? [];
  return { thought: thought.trim(), answer: text.slice(all.length) };
}

/** Thoughts stand folded before the answer, where there are any. */
export function thoughtsView(answer: HTMLElement): (text: string) => void {
  const text = make("div", { className: "folded-text", tabIndex: 0 });
  const folded = make("details", { className: "folded" }, make("summary", { textContent: "Thoughts" }), text);
  return (thought) => {
    if (thought && !folded.isConnected) answer.before(folded);
    if (text.textContent !== thought) text.textContent = thought;
  };
}
