// Subgroup matrices, an experiment of Chromium's: which an adapter offers, and which of them the engine's kernel takes. A part of
// what it offers (offer.ts) that is fetched where it is asked for.
import { Gpu } from "./device.ts";
import { compiledText, Kernel, type KernelSource } from "./kernel.ts";
import { fixesLanes, offerOf } from "./offer.ts";

/** What a device may be asked for, where the adapter has it. */
const FEATURE = "chromium-experimental-subgroup-matrix" as GPUFeatureName;

/** As adapters list them: result [M, N] += left [M, K] · right [K, N]. */
interface MatrixConfig {
  componentType: string;
  resultComponentType: string;
  M: number;
  N: number;
  K: number;
}

/** Matrices of f16 (HALF) or of f32, with sums in f32: constants of gemm_matrix. */
export interface MatrixShape {
  M: number;
  N: number;
  D: number;
  HALF: 0 | 1;
  /** Lanes of every subgroup, exactly. */
  LANES: number;
}

type Described = Pick<GPUDevice, "features" | "limits" | "adapterInfo">;

const listedIn = (info: Partial<GPUAdapterInfo> | undefined): MatrixConfig[] => [
  ...((info as { subgroupMatrixConfigs?: Iterable<MatrixConfig> } | undefined)?.subgroupMatrixConfigs ?? []),
];

/** Lanes of every subgroup of a pipeline; 0 where that may differ. */
function exactLanes(device: Described): number {
  const { subgroupMinSize: least = 0, subgroupMaxSize: most = 0 } = device.adapterInfo ?? {};
  if (least === most) return least;
  return fixesLanes(device) ? offerOf(device).lanes : 0;
}

/**
 * Those with sums in f32, those of f16 first, and larger ones before smaller. Sums in f16 are not taken: they overflow. Empty
 * where the device was not asked for them, or subgroups are not of one size.
 */
export function matrixShapes(device: Described, listed = listedIn(device.adapterInfo)): MatrixShape[] {
  const LANES = exactLanes(device);
  const { features } = device;
  if (!features.has(FEATURE) || !features.has("subgroups") || LANES === 0) return [];
  const allowed = features.has("shader-f16") ? ["f16", "f32"] : ["f32"];
  return listed
    .filter((config) => config.resultComponentType === "f32" && allowed.includes(config.componentType))
    .map(({ componentType, M, N, K }): MatrixShape => ({ M, N, D: K, HALF: componentType === "f16" ? 1 : 0, LANES }))
    .toSorted((a, b) => b.HALF - a.HALF || b.M * b.N * b.D - a.M * a.N * a.D);
}

/** The same, asked of the adapter where its device lists none, as in Dawn for Node 0.6.2. */
export async function offeredShapes(device: Described): Promise<MatrixShape[]> {
  const shapes = matrixShapes(device);
  if (shapes.length > 0 || !device.features.has(FEATURE)) return shapes;
  const adapter = await Gpu.find().catch(() => null); // the device may be a caller's own, and no adapter be found
  return matrixShapes(device, listedIn(adapter?.info));
}

/** Whether the compiler takes a kernel: the language of an experiment changes from one browser to the next. */
export async function isCompiled(
  { device }: Pick<Gpu, "device">,
  source: KernelSource,
  constants: Readonly<Record<string, number>>,
): Promise<boolean> {
  const code = await compiledText(device, source, constants);
  device.pushErrorScope("validation"); // else the device reports the text as a fault
  device.createShaderModule({ label: source.name, code });
  if (await device.popErrorScope()) return false;
  return Kernel.create(device, source, constants).then(
    () => true,
    () => false,
  );
}
