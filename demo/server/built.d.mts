import type { Middleware } from "./files.mjs";

export const POLICY: string;
export function listen(options: {
  root: string;
  port: number;
  middlewares: readonly Middleware[];
}): Promise<{ port: number; close(): Promise<void> }>;
