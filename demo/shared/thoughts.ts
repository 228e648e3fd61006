// What a model thinks before it answers.

import { make } from "./dom.ts";

/** Apart from the answer, which may be still to come. `begun`: the first mark is the prompt's. */
export function withoutThought(text: string, begun = false): { thought: string; answer: string } {
  const [all = "", thought = ""] =
    (begun ? /^([^]*?)(?:<\/think>|$)/ : /^\s*<think>([^]*?)(?:<\/think>|$)/).exec(text) ??
    /^((?:(?!<think>)[^])*?)<\/think>/.exec(text) ??
    [];
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
