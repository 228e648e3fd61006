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

export const CONVERT_HELP: string;
export const DISTIL_HELP: string;
export function parseConvert(argv: readonly string[]): { help: true } | ConvertArguments;
export function parseDistil(argv: readonly string[]): { help: true } | DistilArguments;
