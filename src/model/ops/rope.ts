// Rotary position embedding: tables of (cos, sin), computed in float64.
import type { ModelConfig } from "../config.ts";
import { type Rotation, stretched } from "../rotation.ts";

/** Rotations per position: [turned/2] float64 inverse frequencies. `context`: tokens that a text may have. */
export function inverseFrequencies({ theta, scaling }: Rotation, turned: number, context: number): Float64Array {
  return Float64Array.from({ length: turned / 2 }, (_, i) => {
    const base = theta ** ((-2 * i) / turned);
    if (scaling.kind === "still") return 0;
    if (scaling.kind === "linear") return base / scaling.factor;
    if (scaling.kind === "divisors") return base / (scaling.divisors[i] ?? 1);
    if (scaling.kind === "default") return base;
    return stretched.now.stretchedFrequency(base, i, scaling, { theta, turned, context });
  });
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
