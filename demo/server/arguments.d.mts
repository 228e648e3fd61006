export class UsageError extends Error {}

export interface ReplyArguments {
  prompt: string;
  system?: string;
  raw: boolean;
  model: string;
  json: boolean;
  software?: boolean;
  load: {
    kv?: "f16" | "f32" | "int8" | "int4";
    swiftkv?: { layers: number; group: number } | false;
    context?: number;
  };
  generate: Record<string, number>;
}

export interface PageArguments {
  prompt?: undefined;
  port?: number;
  open: boolean;
}

export interface BenchArguments {
  model: string;
  out?: string;
  software?: boolean;
  headed: boolean;
  /** Dense against SwiftKV. */
  compared: boolean;
  options: {
    frontiers?: number[];
    runs?: number;
    warmups?: number;
    newTokens?: number;
    /** A list when compared. */
    kv?: string | string[];
    context?: number;
    profile?: false;
    shapes?: { layers: number; group: number }[];
  };
}

export const START_HELP: string;
export const BENCH_HELP: string;
export function parseStart(argv: readonly string[]): { help: true } | ReplyArguments | PageArguments;
export function parseBench(argv: readonly string[]): { help: true } | BenchArguments;
export function resolveModel(
  model: string,
): Promise<{ local: { directory: string; file: string }; source?: undefined } | { source: string; local?: undefined }>;
