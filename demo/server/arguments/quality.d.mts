export interface QualityArguments {
  /** Paths. */
  texts: string[];
  chats: string[];
  model: string;
  json: boolean;
  /** Paths or addresses. */
  trained?: string[];
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
    int8Products?: boolean;
    matrixProducts?: boolean;
  };
}

export const QUALITY_HELP: string;
export function parseQuality(argv: readonly string[]): { help: true } | QualityArguments;
