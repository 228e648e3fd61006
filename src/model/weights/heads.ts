// How the heads of a file lie in a matrix. shaders/lib/target.wgsl does the same to rows.
//
// Kernels turn the pairs (i, E/2 + i) of a head, and pages take heads whose width is a multiple of 8. A file may turn the
// first channels only, and its heads may be narrower: then they are laid out so that what is turned together is a pair, and
// the ends of both halves are zero.

export interface HeadForm {
  /** Width of a head in the file. */
  fileWidth: number;
  /** E */
  width: number;
  /** Channels that are turned, the first ones; for values, which nothing turns, all of them. */
  turned: number;
}

/** Channel in a head of width E of channel `e` of a head in the file. */
export function channelOf({ fileWidth, width, turned }: HeadForm, e: number): number {
  const [half, from, at] = e < turned ? [turned / 2, 0, e] : [(fileWidth - turned) / 2, turned / 2, e - turned];
  return from + (at < half ? at : width / 2 + at - half);
}

/** A vector over heads, laid out as their rows are. */
export function placeHeads(values: Float32Array, form: HeadForm): Float32Array<ArrayBuffer> {
  const { fileWidth, width } = form;
  const out = new Float32Array((values.length / fileWidth) * width);
  for (const [i, value] of values.entries()) {
    const head = Math.floor(i / fileWidth);
    out[head * width + channelOf(form, i % fileWidth)] = value;
  }
  return out;
}
