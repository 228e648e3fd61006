// How a request and what came of it look: text, JSON with a verdict, calls of functions with their results.

import type { CompletionFinish, ToolCall } from "../../src/index.ts";
import { make } from "../shared/dom.ts";
import { thoughtsView } from "../shared/thoughts.ts";
import { pretty } from "./reading.ts";

/** What the model writes, while it comes and once it is there. */
export interface ReplyView {
  readonly element: HTMLElement;
  writing(text: string, thought: string): void;
  /** JSON of a schema; `fault` "": it keeps to it. */
  json(text: string, fault: string): void;
  /** `onResults` gets one for each call. */
  calls(calls: readonly ToolCall[], onResults: (results: readonly string[]) => unknown): void;
  ended(finish: CompletionFinish | "stopped", seconds: string): void;
}

export const askedView = (text: string): HTMLElement => make("p", { className: "asked", textContent: text });

export function replyView(speaker: string): ReplyView {
  const text = make("pre", { className: "written", tabIndex: 0 });
  text.setAttribute("aria-label", `Reply of ${speaker}`);
  text.setAttribute("role", "region");
  const verdict = make("p", { className: "verdict", hidden: true });
  const line = make("p", { className: "hint", textContent: "Starting" });
  const calls = make("div", { className: "calls" });
  const heading = make("h3", { textContent: speaker });
  const showThought = thoughtsView(text);
  return {
    element: make("article", { className: "turn" }, heading, text, verdict, calls, line),
    writing(soFar, thought) {
      showThought(thought);
      text.textContent = soFar;
      line.textContent = "Writing";
    },
    json(whole, fault) {
      text.textContent = pretty(whole);
      verdict.hidden = false;
      verdict.className = fault ? "verdict bad" : "verdict good";
      verdict.textContent = fault ? `Does not keep to the schema: ${fault}` : "Valid: it keeps to the schema.";
    },
    calls(given, onResults) {
      text.hidden = text.textContent === "";
      calls.replaceChildren(callForm(given, onResults));
    },
    ended(finish, seconds) {
      const ends = { length: "Cut at the limit of tokens", stopped: "Stopped", stop: "Done", tool_calls: "Calls" };
      line.textContent = `${ends[finish]} after ${seconds}.`;
    },
  };
}

/** Each call with a field for its result. */
function callForm(calls: readonly ToolCall[], onResults: (results: readonly string[]) => unknown): HTMLElement {
  const fields = calls.map(({ function: { name } }, index) => {
    const value = name === "get_weather" ? '{ "sky": "rain", "celsius": 7 }' : '{ "done": true }';
    return make("textarea", {
      rows: 2,
      value,
      spellcheck: false,
      attributes: { "aria-label": `Result of call ${index + 1}` },
    });
  });
  const cards = calls.map(({ function: { name, arguments: given } }, index) =>
    make(
      "section",
      { className: "call", attributes: { "aria-label": `Call ${index + 1}: ${name}` } },
      make("p", { className: "call-name" }, make("code", { textContent: name })),
      make("pre", { textContent: pretty(given) }),
      make("p", { className: "hint", textContent: "Result" }),
      fields[index]!,
    ),
  );
  const send = make("button", {
    type: "submit",
    className: "primary",
    textContent: calls.length > 1 ? "Send the results" : "Send the result",
  });
  const form = make("form", { className: "call-form" }, ...cards, make("div", { className: "actions" }, send));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    for (const field of fields) field.readOnly = true;
    send.remove();
    void onResults(fields.map(({ value }) => value));
  });
  return form;
}
