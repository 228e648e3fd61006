// What a piece of work costs on a machine that does other work too.
import { readdirSync, readFileSync } from "node:fs";
import { pid } from "node:process";

export interface Cost {
  /** Milliseconds of processor time of all threads but the main one, which polls: of an adapter that runs on the CPU. */
  cpu: number;
  wall: number;
}

export async function timed(work: () => Promise<unknown>): Promise<Cost> {
  const [cpu, wall] = [others(), performance.now()];
  await work();
  return { cpu: others() - cpu, wall: performance.now() - wall };
}

function others(): number {
  const tasks = readdirSync(`/proc/${pid}/task`).filter((id) => Number(id) !== pid);
  const times = tasks.map((id) => Number(readFileSync(`/proc/${pid}/task/${id}/schedstat`, "utf8").split(" ")[0]));
  return times.reduce((sum, time) => sum + time, 0) / 1e6;
}

/** Of an even number of values, the mean of the middle two. */
export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = (sorted.length - 1) / 2;
  return (sorted[Math.floor(middle)]! + sorted[Math.ceil(middle)]!) / 2;
}
