export interface BenchArguments {
  model: string;
  out?: string;
  software?: boolean;
  headed: boolean;
  /** Recipes, and dense against SwiftKV. */
  compared: boolean;
  /** Where the charts of a comparison go. */
  plot?: string;
  options: {
    frontiers?: number[];
    runs?: number;
    warmups?: number;
    newTokens?: number;
    /** As typed; a list when compared. */
    kv?: string | string[];
    context?: number;
    int8Products?: boolean;
    matrixProducts?: boolean;
    profile?: false;
    shapes?: { layers: number; group: number }[];
  };
}

export const BENCH_HELP: string;
export function parseBench(argv: readonly string[]): { help: true } | BenchArguments;
