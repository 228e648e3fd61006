import type { KernelSource, StructLayout } from "../src/gpu/kernel.ts";

/** Texts by path in shaders/. */
export type Files = Map<string, string>;
/** A kernel's text with what it uses of lib/, and the parts of it that may be replaced. */
export interface Joined {
  code: string;
  snippets?: Record<string, string>;
}
export interface Described {
  source: KernelSource;
  structs: Record<string, StructLayout>;
}
export interface Read extends Described {
  name: string;
  room: string;
  family: string | undefined;
}

export function readShaders(): Files;
export function headerOf(code: string): string;
export function join(files: Files, path: string): Joined;
export function describe(name: string, joined: Joined): Described;
export function kernelsOf(files: Files): Read[];
export function familiesOf(kernels: readonly Read[]): Record<string, Read[]>;
export function structsOf(kernels: readonly Read[]): Record<string, StructLayout>;
