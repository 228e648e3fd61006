// A system for tests that adds a token nobody wrote: in every layer, each head also sees a key with score 0 and a value that
// the checkpoint brings along. It uses the seams for partials and for weights.
import type { KernelSource } from "../../../src/gpu/kernel.ts";
import { dispatch } from "../../../src/gpu/program.ts";
import { defineSystem } from "../../../src/kv/parse.ts";
import type { StepSizes } from "../../../src/kv/system.ts";

const code = `// ghost_partial — (acc, max, sum) = (value of the layer, 0, 1) for every row and head
override H: u32 = 6;
override E: u32 = 8;
struct Params { layer: u32, entries: u32, entry: u32 }
@group(0) @binding(0) var<storage, read> values: array<f32>;
@group(0) @binding(1) var<storage, read_write> partials: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
@compute @workgroup_size(32)
fn ghost_partial(@builtin(workgroup_id) wg: vec3u, @builtin(local_invocation_index) local: u32) {
  let at = ((wg.y * H + wg.x) * params.entries + params.entry) * (E + 2u);
  for (var e = local; e < E; e += 32u) { partials[at + e] = values[params.layer * E + e]; }
  if (local == 0u) {
    partials[at + E] = 0.0;
    partials[at + E + 1u] = 1.0;
  }
}
`;

const u32 = (offset: number) => ({ offset, type: "u32" });
const ghostPartial = {
  name: "ghost_partial",
  bindings: { values: { binding: 0, type: "read-only-storage" }, partials: { binding: 1, type: "storage" } },
  params: { binding: 2, size: 12, fields: { layer: u32(0), entries: u32(4), entry: u32(8) } },
  overrides: { H: 6, E: 8 },
  tiles: {},
  features: [],
  code,
} as const satisfies KernelSource;

defineSystem({
  name: "ghost",
  options: {},
  create(_, { layers, heads, headWidth }) {
    let values: GPUBuffer;
    return {
      name: "ghost",
      extraWeightBytes: 4 * layers * headWidth,
      weights(tensors) {
        const names = Array.from({ length: layers }, (_layer, layer) => `ghost.${layer}`);
        values = tensors.vector(
          names,
          names.map(() => headWidth),
        );
      },
      partials: {
        count: 1,
        write: (layer, { partials, rows, place }) => [
          dispatch({
            kernel: ghostPartial,
            constants: { H: heads, E: headWidth },
            label: `layer ${layer} ghost`,
            buffers: { values, partials },
            params: (s: StepSizes) => ({ layer, ...place(s) }),
            grid: (s) => [heads, rows(s).count, 1],
            bytes: (s) => 4 * heads * rows(s).count * headWidth,
            flops: () => 0,
          }),
        ],
      },
    };
  },
});
