// Time of dispatches on a device: what bounds each of them, and the gaps between them.
import type { Device } from "./devices.ts";
import type { Work } from "./kernels.ts";

/** Microseconds that each bound alone would take. */
export interface Bounds {
  /** Bytes at the bandwidth that can be had. */
  memory: number;
  /** Instructions. */
  arithmetic: number;
  /** Workgroups one after the other, each waiting for its loads and barriers. */
  latency: number;
}

export type Bound = keyof Bounds;

/** Share of the bandwidth on the data sheet that a copy reaches. */
const REACHED = 0.85;
/** Workgroups of a core under way at once, at most. */
const MOST_RESIDENT = 16;
/** Threads for each lane of a core that hide the latency of arithmetic. */
const THREADS_PER_LANE = 2;

export function boundsOf(work: Work, device: Device): Bounds {
  const { workgroups, threads, bytes, multiplyAdds, slots, waits, barriers } = work;
  const resident = Math.max(1, Math.min(MOST_RESIDENT, Math.floor(device.threads / threads)));
  const waves = Math.ceil(workgroups / (device.cores * resident));
  // The last round of workgroups leaves cores idle.
  const rounds = Math.ceil(workgroups / device.cores) / (workgroups / device.cores);
  const busy = Math.min(1, (workgroups * threads) / (device.cores * device.lanes * THREADS_PER_LANE));
  const idle = Math.max(rounds, 1 / busy);
  return {
    memory: bytes / (device.gbs * REACHED) / 1e3,
    arithmetic: ((2 * multiplyAdds * slots) / device.gflops / 1e3) * idle,
    latency: waves * (waits * device.latency + barriers * device.barrier),
  };
}

/** The largest of them. */
export const boundBy = (bounds: Bounds): Bound =>
  (Object.keys(bounds) as Bound[]).reduce((most, each) => (bounds[each] > bounds[most] ? each : most));

export const microsecondsOf = (work: Work, device: Device): number => {
  const bounds = boundsOf(work, device);
  return bounds[boundBy(bounds)];
};

/** Milliseconds of dispatches that follow each other, and how much of it is what. */
export interface Prediction {
  ms: number;
  /** Of `ms`: what the dispatches bound so take, and the gaps between all. */
  parts: Record<Bound | "gaps", number>;
}

/** `count`: how often each is dispatched. */
export function predict(works: readonly { work: Work; count: number }[], device: Device): Prediction {
  const parts = { memory: 0, arithmetic: 0, latency: 0, gaps: 0 };
  for (const { work, count } of works) {
    const bounds = boundsOf(work, device);
    const bound = boundBy(bounds);
    parts[bound] += (count * bounds[bound]) / 1e3;
    parts.gaps += (count * device.gap) / 1e3;
  }
  return { ms: parts.memory + parts.arithmetic + parts.latency + parts.gaps, parts };
}
