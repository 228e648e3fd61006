// The engines of a quality report's rows, all on the dense model's weights.

import { EngineError, convert, saveStudent } from "../../src/index.ts";
import type { ConvertOptions, Engine, SwiftKv } from "../../src/index.ts";
import { count } from "../shared/numbers.ts";
import { shares } from "../shared/shares.ts";
import { trainedFor } from "../shared/trained.ts";
import type { QualityProgress } from "./result.ts";
import { refuse } from "./rows.ts";
import type { Row } from "./rows.ts";
import type { Text } from "./texts.ts";

export type StudentSource = NonNullable<ConvertOptions["student"]>;

interface Wanted {
  calibrate: readonly Text[];
  calibrateTokens: number;
  students: Readonly<Record<string, StudentSource>>;
  trained: readonly string[];
  int8Products: boolean;
  matrixProducts: boolean;
  signal: AbortSignal | undefined;
}

export class Students {
  readonly #dense: Engine;
  readonly #wanted: Wanted;
  /** Files of fitted students, by shape. */
  readonly #fitted = new Map<string, File>();

  constructor(dense: Engine, wanted: Wanted) {
    this.#dense = dense;
    this.#wanted = wanted;
  }

  /** Fits what is to be fitted and opens every student once: what is wrong with one is known before anything is measured. */
  async prepare(rows: readonly Row[], report: (progress: QualityProgress) => void): Promise<void> {
    for (const row of rows) {
      const { source } = row;
      if (source.kind === "calibrated" && !this.#fitted.has(keyOf(source.swiftkv)))
        await this.#fit(row.text, source.swiftkv, report);
      if (source.kind !== "student") continue;
      report({ text: `${row.text}: opening`, share: null });
      (await this.open(row)).dispose();
    }
  }

  async #fit(name: string, swiftkv: SwiftKv, report: (progress: QualityProgress) => void): Promise<void> {
    const { calibrate: texts, calibrateTokens, signal } = this.#wanted;
    const calibrate = shares(
      this.#dense,
      texts.map(({ text }) => text),
      calibrateTokens,
    );
    const engine = await convert(this.#dense, swiftkv, {
      calibrate,
      ...(signal && { signal }),
      onProgress: ({ phase, tokens, totalTokens }) => {
        const text = phase === "solve" ? "solving" : `reading ${count(tokens)} of ${count(totalTokens)} tokens`;
        report({ text: `${name}: ${text}`, share: tokens / totalTokens });
      },
    });
    this.#fitted.set(keyOf(swiftkv), new File([await saveStudent(engine)], "student.safetensors"));
    engine.dispose();
  }

  /** The caller disposes of it. Throws InputError that names the row whose student cannot be used. */
  async open({ text, recipe, source }: Row): Promise<Engine> {
    const { signal, students, trained: given, int8Products, matrixProducts } = this.#wanted;
    const dense = this.#dense;
    const trained = given.length > 0 ? given : trainedFor(recipe, dense.model);
    const options = { kv: recipe, trained, int8Products, matrixProducts, ...(signal && { signal }) };
    if (source.kind === "own") return convert(dense, dense.model.swiftkv ?? false, options);
    if (source.kind === "folded") return convert(dense, source.swiftkv, options);
    const student =
      source.kind === "calibrated" ? this.#fitted.get(keyOf(source.swiftkv))! : (students[source.name] ?? source.name);
    try {
      return await convert(dense, true, { ...options, student });
    } catch (error) {
      throw error instanceof EngineError ? refuse(text, error.message) : error;
    }
  }
}

const keyOf = ({ layers, group }: SwiftKv): string => `${layers},${group}`;
