// GPUs as the prediction sees them. Peaks are from the makers' data sheets; latency, the gap between dispatches and the price of a
// barrier are not published: they are assumed, within a factor of two, and `npm run gpu` measures the first two.

export interface Device {
  name: string;
  /** Of memory, 10⁹ bytes a second. */
  gbs: number;
  /** f32 multiply-adds, two operations each, 10⁹ operations a second. */
  gflops: number;
  /** What a workgroup runs on (Apple and Mali: core, NVIDIA: SM, Intel: Xe core, Qualcomm: shader processor). */
  cores: number;
  /** Multiply-adds a core starts in a clock. */
  lanes: number;
  /** Threads of a core under way at once, at most. */
  threads: number;
  subgroup: number;
  /** A load from memory, µs. */
  latency: number;
  /** From the end of a dispatch to the start of the next one, which depends on it, µs. */
  gap: number;
  /** A barrier of a workgroup, µs. */
  barrier: number;
  /** Where the peaks and counts are from. */
  source: string;
  /** WebGPU's limits there, as browsers report them; the others are WebGPU's defaults. */
  limits?: Partial<Record<"maxBufferSize" | "maxStorageBufferBindingSize", number>>;
  /** It runs shaders on a CPU: the engine takes other kernels. */
  software?: true;
}

const GIB = 2 ** 30;
const DESKTOP = { maxBufferSize: 4 * GIB, maxStorageBufferBindingSize: 2 * GIB - 4 };

export const DEVICES: readonly Device[] = [
  {
    name: "M1",
    gbs: 68.3,
    gflops: 2600,
    cores: 8,
    lanes: 128,
    threads: 768,
    subgroup: 32,
    latency: 0.6,
    gap: 3,
    barrier: 0.05,
    source: "Apple, M1 with 8 GPU cores (November 2020): 2.6 TFLOPS; LPDDR4X-4266, 128 bits",
    limits: DESKTOP,
  },
  {
    name: "M4 Pro",
    gbs: 273,
    gflops: 9200,
    cores: 20,
    lanes: 128,
    threads: 768,
    subgroup: 32,
    latency: 0.6,
    gap: 2.5,
    barrier: 0.04,
    source:
      "Apple, M4 Pro with 20 GPU cores (October 2024): 273 GB/s; 20 × 128 multiply-adds at 1.8 GHz (clock not published)",
    limits: DESKTOP,
  },
  {
    name: "Iris Xe",
    gbs: 68.3,
    gflops: 2070,
    cores: 6,
    lanes: 128,
    threads: 1792,
    subgroup: 16,
    latency: 0.5,
    gap: 6,
    barrier: 0.08,
    source: "Intel, Core i7-1185G7 (96 execution units, 1.35 GHz); LPDDR4X-4266, 128 bits",
    limits: DESKTOP,
  },
  {
    name: "RTX 4060",
    gbs: 272,
    gflops: 15100,
    cores: 24,
    lanes: 128,
    threads: 1536,
    subgroup: 32,
    latency: 0.55,
    gap: 3,
    barrier: 0.03,
    source: "NVIDIA, GeForce RTX 4060 (May 2023): 3072 cores, 2.46 GHz, 272 GB/s; Ada architecture paper",
    limits: DESKTOP,
  },
  {
    name: "H100",
    gbs: 3350,
    gflops: 66900,
    cores: 132,
    lanes: 128,
    threads: 2048,
    subgroup: 32,
    latency: 0.6,
    gap: 2.5,
    barrier: 0.03,
    source: "NVIDIA, H100 SXM5 data sheet: 67 TFLOPS f32, 3.35 TB/s; H200: the same with 4.8 TB/s",
    limits: DESKTOP,
  },
  {
    name: "Adreno X1",
    gbs: 135,
    gflops: 4600,
    cores: 6,
    lanes: 256,
    threads: 2048,
    subgroup: 64,
    latency: 0.7,
    gap: 8,
    barrier: 0.1,
    source:
      "Qualcomm, Snapdragon X Elite X1E-84-100 brief: 4.6 TFLOPS, LPDDR5X-8448, 128 bits; six shader processors by measurement of others",
    limits: DESKTOP,
  },
  {
    name: "Mali G720",
    gbs: 76.8,
    gflops: 4000,
    cores: 12,
    lanes: 128,
    threads: 1024,
    subgroup: 16,
    latency: 0.8,
    gap: 12,
    barrier: 0.15,
    source:
      "MediaTek, Dimensity 9300: Immortalis-G720 MC12, 1.3 GHz, LPDDR5T-9600, 64 bits; Arm: 128 multiply-adds a core and clock",
    limits: { maxBufferSize: GIB, maxStorageBufferBindingSize: 128 * 2 ** 20 },
  },
  {
    name: "SwiftShader",
    gbs: 3.5,
    gflops: 12.6,
    cores: 2,
    lanes: 4,
    threads: 4,
    subgroup: 4,
    latency: 0,
    gap: 20,
    barrier: 1,
    source: "measured, two cores of a CPU: docs/bench/swiftshader.json (a copy reaches 2.96 GB/s)",
    software: true,
  },
];
