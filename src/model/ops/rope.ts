// Rotary position embedding: a table of (cos, sin), computed in float64.
import type { ModelConfig, RopeScaling } from "../config.ts";

/** Rotations per position: [E/2] float64 inverse frequencies. */
export function inverseFrequencies({ headWidth, ropeTheta, ropeScaling: scaling }: ModelConfig): Float64Array {
  return Float64Array.from({ length: headWidth / 2 }, (_, i) => {
    const base = ropeTheta ** ((-2 * i) / headWidth);
    if (scaling.kind === "linear") return base / scaling.factor;
    if (scaling.kind === "llama3") return llama3Frequency(base, scaling);
    if (scaling.kind === "yarn") return base * yarnShare(i, headWidth, ropeTheta, scaling);
    if (scaling.kind === "divisors") return base / (scaling.divisors[i] ?? 1);
    return base;
  });
}

/** Llama 3.1: long wavelengths are stretched by `factor`, short ones kept, a linear ramp between. */
function llama3Frequency(base: number, scaling: RopeScaling & { kind: "llama3" }): number {
  const turns = (scaling.originalContext * base) / (2 * Math.PI);
  if (turns < scaling.lowFrequency) return base / scaling.factor;
  if (turns > scaling.highFrequency) return base;
  const ramp = (turns - scaling.lowFrequency) / (scaling.highFrequency - scaling.lowFrequency);
  return base * ((1 - ramp) / scaling.factor + ramp);
}

/** Yarn: what is left of frequency `i`: 1 for fast ones, 1/factor for slow ones, a linear ramp over the index between. */
function yarnShare(i: number, width: number, theta: number, scaling: RopeScaling & { kind: "yarn" }): number {
  const { turns, originalContext, factor } = scaling;
  const indexOf = (count: number): number =>
    (width * Math.log(originalContext / (count * 2 * Math.PI))) / (2 * Math.log(theta));
  const ends = [indexOf(turns.fast), indexOf(turns.slow)] as const;
  const [from, to] = turns.whole ? [Math.floor(ends[0]), Math.ceil(ends[1])] : ends;
  const [low, high] = [Math.max(from, 0), Math.min(to, width - 1)];
  const slow = Math.min(1, Math.max(0, (i - low) / (low === high ? 0.001 : high - low)));
  return 1 - slow + slow / factor;
}

/** (cos, sin) of every position, computed in float64: WGSL's own sin and cos are good to 2⁻¹¹ only. */
export function ropeTable(config: ModelConfig, positions: number): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(config);
  const size = config.ropeScaling.kind === "yarn" ? config.ropeScaling.attention : 1;
  const table = new Float32Array(positions * config.headWidth);
  for (let position = 0; position < positions; position++) {
    for (const [i, frequency] of frequencies.entries()) {
      const at = position * config.headWidth + 2 * i;
      table[at] = size * Math.cos(position * frequency);
      table[at + 1] = size * Math.sin(position * frequency);
    }
  }
  return table;
}
