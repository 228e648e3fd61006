// How codes of few bits with a scale and a minimum (shaders/lib/codes.wgsl) are judged.
import { halfOf } from "../matrix.ts";
import { halfWrong } from "./shadow_case.ts";

/** What is wrong with the codes 0 … top of `numbers` and their pair, if anything. The kernel's numbers may be off by `error`. */
export function judgeCodes(
  numbers: Float64Array,
  codes: readonly number[],
  pair: number,
  top: number,
  error = 0,
): string | null {
  const [least, most] = [Math.min(...numbers), Math.max(...numbers)];
  const slack = 2 ** -22 * (Math.abs(least) + Math.abs(most)) + 2 * error;
  const wrong =
    halfWrong(pair, { value: (most - least) / top, error: slack / top }) ?? halfWrong(pair >>> 16, { value: least, error }); // prettier-ignore
  if (wrong) return `pair ${wrong}`;
  const [scale, minimum] = [halfOf(pair & 0xffff), halfOf(pair >>> 16)];
  for (const [i, code] of codes.entries()) {
    const exact = Math.max(0, Math.min(top, (numbers[i]! - minimum) / (scale || 1)));
    const off = (2 ** -21 * (Math.abs(numbers[i]!) + Math.abs(minimum)) + error) / (scale || 1);
    if (Math.abs(code - exact) > 0.5 + off) return `code ${i} is ${code}, want ${exact}`;
  }
  return null;
}
