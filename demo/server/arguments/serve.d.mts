export const SERVE_HELP: string;
export function parseServe(argv: readonly string[]):
  | { help: true }
  | {
      help?: undefined;
      model: string;
      port: number;
      host: string;
      guard: { token?: string; cors?: string };
      software: boolean;
      load: object;
    };
