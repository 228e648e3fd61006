export interface ServeOptions {
  /** 0 or absent: any free port. */
  port?: number;
  /** A model to mount under a path nobody can guess. */
  local?: { directory: string; file: string } | undefined;
  student?: { directory: string; file: string } | undefined;
  watch?: boolean;
}

export function serve(options?: ServeOptions): Promise<{
  url: string;
  source: string | null;
  student: string | null;
  named(text: string): string;
  close(): Promise<void>;
}>;
