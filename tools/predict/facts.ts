// A device of the table as WebGPU would describe it.
import type { DeviceFacts } from "../../src/gpu/paper.ts";
import type { Device } from "./devices.ts";

/** WebGPU's defaults, where the engine looks at them. */
const LIMITS = {
  maxBufferSize: 256 * 2 ** 20,
  maxStorageBufferBindingSize: 128 * 2 ** 20,
  maxComputeWorkgroupStorageSize: 16384,
  maxComputeInvocationsPerWorkgroup: 256,
  maxStorageBuffersPerShaderStage: 8,
  minStorageBufferOffsetAlignment: 256,
};

export function factsOf({ name, subgroup, limits, software }: Device): DeviceFacts {
  return {
    limits: { ...LIMITS, ...limits } as unknown as GPUSupportedLimits,
    features: new Set(["subgroups"]),
    info: {
      description: name,
      architecture: software ? "swiftshader" : "",
      subgroupMinSize: subgroup,
      subgroupMaxSize: subgroup,
    },
  };
}
