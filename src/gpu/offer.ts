// What an adapter offers to kernels, and what a kernel needs of it.

/** Features used where present; nothing depends on them alone. Some are newer than the types of this browser's interface. */
export const WANTED_FEATURES = [
  "subgroups",
  "subgroup-size-control",
  "shader-f16",
  "timestamp-query",
  "chromium-experimental-subgroup-matrix",
] as GPUFeatureName[];

export interface Offer {
  /** Lanes that every subgroup has at least, 32 at most; 0 where subgroups are not offered. */
  lanes: number;
  /** `enable f16;` and its types. */
  f16: boolean;
  /** Threads of a workgroup, and bytes of its memory. */
  threads: number;
  workgroupBytes: number;
}

/** What a kernel needs; what is left out it does not need. */
export interface Needs {
  lanes?: number;
  f16?: boolean;
  threads: number;
  workgroupBytes?: number;
}

/** No kernel is written for more. */
const MOST_LANES = 32;

const powerOfTwo = (size: number): number => 2 ** Math.floor(Math.log2(size));

/** Pipelines can be made for subgroups of one size that kernels are written for, where the adapter has several. */
export function fixesLanes({ features, adapterInfo }: Pick<GPUDevice, "features" | "adapterInfo">): boolean {
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = adapterInfo ?? {};
  return features.has("subgroup-size-control" as GPUFeatureName) && least < most && least <= MOST_LANES;
}

function lanesOf(device: Pick<GPUDevice, "features" | "adapterInfo">): number {
  if (!device.features.has("subgroups")) return 0;
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = device.adapterInfo ?? {};
  const lanes = Math.min(MOST_LANES, fixesLanes(device) ? most : least);
  return lanes > 0 ? powerOfTwo(lanes) : 0;
}

export const offerOf = (device: Pick<GPUDevice, "features" | "limits" | "adapterInfo">): Offer => ({
  lanes: lanesOf(device),
  f16: device.features.has("shader-f16"),
  threads: device.limits.maxComputeInvocationsPerWorkgroup,
  workgroupBytes: device.limits.maxComputeWorkgroupStorageSize,
});

export const offers = (offer: Offer, { lanes = 0, f16 = false, threads, workgroupBytes = 0 }: Needs): boolean =>
  lanes <= offer.lanes && (!f16 || offer.f16) && threads <= offer.threads && workgroupBytes <= offer.workgroupBytes;
