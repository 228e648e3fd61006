// Sizes of the kernels whose workgroups lie along K (shaders/lib/deep.wgsl): few columns each, so that the smallest product
// makes enough workgroups to fill a GPU.

/** Four for each of 40 cores. */
const WORKGROUPS = 160;
/** Workgroups in a row that WebGPU allows. */
const MOST_WORKGROUPS = 65535;

/** Columns of a workgroup, at most `most`: as many as leave enough workgroups. */
export function deepColumns(columns: number, most: number): number {
  const fits = (each: number) => each <= most && columns / each >= WORKGROUPS;
  const chosen = [8, 4].find(fits) ?? Math.min(most, 2);
  return columns / chosen > MOST_WORKGROUPS ? 8 : chosen;
}

/** Threads along K: one for each four words, as far as 16 KiB of workgroup memory reach. */
export function deepSlices(
  { depth, bits }: { depth: number; bits: number },
  rows: number,
  columns: number,
  most: number,
): number {
  const fours = Math.ceil((depth * bits) / 128);
  const memory = Math.floor((4096 - rows * columns) / (rows * (columns + 1)));
  return 8 * Math.max(1, Math.min(Math.ceil(fours / 8), Math.floor(Math.min(memory, most) / 8)));
}
