/** The numbers of ../shared/vectors/kv_checks.py, from −1 to 1: a generator of its own. */
export function* uniforms(seed: number): Generator<number> {
  for (let x = seed; ;) {
    x = (Math.imul(1664525, x) + 1013904223) >>> 0;
    yield (2 * x) / 2 ** 32 - 1;
  }
}
