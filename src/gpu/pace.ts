// How much work a submit may hold. A GPU that is busy with one submit for long shows no frame meanwhile, and some drivers take
// the device away after two seconds. So what a dispatch will take is estimated from its bytes and operations, at first as on
// a slow phone, and then as measured submits tell.

/** What a dispatch is estimated by. */
export interface Cost {
  kernel: string;
  bytes: number;
  flops: number;
}

/** A slow GPU, per millisecond; and milliseconds of a dispatch that does nothing. */
const SLOW = { bytes: 5e6, flops: 2e7, dispatchMs: 0.01 } as const;

/** Shorter submits are not measured: the clock and the way to the GPU take a millisecond or two. */
const LEAST_MEASURED_MS = 4;

/** By how much one measurement changes an estimate, at most. */
const MOST_CHANGE = 8;

/** Estimated milliseconds of a submit, by kernel. */
type Estimate = Map<string, number>;

const slowMs = ({ bytes, flops }: Cost): number => SLOW.dispatchMs + bytes / SLOW.bytes + flops / SLOW.flops;

export class Pace {
  /** Milliseconds of a submit that are planned for: half of what it may take, so an estimate may be too low by half. */
  readonly plannedMs: number;
  readonly #clock: () => number;
  /** By kernel: its time as a part of what it would take on the slow GPU. */
  readonly #rates = new Map<string, number>();
  /** What comes next, by what it will be submitted with. */
  readonly #planned = new WeakMap<GPUCommandEncoder, Estimate>();
  /** When the last measured submit was done. */
  #done = 0;

  /** `mostMs`: of a submit. */
  constructor(mostMs: number, clock: () => number = () => performance.now()) {
    this.plannedMs = mostMs / 2;
    this.#clock = clock;
  }

  /** Milliseconds that a dispatch will take; none where it is left out. */
  expected(cost: Cost | null): number {
    return cost ? slowMs(cost) * (this.#rates.get(cost.kernel) ?? 1) : 0;
  }

  /** `encoder` is given such a dispatch, if it has room for it: a submit holds what is planned for, or a single dispatch. */
  take(encoder: GPUCommandEncoder, cost: Cost | null): boolean {
    if (!cost) return true;
    const own = this.expected(cost);
    const estimate: Estimate = this.#planned.get(encoder) ?? new Map<string, number>();
    if (estimate.size > 0 && sum(estimate) + own > this.plannedMs) return false;
    estimate.set(cost.kernel, (estimate.get(cost.kernel) ?? 0) + own);
    this.#planned.set(encoder, estimate);
    return true;
  }

  /** `encoder` has been submitted; `done` gives when it is done. Learns from how long that takes. */
  measure(encoder: GPUCommandEncoder, done: () => Promise<void>): void {
    const estimate = this.#planned.get(encoder);
    if (!estimate || sum(estimate) < LEAST_MEASURED_MS) return;
    const submitted = this.#clock();
    done().then(
      () => {
        const now = this.#clock();
        this.#learn(estimate, now - Math.max(submitted, this.#done));
        this.#done = now;
      },
      () => {}, // a device that is gone
    );
  }

  /** Kernels that make up most of a submit answer for most of the difference. Those that were too slow answer in full. */
  #learn(estimate: Estimate, ms: number): void {
    const expected = sum(estimate);
    const ratio = Math.min(MOST_CHANGE, Math.max(1 / MOST_CHANGE, ms / expected));
    for (const [kernel, own] of estimate) {
      const share = ratio > 1 ? 1 : own / expected;
      this.#rates.set(kernel, (this.#rates.get(kernel) ?? 1) * ratio ** share);
    }
  }
}

const sum = (estimate: Estimate): number => [...estimate.values()].reduce((total, ms) => total + ms, 0);
