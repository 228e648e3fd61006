// Dense and SwiftKV side by side: time to the first token, size of the cache, how much the replies are alike.

import { make } from "../shared/dom.ts";
import { bytes, count, figure, seconds } from "../shared/numbers.ts";
import type { FirstToken, Likeness } from "./twin.ts";

export interface Side {
  name: string;
  /** Null = not yet measured. */
  first: FirstToken | null;
  /** To the dense model; null = not yet measured, or it is that. */
  likeness: Likeness | null;
  /** Of keys and values: for each token, and for the whole context. */
  tokenBytes: number;
  cacheBytes: number;
}

type Pair = readonly [dense: Side, swiftkv: Side];

/** Head and body of the table. The variant in use is marked. */
export function sidesTable(pair: Pair, running: Side): HTMLElement[] {
  const names = pair.map((side) =>
    make(
      "th",
      { scope: "col", className: side === running ? "running" : "" },
      side.name,
      side === running ? make("small", { textContent: "in use" }) : null,
    ),
  );
  const corner = make("td", {}, make("span", { className: "unseen", textContent: "Figure" }));
  return [
    make("caption", { className: "unseen", textContent: "First token, cache and likeness" }),
    make("thead", {}, make("tr", {}, corner, ...names)),
    make(
      "tbody",
      {},
      row("First token", pair, firstCell),
      row("Cache per token", pair, ({ tokenBytes }) => [bytes(tokenBytes)]),
      row("Whole cache", pair, ({ cacheBytes }) => [bytes(cacheBytes)]),
      row("Same next token", pair, (side) => (side === pair[0] ? ["\u2013"] : likenessCell(side))),
    ),
  ];
}

const row = (title: string, pair: Pair, cell: (side: Side) => (Node | string)[]): HTMLElement =>
  make(
    "tr",
    {},
    make("th", { scope: "row", textContent: title }),
    ...pair.map((side) => make("td", {}, ...cell(side))),
  );

function firstCell({ first }: Side): HTMLElement[] {
  if (!first) return [make("small", { textContent: "not yet measured" })];
  return [
    make("strong", { textContent: seconds(first.milliseconds) }),
    make("small", { textContent: `${count(first.promptTokens)} tokens` }),
  ];
}

function likenessCell({ likeness }: Side): (Node | string)[] {
  if (!likeness) return [make("small", { textContent: "not yet measured" })];
  const { same, tokens, kl } = likeness;
  return [`${count(same)} of ${count(tokens)}`, make("small", { textContent: `KL ${figure(kl)}` })];
}

/** In words, where both were timed on prompts of the same length. */
export function verdict(where: string, [dense, swiftkv]: Pair): string {
  const [before, after] = [dense.first, swiftkv.first];
  if (!before || !after || before.promptTokens !== after.promptTokens) return "";
  const saved = 1 - swiftkv.tokenBytes / dense.tokenBytes;
  const cache = saved > 0 ? `${count(100 * saved)}\u00a0% smaller` : "as large";
  const speed = comparison(before.milliseconds / after.milliseconds);
  const said = `${where} of ${count(before.promptTokens)} tokens SwiftKV came to its first token ${speed}. Its cache is ${cache}.`;
  return swiftkv.likeness ? `${said} ${answers(swiftkv.likeness)}` : said;
}

/** KL in nats above which answers are plainly others: between the best students of docs/recovery.md and unfitted weights. */
const FAR = 0.3;

function answers({ same, tokens, kl }: Likeness): string {
  const share = `${count(same)} of the reply's ${count(tokens)} tokens are its first choice too`;
  return kl > FAR ? `Its answers differ: ${share}.` : `${share[0]!.toUpperCase()}${share.slice(1)}.`;
}

/** Within two per cent: less than the difference between two runs. */
function comparison(ratio: number): string {
  if (ratio > 1.02) return `${figure(ratio)} times as fast`;
  return ratio < 0.98 ? `${figure(1 / ratio)} times as slowly` : "as fast";
}
