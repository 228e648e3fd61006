// The demo's commands, run as a user of the package runs them.
import { execFile } from "node:child_process";
import { join } from "node:path";
import { packaged } from "./package.ts";

export const SERVER = join(import.meta.dirname, "../../demo/server");

export interface Outcome {
  /** Exit status; -1: killed. */
  code: number;
  out: string;
  err: string;
}

/** What a script of demo/server does with these arguments. */
export async function command(script: string, args: readonly string[]): Promise<Outcome> {
  const path = join(await packaged(), "demo/server", script);
  return new Promise((resolve) => {
    execFile(process.execPath, [path, ...args], { timeout: 1_200_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
}
