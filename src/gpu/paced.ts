// The programs of a step, in as many submits as their pace asks for.
import type { Gpu } from "./device.ts";
import type { Cost } from "./pace.ts";
import type { Program } from "./program.ts";

type Prepared = Pick<Program<never>, "encode"> & {
  /** Of each dispatch of the prepared step; null: it is left out. */
  costs: readonly (Cost | null)[];
};

/**
 * Encodes them one after another. What a submit has no room for goes into the next one. Returns the encoder of the last, which
 * is the caller's to submit.
 */
export function encodePaced(
  gpu: Pick<Gpu, "device" | "submit" | "pace">,
  begun: GPUCommandEncoder,
  programs: readonly Prepared[],
): GPUCommandEncoder {
  let encoder = begun;
  let pass = encoder.beginComputePass();
  const cut = (): void => {
    pass.end();
    gpu.submit(encoder);
    encoder = gpu.device.createCommandEncoder();
    pass = encoder.beginComputePass();
  };
  for (const program of programs) {
    let first = 0;
    for (const [i, cost] of program.costs.entries()) {
      if (gpu.pace.take(encoder, cost)) continue;
      program.encode(pass, first, i);
      cut();
      gpu.pace.take(encoder, cost);
      first = i;
    }
    program.encode(pass, first);
  }
  pass.end();
  return encoder;
}

/** All in one pass. */
export function encodePass(encoder: GPUCommandEncoder, programs: readonly Pick<Program<never>, "encode">[]): void {
  const pass = encoder.beginComputePass();
  for (const program of programs) program.encode(pass);
  pass.end();
}
