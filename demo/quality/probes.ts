// Needles: a sentence with a number that cannot be guessed, in a long text, and a question about it. And the notes that
// Fable was trained to find. Always the same ones.

import type { Engine } from "../../src/index.ts";
import { randomWords } from "../shared/random.ts";

/** How a model is asked. */
export type Asked = Pick<Engine, "tokenize" | "detokenize" | "render"> & { model: { hasChatTemplate: boolean } };

/** A question whose answer stands in its prompt. */
export interface Probe {
  /** Tokens of the prompt, about. */
  length: number;
  /** Where in the prompt the answer stands: 0 at its beginning, 1 at its end. */
  depth: number;
  prompt: number[];
  /** How the reply begins: given, not judged, so that every judged token sees the prompt through the cache alone. */
  lead: number[];
  value: number[];
}

/** A sentence to find: `${says} ${value}.` */
interface Fact {
  says: string;
  value: string;
  question: string;
}

const COLOURS = ["red", "blue", "green", "white", "black", "brown", "grey", "golden"] as const;
const ANIMALS = ["fox", "owl", "bear", "horse", "goose", "mouse", "otter", "crow", "goat", "hare"] as const;

const NAMES = ["Lily", "Tom", "Ben", "Mia", "Anna", "Jack", "Rose", "Leo", "Sara", "Max"] as const;
const KINDS = ["secret word", "favorite color", "hidden treasure", "lucky charm", "best toy", "favorite food"] as const;
const WORDS = ["garden", "river", "soup", "ball", "cake", "stone", "bird", "boat", "hat", "tree", "apple"] as const;

type Draw = (count: number) => number;

/** Whole numbers below `count`. */
function drawing(seed: number): Draw {
  const next = randomWords(seed);
  return (count) => next() % count;
}

const pick = <T>(draw: Draw, from: readonly T[]): T => from[draw(from.length)]!;

function needle(draw: Draw): Fact {
  const key = `${pick(draw, COLOURS)} ${pick(draw, ANIMALS)}`;
  const value = String(1000 + draw(9000));
  return { says: `The badge number of the ${key} is`, value, question: `What is the badge number of the ${key}?` };
}

/** `count` notes about as many people, in the words of demo/models/fable/training. */
function notes(draw: Draw, count: number): Fact[] {
  const first = draw(NAMES.length);
  return Array.from({ length: count }, (_, i) => {
    const name = NAMES[(first + i) % NAMES.length]!;
    const isNumber = i % 2 === 0;
    const kind = isNumber ? "magic number" : pick(draw, KINDS);
    const value = isNumber ? String(100 + draw(900)) : pick(draw, WORDS);
    return { says: `The ${kind} of ${name} is`, value, question: `What is the ${kind} of ${name}?` };
  });
}

/** One needle for each length and depth. */
export function needles(engine: Asked, text: string, lengths: readonly number[], depths: readonly number[]): Probe[] {
  const pieces = piecesOf(text);
  return lengths.flatMap((length) =>
    depths.map((depth) => {
      const draw = drawing(length * 1000 + Math.round(depth * 100));
      const fact = needle(draw);
      return probe(engine, pieces, { length, facts: [{ ...fact, depth }], asked: 0, start: draw(pieces.length) });
    }),
  );
}

/** A text with four notes, spread evenly; each is asked for in turn. */
export function noteProbes(engine: Asked, text: string, length: number): Probe[] {
  const pieces = piecesOf(text);
  const draw = drawing(length);
  const facts = notes(draw, 4).map((fact, i) => ({ ...fact, depth: (2 * i + 1) / 8 }));
  const start = draw(pieces.length);
  return facts.map((_, asked) => probe(engine, pieces, { length, facts, asked, start }));
}

/** Texts with four numbers each. */
const SECOND_TEXTS = 2;

/**
 * Texts with four numbers, and two questions: the first one ends the prompt, its answer and the second one are given. What is chosen
 * at the prompt's end for the first question must serve the second.
 */
export function secondProbes(engine: Asked, text: string, length: number): Probe[] {
  const pieces = piecesOf(text);
  return Array.from({ length: SECOND_TEXTS }, (_, i) => {
    return secondsOf(engine, pieces, { length, draw: drawing(length + 1 + i) });
  }).flat();
}

