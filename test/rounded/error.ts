// What products of rounded rows cost: logits after prompts of a text, in f32 and in int8 or by matrices, both by decoding exactly.
//   [PRODUCTS=matrix] node test/native.mjs --entry test/rounded/error.ts MODEL TEXT PROMPT CONTINUATION WINDOWS
// MODEL: a .gguf or a checkpoint's folder. Of the text, so many parts of so many tokens read and then scored.
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import type { Engine } from "../../src/index.ts";
import { divergence, likeliest, mean, surprise } from "../../demo/quality/metrics.ts";
import { openBoth } from "./open.ts";

const [model, file, ...counts] = argv.slice(2) as [string, string, ...string[]];
const [prompt, continuation, windows] = counts.map(Number) as [number, number, number];
const length = prompt + continuation;
const engines = await openBoth(model, length);
const { f32, rounded } = engines;
const text = f32.tokenize(readFileSync(file, "utf8").slice(0, 2 ** 20));
const starts = Array.from({ length: windows }, (_, i) =>
  Math.floor((i * (text.length - length)) / Math.max(1, windows - 1)),
);

/** Logits of each token of the continuation. */
async function logitsOf(engine: Engine, tokens: readonly number[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  await engine.evaluate(tokens.slice(0, prompt), tokens.slice(prompt), {
    onLogits: (logits) => void all.push(logits.slice()),
  });
  return all;
}

const deviation = (values: readonly number[]): number => Math.sqrt(mean(values.map((value) => value * value)));

const places = { first: [] as Place[], all: [] as Place[] };

/** One token's distribution, in f32 and rounded. */
interface Place {
  /** Root of the mean square, and the largest, of the logits' differences from the mean one. */
  rms: number;
  most: number;
  /** Of the logits in f32, over the vocabulary. */
  spread: number;
  kl: number;
  top1: number;
  ce: [number, number];
}

function placeOf(exact: Float32Array, rounded: Float32Array, token: number): Place {
  const raw = Array.from(exact, (value, i) => rounded[i]! - value);
  const [shift, level] = [mean(raw), mean([...exact])];
  const off = raw.map((value) => value - shift);
  return {
    rms: deviation(off),
    most: Math.max(...off.map(Math.abs)),
    spread: deviation(Array.from(exact, (value) => value - level)),
    kl: divergence(exact, rounded),
    top1: likeliest(exact) === likeliest(rounded) ? 1 : 0,
    ce: [surprise(exact, token), surprise(rounded, token)],
  };
}

/** What has been measured so far. */
function summarise(): void {
  for (const [name, some] of Object.entries(places)) {
    const of = (key: "rms" | "most" | "spread" | "kl" | "top1") => some.map((place) => place[key]);
    const ce = [0, 1].map((i) => mean(some.map((place) => place.ce[i]!)).toFixed(4)).join(" → ");
    console.log(
      `${name}, ${some.length} tokens: logits off by ${deviation(of("rms")).toPrecision(3)} rms, ${Math.max(...of("most")).toPrecision(3)} at most (their own spread ${deviation(of("spread")).toPrecision(3)}); KL ${mean(of("kl")).toExponential(2)}, at most ${Math.max(...of("kl")).toExponential(2)}; top-1 ${(100 * mean(of("top1"))).toFixed(1)} %; cross-entropy ${ce}`,
    );
  }
}

console.log(JSON.stringify({ adapter: f32.stats().adapter.name, variants: rounded.stats().variants }));
for (const start of starts) {
  const tokens = text.slice(start, start + length);
  const [exact, others] = [await logitsOf(f32, tokens), await logitsOf(rounded, tokens)];
  const own = exact.map((logits, i) => placeOf(logits, others[i]!, tokens[prompt + i]!));
  places.first.push(own[0]!);
  places.all.push(...own);
  console.log(`from token ${start}:`);
  summarise();
}
exit(0);
