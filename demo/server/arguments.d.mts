export class UsageError extends Error {}

export interface ReplyArguments {
  page?: undefined;
  /** One of the two: text, or token ids. */
  prompt?: string;
  tokens?: number[];
  system?: string;
  raw: boolean;
  model: string;
  json: boolean;
  software?: boolean;
  /** As typed. */
  student?: string;
  load: {
    /** As typed: the engine checks it. */
    kv?: string;
    swiftkv?: { layers: number; group: number } | false;
    context?: number;
  };
  generate: Record<string, number>;
}

export interface PageArguments {
  page: true;
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
    /** As typed; a list when compared. */
    kv?: string | string[];
    context?: number;
    profile?: false;
    shapes?: { layers: number; group: number }[];
  };
}

export interface QualityArguments {
  /** Paths. */
  texts: string[];
  chats: string[];
  model: string;
  json: boolean;
  plot?: string;
  software?: boolean;
  options: {
    /** As typed: the page checks them. */
    rows?: string;
    measures?: string[];
    prompt?: number;
    continuation?: number;
    windows?: number;
    lengths?: number[];
    depths?: number[];
    questions?: number;
  };
}

export const QUALITY_HELP: string;
export function parseQuality(argv: readonly string[]): { help: true } | QualityArguments;
export interface ConvertArguments {
  help?: undefined;
  model: string;
  texts: string[];
  out: string;
  json: boolean;
  software?: boolean;
  shape: { layers: number; group: number };
  load: object;
  calibrate: { tokens?: number; window?: number; ridge?: number };
}

export interface DistilArguments {
  help?: undefined;
  model: string;
  texts: string[];
  out: string;
  json: boolean;
  software?: boolean;
  /** As typed. */
  start?: string;
  resume: boolean;
  tokens?: number;
  shape: { layers: number; group: number };
  load: { context: number; chunk: number; tune: "off" };
  distil: Record<string, number | string>;
}

export const START_HELP: string;
export const DISTIL_HELP: string;
export const CONVERT_HELP: string;
export const BENCH_HELP: string;
export function parseStart(argv: readonly string[]): { help: true } | ReplyArguments | PageArguments;
export function parseBench(argv: readonly string[]): { help: true } | BenchArguments;
export function parseConvert(argv: readonly string[]): { help: true } | ConvertArguments;
export function parseDistil(argv: readonly string[]): { help: true } | DistilArguments;
export function resolveStudent(
  student: string,
): Promise<{ local: { directory: string; file: string }; source?: undefined } | { source: string; local?: undefined }>;
export function resolveModel(
  model: string,
): Promise<{ local: { directory: string; file: string }; source?: undefined } | { source: string; local?: undefined }>;