function secondsOf(
  engine: Asked,
  pieces: readonly string[],
  { length, draw }: { length: number; draw: Draw },
): Probe[] {
  const facts: (Fact & { depth: number })[] = [];
  while (facts.length < 4) {
    const fact = { ...needle(draw), depth: (2 * facts.length + 1) / 8 };
    if (facts.every(({ says }) => says !== fact.says)) facts.push(fact);
  }
  const start = draw(pieces.length);
  return facts.map((second, asked) => {
    const first = probe(engine, pieces, { length, facts, asked: (asked + 2) % 4, start });
    const { lead, value } = replyOf(engine, second.says, second.value);
    const between = furtherQuestion(engine, second.question);
    return { ...first, depth: second.depth, lead: [...first.lead, ...first.value, ...between, ...lead], value };
  });
}

/** One that no template has. */
const ANSWER = "9731.";

/** What stands between an answer without its full stop and the next one. */
function furtherQuestion(engine: Asked, question: string): number[] {
  const tokens = (text: string): number[] => engine.tokenize(text, { addSpecial: false });
  if (!engine.model.hasChatTemplate) return tokens(`.\n\nQuestion: ${question}\nAnswer:`);
  const whole = engine.render([
    { role: "user", content: "?" },
    { role: "assistant", content: ANSWER },
    { role: "user", content: question },
  ]);
  return tokens(whole.slice(whole.indexOf(ANSWER) + ANSWER.length - 1));
}

interface Wanted {
  length: number;
  facts: readonly (Fact & { depth: number })[];
  /** Which fact is asked for. */
  asked: number;
  /** Piece of the text that the prompt begins with. */
  start: number;
}

function probe(engine: Asked, pieces: readonly string[], { length, facts, asked, start }: Wanted): Probe {
  const { says, value, question, depth } = facts[asked]!;
  const around = promptOf(engine, facts.map(sentence).join(" "), question).length;
  const filler = fillerOf(engine, pieces, { tokens: length - around, start });
  for (const fact of facts.toSorted((a, b) => b.depth - a.depth))
    filler.splice(Math.round(fact.depth * filler.length), 0, sentence(fact));
  return { length, depth, prompt: promptOf(engine, filler.join(" "), question), ...replyOf(engine, says, value) };
}

const sentence = ({ says, value }: Fact): string => `${says} ${value}.`;

/** Pieces from `start` on, round and round, of at most `tokens` tokens together. */
function fillerOf(engine: Asked, pieces: readonly string[], { tokens, start }: { tokens: number; start: number }) {
  const filler: string[] = [];
  for (let used = 0, i = start; ; i++) {
    const piece = pieces[i % pieces.length]!;
    used += engine.tokenize(` ${piece}`, { addSpecial: false }).length;
    if (used > tokens) return filler;
    filler.push(piece);
  }
}

const MOST_WORDS = 40;

/** Sentences; what has no end is cut after some words. */
export function piecesOf(text: string): string[] {
  const pieces: string[][] = [[]];
  for (const word of text.match(/\S+/g) ?? []) {
    const piece = pieces.at(-1)!;
    piece.push(word);
    if (/[.!?]["'”’)]*$/.test(word) || piece.length >= MOST_WORDS) pieces.push([]);
  }
  return pieces.map((words) => words.join(" ")).filter((piece) => piece !== "");
}

/** The text and a question about it, as the model wants to be asked. */
export function promptOf(engine: Asked, text: string, question: string): number[] {
  if (!engine.model.hasChatTemplate) return engine.tokenize(`${text}\n\nQuestion: ${question}\nAnswer:`);
  return engine.tokenize(engine.render([{ role: "user", content: `${text}\n${question}` }]), { addSpecial: false });
}

/** The reply in two parts. A model without turns is in the middle of a line. */
export function replyOf(engine: Asked, lead: string, value: string): Pick<Probe, "lead" | "value"> {
  const tokens = (text: string): number[] => engine.tokenize(text, { addSpecial: false });
  const opened = tokens(engine.model.hasChatTemplate ? lead : ` ${lead}`);
  const all = tokens(` ${value}`);
  const blank = all.findIndex((token) => engine.detokenize([token]).trim() !== "");
  return { lead: [...opened, ...all.slice(0, blank)], value: all.slice(blank) };
}
