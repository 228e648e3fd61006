import type { Browser } from "playwright-core";

export interface BrowserOptions {
  /** Use SwiftShader. Default: only where no hardware adapter is expected. */
  software?: boolean;
  headed?: boolean;
}

export function findBrowser(options?: BrowserOptions): Promise<{ executablePath: string; args: string[] }>;
export function browserArgs(options?: BrowserOptions): string[];
export function launch(options?: BrowserOptions): Promise<{ browser: Browser; software: boolean }>;
