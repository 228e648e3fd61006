import type { Files, Read } from "./read.mjs";

export function generate(kernels?: readonly Read[]): string;
export function table(kernels?: readonly Read[]): string;
export function packTexts(
  files: Files,
  kernels?: readonly Read[],
  written?: (text: string) => string,
): Record<string, string>;
