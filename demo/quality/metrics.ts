// What two rows of logits say about each other, in float64. Logarithms are natural: entropies are in nats.

/** log Σ exp(logits) */
export function logSumExp(logits: ArrayLike<number>): number {
  let top = -Infinity;
  for (let i = 0; i < logits.length; i++) top = Math.max(top, logits[i]!);
  let sum = 0;
  for (let i = 0; i < logits.length; i++) sum += Math.exp(logits[i]! - top);
  return top + Math.log(sum);
}

/** −log p(token) */
export const surprise = (logits: ArrayLike<number>, token: number): number => logSumExp(logits) - logits[token]!;

/** KL(p‖q) of the distributions that two rows of logits stand for. */
export function divergence(p: ArrayLike<number>, q: ArrayLike<number>): number {
  const [wholeP, wholeQ] = [logSumExp(p), logSumExp(q)];
  let sum = 0;
  for (let i = 0; i < p.length; i++) {
    const log = p[i]! - wholeP;
    const weight = Math.exp(log);
    if (weight > 0) sum += weight * (log - (q[i]! - wholeQ));
  }
  return Math.max(0, sum); // a rounding error may lie below
}

/** The index of the largest; of equal ones the first, as greedy decoding takes it. */
export function likeliest(logits: ArrayLike<number>): number {
  let best = 0;
  for (let i = 1; i < logits.length; i++) if (logits[i]! > logits[best]!) best = i;
  return best;
}

/** Tokens until the first difference. */
export function equalLength(a: readonly number[], b: readonly number[]): number {
  const most = Math.min(a.length, b.length);
  for (let i = 0; i < most; i++) if (a[i] !== b[i]) return i;
  return most;
}

/** NaN of nothing. */
export const mean = (values: ArrayLike<number>): number => {
  let sum = 0;
  for (let i = 0; i < values.length; i++) sum += values[i]!;
  return sum / values.length;
};
