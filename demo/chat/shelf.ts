// The students of the loaded model: those that come with the page, that were fitted here, or opened from a file. One for
// each shape. No DOM.

import type { CalibrationInfo, ModelInfo, SwiftKv } from "../../src/index.ts";
import { count, seconds } from "../shared/numbers.ts";
import { asset } from "../shared/catalogue.ts";
import type { ShippedStudent } from "../shared/students.ts";
import { mean } from "../quality/metrics.ts";

export interface Student {
  /** Differs from that of any other. */
  id: string;
  swiftkv: SwiftKv;
  source: string | File;
  kind: "trained" | "fitted";
  /** How it was made and how good it is, in words. */
  note: string;
}

const byShape = ({ layers, group }: SwiftKv): string => `${layers} ${group}`;

let made = 0;

export class Shelf {
  readonly #students = new Map<string, Student>();

  constructor(model: Pick<ModelInfo, "hash">, shipped: readonly ShippedStudent[]) {
    for (const each of shipped) if (each.base === model.hash) this.put(fromPage(each));
  }

  put(student: Student): void {
    this.#students.set(byShape(student.swiftkv), student);
  }

  of(swiftkv: SwiftKv): Student | null {
    return this.#students.get(byShape(swiftkv)) ?? null;
  }

  /** Of those that share no caches, what is said beside their number of layers. */
  kind(layers: number): Student["kind"] | null {
    return this.of({ layers, group: 1 })?.kind ?? null;
  }

  /** The shape to begin with: the first student's, else `fallback`. */
  first(fallback: SwiftKv): SwiftKv {
    return [...this.#students.values()][0]?.swiftkv ?? fallback;
  }
}

/** A student that comes with the page. */
export const fromPage = ({ swiftkv, folder, kl: [least, most] }: ShippedStudent): Student => ({
  id: folder,
  swiftkv,
  source: asset(`models/students/${folder}/`),
  kind: "trained",
  note: `Trained for this model. On texts it had not seen: KL ${least.toFixed(2)} to ${most.toFixed(2)} nats.`,
});

/** A student that was fitted here. */
export function fitted(swiftkv: SwiftKv, source: File, { tokens, r2 }: CalibrationInfo, milliseconds: number): Student {
  const quality = `R² ${mean(r2).toFixed(2)}, ${Math.min(...r2).toFixed(2)} in the worst layer`;
  const note = `Fitted here to ${count(tokens)} tokens in ${seconds(milliseconds)}: ${quality}.`;
  return { id: `fitted ${++made}`, swiftkv, source, kind: "fitted", note };
}

/** A student from the user's file. */
export const opened = (swiftkv: SwiftKv, source: File, { distillation }: ModelInfo): Student => ({
  id: `opened ${++made}`,
  swiftkv,
  source,
  kind: distillation ? "trained" : "fitted",
  note: `From ${source.name}.`,
});
