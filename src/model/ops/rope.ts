// Rotary position embedding: tables of (cos, sin), computed in float64.
import type { ModelConfig } from "../config.ts";
import type { RopeScaling, Rotation } from "../rotation.ts";

/** Rotations per position: [turned/2] float64 inverse frequencies. `context`: tokens that a text may have. */
export function inverseFrequencies({ theta, scaling }: Rotation, turned: number, context: number): Float64Array {
  return Float64Array.from({ length: turned / 2 }, (_, i) => {
    const base = theta ** ((-2 * i) / turned);
    if (scaling.kind === "still") return 0;
    if (scaling.kind === "linear") return base / scaling.factor;
    if (scaling.kind === "llama3") return llama3Frequency(base, scaling);
    if (scaling.kind === "yarn") return base * yarnShare(i, turned, theta, scaling);
    if (scaling.kind === "longrope") return base / (isLong(scaling, context) ? scaling.long : scaling.short)[i]!;
    if (scaling.kind === "divisors") return base / (scaling.divisors[i] ?? 1);
    return base;
  });
}

/** Decided once, by the context: keys that are cached cannot change when a text grows beyond the original context. */
const isLong = ({ originalContext }: RopeScaling & { kind: "longrope" }, context: number): boolean =>
  context > originalContext;

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

/** The position of a table of so many positions that position 0 of a query has: where queries have turns of their own. */
export const queryTurnsOf = ({ queries }: Rotation, positions: number): number =>
  queries && positions > queries.originalContext ? positions : 0;

/**
 * [positions, E/2, 2] (cos, sin) of a rotation at the first `room` positions, WGSL's own being good to 2⁻¹¹ only, and behind
 * it the same for queries, where they have turns of their own. Turns may lengthen what they turn; channels beyond stay as
 * they are.
 */
export function ropeTable(
  rotation: Rotation,
  { headWidth: E, turnedWidth }: Pick<ModelConfig, "headWidth" | "turnedWidth">,
  { room: positions, context }: { room: number; context: number },
): Float32Array<ArrayBuffer> {
  const frequencies = inverseFrequencies(rotation, turnedWidth, context);
  const turnedLength = "attention" in rotation.scaling ? rotation.scaling.attention : 1;
  const queryTurns = queryTurnsOf(rotation, positions);
  const values = new Float32Array((positions + queryTurns) * E);
  for (let row = 0; row < positions + queryTurns; row++) {
    const position = row % positions;
    const growth = row < positions ? 1 : queryLength(rotation, position);
    for (let i = 0; i < E / 2; i++) {
      const angle = position * (frequencies[i] ?? 0);
      const size = growth * (i < frequencies.length ? turnedLength : 1);
      values[row * E + 2 * i] = size * Math.cos(angle);
      values[row * E + 2 * i + 1] = size * Math.sin(angle);
    }
  }
  return values;
}

/** How much longer a query at this position is. */
function queryLength({ queries }: Rotation, position: number): number {
  return queries ? 1 + queries.growth * Math.log(1 + Math.floor(position / queries.originalContext)) : 1;
}
