export interface ReplyArguments {
  page?: undefined;
  /** One of the three: text, a file with messages, or token ids. */
  prompt?: string;
  messages?: string;
  tokens?: number[];
  system?: string;
  /** For the chat template; tools and documents are files. */
  variables?: Record<string, unknown>;
  tools?: string;
  documents?: string;
  raw: boolean;
  model: string;
  json: boolean;
  software?: boolean;
  /** As typed. */
  student?: string;
  /** Paths or addresses. */
  trained?: string[];
  load: {
    /** As typed: the engine checks it. */
    kv?: string;
    swiftkv?: { layers: number; group: number } | false;
    context?: number;
    int8Products?: boolean;
    matrixProducts?: boolean;
  };
  generate: Record<string, number>;
}

export interface PageArguments {
  page: true;
  port?: number;
  open: boolean;
}

export const START_HELP: string;
export function parseStart(argv: readonly string[], piped?: string): { help: true } | ReplyArguments | PageArguments;
