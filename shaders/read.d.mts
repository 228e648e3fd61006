import type { KernelSource, StructLayout } from "../src/gpu/kernel.ts";

/** Texts by path in shaders/. */
export type Files = Map<string, string>;
/** A kernel's text with what it uses of lib/, the files that it is joined of, and which of them may be replaced. */
export interface Joined {
  code: string;
  files?: string[];
  snippets?: Record<string, string>;
}
export interface Described {
  source: KernelSource & { code: string; snippets: Record<string, string> };
  structs: Record<string, StructLayout>;
}
export interface Read extends Described {
  name: string;
  room: string;
  family: string | undefined;
  pack: string;
  files: string[];
}

export function readShaders(): Files;
export function headerOf(code: string): string;
export function join(files: Files, path: string): Joined;
export function describe(name: string, joined: Joined): Described;
export function kernelsOf(files: Files): Read[];
export function familiesOf(kernels: readonly Read[]): Record<string, Read[]>;
export function fileText(files: Files, path: string): string;
export function packsOf(kernels: readonly Read[]): Record<string, string[]>;
export function structsOf(kernels: readonly Read[]): Record<string, StructLayout>;
