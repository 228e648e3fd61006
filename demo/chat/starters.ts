// What to try first, by model.

import type { ModelInfo } from "../../src/index.ts";
import type { Turn } from "../shared/turn.ts";
import { make } from "../shared/dom.ts";
import { FOLLOW_UPS, SAMPLE_QUESTION, sampleText } from "./sample.ts";

export interface Starter {
  title: string;
  note: string;
  text: string;
  /** Goes before the text; "ask" opens the dialog for one. */
  longText?: string;
  /** Fill the box instead of sending. */
  wait?: boolean;
}

/** Starters for a model: they promise only what it can do. */
export function startersFor(model: ModelInfo): readonly Starter[] {
  if (/fable/i.test(model.name)) return fable(model);
  if (!model.hasChatTemplate) {
    return [
      { title: "Begin a story", note: "This model continues text", text: "Once upon a time" },
      { title: "Continue a long text", note: "Paste it, watch it being read", text: "", longText: "ask", wait: true },
    ];
  }
  return [
    {
      title: "Ask about a long text",
      note: "Paste an article, a log, a contract",
      text: "Summarise this in five sentences.",
      longText: "ask",
      wait: true,
    },
    {
      title: "Find a note in a story",
      note: "A made-up text with notes hidden in it",
      text: SAMPLE_QUESTION,
      longText: sampleText(1600),
    },
    {
      title: "Explain something",
      note: "Why is the sky blue?",
      text: "Explain to a ten-year-old why the sky is blue.",
    },
    { title: "Write something", note: "Four lines about rain", text: "Write a poem of four lines about autumn rain." },
  ];
}

const fable = (model: ModelInfo): readonly Starter[] => [
  { title: "Tell me a story", note: "A cat and a box", text: "Tell me a story about a cat and a box." },
  {
    title: "Find a note in a long text",
    note: "Three notes hidden in a story",
    text: SAMPLE_QUESTION,
    longText: sampleText(Math.min(850, model.context / 2.4)),
  },
  {
    title: "Continue a story",
    note: "You begin, Fable goes on",
    text: "Continue this story: A small frog found a red kite in the garden. ",
    wait: true,
  },
  {
    title: "Hide your own note",
    note: "Such as: The lucky charm of Ben is moon.",
    text: "What is the lucky charm of Ben?",
    longText: "ask",
    wait: true,
  },
];

/** Shows the starters; `onPick` gets the one chosen. */
export function showStarters(
  target: HTMLElement,
  model: ModelInfo,
  title: string,
  onPick: (starter: Starter) => void,
): void {
  const cards = startersFor(model).map((starter) => {
    const card = make(
      "button",
      { type: "button", className: "starter" },
      make("strong", { textContent: starter.title }),
      make("span", { textContent: starter.note }),
    );
    card.addEventListener("click", () => onPick(starter));
    return make("li", {}, card);
  });
  target.replaceChildren(make("h1", { textContent: title }), make("ul", {}, ...cards));
}

/** Further questions about the sample text, which reuse its keys and values. */
export function followUps(messages: readonly Turn[]): string[] {
  const asked = messages.filter((message) => message.role === "user").map((message) => message.content);
  return asked[0]?.endsWith(SAMPLE_QUESTION) ? FOLLOW_UPS.filter((question) => !asked.includes(question)) : [];
}
