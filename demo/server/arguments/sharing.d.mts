export interface ShareArguments {
  help?: undefined;
  texts: string[];
  out: string;
  model: string;
  json: boolean;
  software?: boolean;
  layers: number;
  cosine?: number;
}

export const SHARE_HELP: string;
export function parseShare(argv: readonly string[]): { help: true } | ShareArguments;
export function withMaps(recipes: string): string;
export function withMaps(recipes: string | undefined): string | undefined;
