import type { KernelSource } from "../src/gpu/kernel.ts";

export function encoded(source: KernelSource): string;
export function decoded(text: string): KernelSource;
