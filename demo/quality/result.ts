// What a quality report says.

import type { Engine, ModelInfo } from "../../src/index.ts";
import type { Measure } from "./measure.ts";
import type { WindowSizes } from "./texts.ts";

/** A row of the report. What was not measured is left out. */
export interface QualityRow {
  row: string;
  /** Scored tokens of the texts. */
  tokens?: number;
  /** Cross-entropy, nats per token. */
  ce?: number;
  /** Mean KL(dense‖row), nats. */
  kl?: number;
  /** Share of tokens at which both find the same one likeliest. */
  top1?: number;
  /** Tokens of greedy replies until they differ from the dense model's, mean; at most GREEDY_TOKENS. */
  greedy?: number;
  /** Share of the needles' tokens that are right, and of the needles that are right as a whole. */
  needle?: number;
  needleExact?: number;
  /** By length and depth in percent: share of the tokens that are right. */
  needleGrid?: { length: number; depth: number; right: number }[];
  /** The same share for Fable's notes. */
  notes?: number;
  /** And for numbers asked for after another question. */
  second?: number;
  /** Share of questions answered right. */
  qa?: number;
  /** Of the cache, per prompt token of the texts' prompts. */
  bytesPerToken: number;
  /** Medians over the texts: of a prompt, and of a token after the first. */
  prefillMs?: number;
  decodeMs?: number;
}

export interface QualityProgress {
  text: string;
  /** 0 to 1; null while unknown. */
  share: number | null;
}

export interface QualityResult {
  format: 1;
  kind: "quality";
  date: string;
  adapter: ReturnType<Engine["stats"]>["adapter"];
  model: ModelInfo;
  options: WindowSizes & { measures: readonly Measure[]; texts: string[]; greedyTokens: number };
  rows: QualityRow[];
}
