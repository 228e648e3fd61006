import type { Plugin } from "vite";
import type { Read } from "./read.mjs";

export function compactKernels(kernels: readonly Read[]): Record<string, string>;
export function smallShaders(): Plugin;
