// The demo's commands, run as a user runs them.
import { execFile } from "node:child_process";
import { join } from "node:path";

export const SERVER = join(import.meta.dirname, "../../demo/server");

export interface Outcome {
  /** Exit status; -1: killed. */
  code: number;
  out: string;
  err: string;
}

/** What a script of demo/server does with these arguments. */
export const command = (script: string, args: readonly string[]): Promise<Outcome> =>
  new Promise((resolve) => {
    execFile(process.execPath, [join(SERVER, script), ...args], { timeout: 1_200_000 }, (error, out, err) => {
      resolve({ code: error === null ? 0 : Number(error.code ?? -1), out, err });
    });
  });
