// The precision of a kept model, as far as its files tell. No DOM.

import type { KeptModel } from "../../src/index.ts";

const GGUF_PRECISION = /(?:^|[-._])((?:UD-)?I?Q\d\w*|BF16|F16|F32|MXFP4)(?:-\d+-of-\d+)?\.gguf$/i;

/** As a GGUF's name has it, else the bits that each of its parameters takes; "" where neither is known. */
export function precisionOf({ files }: Pick<KeptModel, "files">, parameters = 0): string {
  const named = files.map(({ name }) => GGUF_PRECISION.exec(name)?.[1]).find(Boolean);
  if (named) return named.toUpperCase();
  const weights = files.filter(({ name }) => name.endsWith(".safetensors"));
  const size = weights.reduce((sum, file) => sum + file.totalBytes, 0);
  return parameters > 0 && size > 0 ? `${Math.round((8 * size) / parameters)} bits` : "";
}
