// Figures of the quality report against values worked out by hand, in float64.
import { expect, test } from "playwright/test";
import { divergence, equalLength, likeliest, logSumExp, mean, surprise } from "../../demo/quality/metrics.ts";
import { meanEqual } from "../../demo/quality/measure.ts";

const logs = (...probabilities: number[]): number[] => probabilities.map(Math.log);

test("cross-entropy: the logarithm of the token's probability, however the logits are shifted", () => {
  const logits = logs(0.5, 0.25, 0.25);
  expect(surprise(logits, 0)).toBeCloseTo(Math.LN2, 14);
  expect(surprise(logits, 2)).toBeCloseTo(2 * Math.LN2, 14);
  const shifted = logits.map((logit) => logit + 700);
  expect(surprise(shifted, 2)).toBeCloseTo(2 * Math.LN2, 12);
  expect(logSumExp([1000, 1000])).toBeCloseTo(1000 + Math.LN2, 12);
  expect(logSumExp(Float32Array.of(0, -Infinity))).toBe(0);
});

test("KL of two distributions, in nats", () => {
  const [p, q] = [logs(0.5, 0.5), logs(0.25, 0.75)];
  expect(divergence(p, q)).toBeCloseTo(0.5 * Math.log(2) + 0.5 * Math.log(2 / 3), 14);
  expect(divergence(q, p)).toBeCloseTo(0.25 * Math.log(0.5) + 0.75 * Math.log(1.5), 14);
  const three = divergence(logs(0.7, 0.2, 0.1), logs(0.6, 0.3, 0.1));
  expect(three).toBeCloseTo(0.7 * Math.log(7 / 6) + 0.2 * Math.log(2 / 3), 14);
});

test("KL of a distribution with itself is 0, never below; a token that cannot be counts nothing", () => {
  const logits = Float32Array.from({ length: 4096 }, (_, i) => Math.fround(8 * Math.sin(i * i)));
  expect(divergence(logits, logits)).toBe(0);
  expect(
    divergence(
      logits,
      logits.map((logit) => logit + 1),
    ),
  ).toBeLessThan(1e-9);
  expect(
    divergence(
      logits,
      logits.map((logit) => logit + 1),
    ),
  ).toBeGreaterThanOrEqual(0);
  expect(divergence([0, -Infinity], [0, -Infinity])).toBe(0);
  expect(divergence([0, -Infinity], [0, 0])).toBeCloseTo(Math.LN2, 14);
});

test("the likeliest token; of equal ones the first", () => {
  expect(likeliest([1, 3, 2])).toBe(1);
  expect(likeliest([2, 3, 3])).toBe(1);
});

test("equal text is counted to the first difference", () => {
  expect(equalLength([1, 2, 3], [1, 2, 3])).toBe(3);
  expect(equalLength([1, 2, 3], [1, 9, 3])).toBe(1);
  expect(equalLength([1, 2], [1, 2, 3])).toBe(2);
  expect(
    meanEqual(
      [
        [1, 2],
        [1, 2],
      ],
      [
        [1, 2],
        [3, 2],
      ],
    ),
  ).toBe(1);
  expect(mean([])).toBeNaN();
});
