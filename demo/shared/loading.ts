// What the pages behind commands have in common: how loading shows, and how an error leaves the page.

import { EngineError } from "../../src/index.ts";
import type { ErrorCode, LoadProgress } from "../../src/index.ts";
import { bytes } from "./numbers.ts";

export interface Failure {
  message: string;
  /** null: not one of the engine's errors. */
  code: ErrorCode | null;
}

declare global {
  interface Window {
    /** Given by the command. */
    emitProgress(line: string): Promise<void>;
  }
}

export const failure = (error: unknown): Failure => ({
  message: (error instanceof Error ? error.message : String(error)).replaceAll(/\s+/g, " "),
  code: error instanceof EngineError ? error.code : null,
});

export function showLoading(): (progress: LoadProgress) => void {
  let shown = 0;
  return ({ phase, loadedBytes, totalBytes }) => {
    if (performance.now() - shown < 100) return;
    shown = performance.now();
    const size = totalBytes > 0 ? ` ${bytes(loadedBytes)} of ${bytes(totalBytes)}` : "";
    void window.emitProgress(`loading (${phase})${size}`);
  };
}
