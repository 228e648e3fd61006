import type { IncomingMessage, ServerResponse } from "node:http";

export interface LocalModelEntry {
  name: string;
  /** Relative to the listed directory; ends in / for a checkpoint directory. */
  path: string;
  bytes: number;
}

export type Middleware = (
  request: IncomingMessage,
  response: ServerResponse,
  next: (error?: unknown) => void,
) => Promise<unknown>;

export function parseRange(
  header: string | undefined,
  size: number,
): { start: number; end: number } | "whole" | "unsatisfiable";
export function findFile(directories: readonly string[], urlPath: string): Promise<string | null>;
export function serveFile(request: IncomingMessage, response: ServerResponse, path: string): Promise<void>;
export function modelFiles(prefix: string, directories: readonly string[]): Middleware;
export function modelList(directory: string): Middleware;
export function listModels(directory: string): Promise<LocalModelEntry[]>;
export function localModel(path: string): Promise<{ directory: string; file: string } | string>;
