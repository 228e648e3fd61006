import type { Server } from "node:http";

export interface Backend {
  model: string;
  created: number;
  run(
    kind: "chat" | "text",
    body: object,
    how: { signal: AbortSignal; onChunk(chunk: object): void },
  ): Promise<object | null>;
}

export function apiServer(backend: Backend, options?: { token?: string; cors?: string }): Server;
