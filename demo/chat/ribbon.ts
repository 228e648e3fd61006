// The context ribbon: how full the context is, and with what.

import { find } from "../shared/dom.ts";
import { count } from "../shared/numbers.ts";

/** All in tokens. */
export interface ContextUse {
  context: number;
  /** Keys and values already computed for what comes next. */
  held: number;
  /** Prompt tokens still to be processed. */
  waiting: number;
  /** The reply being written. */
  reply: number;
}

/** Draws into #ribbon. Cheap enough for every token: it sets three widths and a line of text. */
export function ribbon(): (use: ContextUse | null) => void {
  const bar = find("ribbon", HTMLElement);
  const label = find("ribbon-label", HTMLElement);
  return (use) => {
    bar.hidden = use === null;
    if (!use) return;
    const { context, held, waiting, reply } = use;
    const used = held + waiting + reply;
    const share = (tokens: number): string => `${(100 * Math.min(tokens, context)) / context}%`;
    bar.style.setProperty("--held", share(held));
    bar.style.setProperty("--reply", share(reply));
    bar.style.setProperty("--waiting", share(waiting));
    bar.style.setProperty("--tick", share(context > 16384 ? context / 16 : 1024));
    bar.classList.toggle("full", used >= context);
    const text = `${count(used)} of ${count(context)}`;
    if (label.textContent !== text) label.textContent = text;
    bar.setAttribute("aria-valuemax", String(context));
    bar.setAttribute("aria-valuenow", String(Math.min(used, context)));
    bar.setAttribute("aria-valuetext", `${text} tokens`);
  };
}
