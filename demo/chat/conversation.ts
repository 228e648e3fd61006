// The list of messages, the scroll that follows a growing reply, and what is updated while it grows.

import type { Generation, GenerationResult } from "../../src/index.ts";
import { find } from "../shared/dom.ts";
import type { Reply } from "./reply.ts";
import type { ribbon } from "./ribbon.ts";

/** The list of messages. Follows what grows until the reader scrolls up. */
export interface Conversation {
  readonly list: HTMLElement;
  add(element: HTMLElement): void;
  clear(): void;
  /** Call after anything in it has grown. */
  follow(): void;
  toEnd(): void;
  /** Scrolls to the top of an element that may be higher than the view. */
  reveal(element: HTMLElement): void;
}

export function conversation(): Conversation {
  const list = find("messages", HTMLElement);
  const scroller = find("scroller", HTMLElement);
  const latest = find("latest", HTMLButtonElement);
  let following = true;
  const atEnd = (): boolean => scroller.scrollHeight - scroller.scrollTop - scroller.clientHeight < 16;
  let height = 0;
  const leave = (): void => {
    // A growing composer scrolls the text too; that does not mean that the reader scrolled up.
    if (following && scroller.clientHeight !== height) return follow();
    following = atEnd();
    latest.hidden = following;
  };
  const follow = (): void => {
    height = scroller.clientHeight;
    if (following) scroller.scrollTop = scroller.scrollHeight;
  };
  const toEnd = (): void => {
    following = true;
    latest.hidden = true;
    follow();
  };
  scroller.addEventListener("scroll", leave, { passive: true });
  // A small turn of the wheel must stop the following, although the next token comes before the scroll event.
  scroller.addEventListener("wheel", (event) => void (following &&= event.deltaY >= 0), { passive: true });
  latest.addEventListener("click", toEnd);
  new ResizeObserver(follow).observe(scroller);
  return {
    list,
    follow,
    toEnd,
    add(element) {
      list.append(element);
      follow();
    },
    reveal(element) {
      following = false;
      element.scrollIntoView({ block: "start" });
    },
    clear: () => list.replaceChildren(),
  };
}

interface Listening {
  /** Once a frame, with the text so far. */
  onText: (soFar: string, tokens: number) => void;
  onToken: (id: number) => void;
}

/** Follows a generation to its end. Rejects as the generation does. */
export async function stream(generation: Generation, { onText, onToken }: Listening): Promise<GenerationResult> {
  generation.result.catch(() => {}); // the loop throws the same error
  let soFar = "";
  let tokens = 0;
  let frame = 0;
  const paint = (): void => {
    frame = 0;
    onText(soFar, tokens);
  };
  try {
    for await (const token of generation) {
      soFar += token.text;
      tokens++;
      onToken(token.id);
      frame ||= requestAnimationFrame(paint);
    }
  } finally {
    cancelAnimationFrame(frame);
  }
  return generation.result;
}

/** What is updated while a reply runs. */
interface Moving {
  /** Tokens that were in the cache before. */
  held: number;
  context: number;
  draw: ReturnType<typeof ribbon>;
  scroll: () => void;
}

/** Keeps the reply, the ribbon and the scroll in step with a running generation. */
export function follow(view: Reply, { held, context, draw, scroll }: Moving) {
  let reused = -1;
  let promptTokens = 0;
  return {
    reading(done: number, total: number): void {
      // The first call comes before or after the first chunk; no more can be reused than was in the cache.
      if (reused < 0) reused = Math.min(done, held);
      promptTokens = total;
      view.reading(done, total, reused);
      draw({ context, held: done, waiting: total - done, reply: 0 });
      scroll();
    },
    writing(soFar: string, tokens: number): void {
      view.writing(soFar, tokens);
      draw({ context, held: promptTokens, waiting: 0, reply: tokens });
      scroll();
    },
  };
}
