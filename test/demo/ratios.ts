// What the rows of a comparison say of each other.
import { expect } from "playwright/test";
import type { CompareResult } from "../../demo/bench/compare.ts";

/** Ratios follow from the figures they are ratios of. */
export function expectRatios({ variants }: CompareResult): void {
  for (const { swiftkv, kv, rows } of variants) {
    const dense = variants.find((other) => other.kv === kv && !other.swiftkv) ?? variants[0]!;
    for (const [at, row] of rows.entries()) {
      const base = dense.rows[at]!;
      expect(row.speedup).toBeCloseTo(base.firstTokenMs.median / row.firstTokenMs.median, 6);
      expect(row.ofPredicted).toBeCloseTo(row.speedup / row.predictedSpeedup, 6);
      expect(row.predictedMs).toBeCloseTo(base.firstTokenMs.median / row.predictedSpeedup, 6);
      expect(row.decodeToDense).toBeCloseTo(row.decodeMs.median / base.decodeMs.median, 6);
      expect(row.prefill.median).toBeGreaterThan(0);
      if (!swiftkv) expect([row.speedup, row.predictedSpeedup, row.decodeToDense]).toEqual([1, 1, 1]);
      else expect(row.predictedSpeedup).toBeGreaterThan(1.5); // half of the layers
      if (swiftkv) expect(row.predictedSpeedup).toBeLessThan(2);
    }
  }
}
