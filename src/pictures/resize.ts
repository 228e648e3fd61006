// Resizing as Pillow does it for bytes, to the bit, because that is what models saw in training: Lanczos windows, widened where
// a picture shrinks, in integers of 22 binary places, first along rows, then along columns.
import type { Raster } from "./raster.ts";

/** Binary places of a weight. */
const PLACES = 22;
/** Half the width of the window, in pixels of the larger of both pictures. */
const SUPPORT = 3;

const sinc = (x: number): number => (x === 0 ? 1 : Math.sin(Math.PI * x) / (Math.PI * x));
const lanczos = (x: number): number => (x >= -SUPPORT && x < SUPPORT ? sinc(x) * sinc(x / SUPPORT) : 0);

/** What one output pixel is made of: `weights` of the input pixels from `first` on. */
interface Window {
  first: number;
  weights: Int32Array;
}

/** Of each of `to` output pixels along a side of `from` pixels. */
function windowsOf(from: number, to: number): Window[] {
  const scale = from / to;
  const stretch = Math.max(scale, 1);
  const support = SUPPORT * stretch;
  return Array.from({ length: to }, (_, out) => {
    const centre = (out + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - support + 0.5));
    const end = Math.min(from, Math.trunc(centre + support + 0.5));
    const raw = Float64Array.from({ length: end - first }, (_, i) => lanczos((i + first - centre + 0.5) / stretch));
    const sum = raw.reduce((total, weight) => total + weight, 0);
    const fixed = (weight: number) => Math.trunc((weight / sum) * 2 ** PLACES + (weight < 0 ? -0.5 : 0.5));
    return { first, weights: Int32Array.from(raw, fixed) };
  });
}

/** Along one side: `lines` lines of `windows.length` outputs each. Steps in pixels. */
interface Pass {
  windows: readonly Window[];
  lines: number;
  from: { line: number; pixel: number };
  to: { line: number; pixel: number };
}

function run(source: Raster["data"], { windows, lines, from, to }: Pass): Raster["data"] {
  const out = new Uint8ClampedArray(4 * lines * windows.length);
  for (const [o, { first, weights }] of windows.entries()) {
    for (let line = 0; line < lines; line++) {
      let [red, green, blue] = [2 ** (PLACES - 1), 2 ** (PLACES - 1), 2 ** (PLACES - 1)];
      let at = 4 * (line * from.line + first * from.pixel);
      for (let i = 0; i < weights.length; i++, at += 4 * from.pixel) {
        const weight = weights[i]!;
        red += weight * source[at]!;
        green += weight * source[at + 1]!;
        blue += weight * source[at + 2]!;
      }
      const place = 4 * (line * to.line + o * to.pixel);
      out[place] = red >> PLACES;
      out[place + 1] = green >> PLACES;
      out[place + 2] = blue >> PLACES;
      out[place + 3] = 255;
    }
  }
  return out;
}

/** The picture in another size; itself where that is its own. */
export function resize(raster: Raster, width: number, height: number): Raster {
  let { data } = raster;
  if (width !== raster.width) {
    const windows = windowsOf(raster.width, width);
    const [from, to] = [{ line: raster.width, pixel: 1 }, { line: width, pixel: 1 }]; // prettier-ignore
    data = run(data, { windows, lines: raster.height, from, to });
  }
  if (height !== raster.height) {
    const steps = { line: 1, pixel: width };
    data = run(data, { windows: windowsOf(raster.height, height), lines: width, from: steps, to: steps });
  }
  return { width, height, data };
}
