// What a step has read back, in the order in which it was copied: results, likeliest tokens, logits.
import type { LogitRow, Sampled } from "../model.ts";

type Reported = Pick<Sampled, "token" | "logprob">;

/** `bytes`: a result of every row, then `top` of each row that asks for them, then the [V] logits of each that asks for those. */
export function decodeResults(bytes: ArrayBuffer, rows: readonly LogitRow[], vocabulary: number): Sampled[] {
  const view = new DataView(bytes);
  let at = 0;
  const next = (): Reported => {
    const result = { token: view.getUint32(at, true), logprob: view.getFloat32(at + 4, true) };
    at += 8;
    return result;
  };
  const results: Sampled[] = rows.map(next);
  for (const [i, { top = 0 }] of rows.entries()) if (top > 0) results[i]!.top = Array.from({ length: top }, next);
  for (const [i, { logits }] of rows.entries()) {
    if (!logits) continue;
    results[i]!.logits = new Float32Array(bytes.slice(at, at + 4 * vocabulary));
    at += 4 * vocabulary;
  }
  return results;
}
