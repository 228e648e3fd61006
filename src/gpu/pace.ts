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

/** What a submit would take on the slow GPU, in milliseconds: what its kernels move, and what they compute. */
type Parts = Map<string, number>;

function add(parts: Parts, { kernel, bytes, flops }: Cost): Parts {
  const put = (part: string, ms: number) => parts.set(part, (parts.get(part) ?? 0) + ms);
  put(`${kernel} bytes`, SLOW.dispatchMs + bytes / SLOW.bytes);
  return put(`${kernel} flops`, flops / SLOW.flops);
}

export class Pace {
  /** Milliseconds of a submit that are planned for: half of what it may take, so an estimate may be too low by half. */
  readonly plannedMs: number;
  readonly #clock: () => number;
  /** By part: its time as a share of what it would take on the slow GPU. */
  readonly #rates = new Map<string, number>();
  /** What comes next, by what it will be submitted with. */
  readonly #planned = new WeakMap<GPUCommandEncoder, Parts>();
  /** When the last measured submit was done. */
  #done = 0;

  /** `mostMs`: of a submit. */
  constructor(mostMs: number, clock: () => number = () => performance.now()) {
    this.plannedMs = mostMs / 2;
    this.#clock = clock;
  }

  /** Milliseconds that a dispatch will take; none where it is left out. */
  expected(cost: Cost | null): number {
    return cost ? this.#ms(add(new Map(), cost)) : 0;
  }

  #ms(parts: Parts): number {
    return [...parts].reduce((sum, [part, ms]) => sum + ms * this.#rate(part), 0);
  }

  #rate(part: string): number {
    return this.#rates.get(part) ?? 1;
  }

  /** `encoder` is given such a dispatch, if it has room for it: a submit holds what is planned for, or a single dispatch. */
  take(encoder: GPUCommandEncoder, cost: Cost | null): boolean {
    if (!cost) return true;
    const parts: Parts = this.#planned.get(encoder) ?? new Map<string, number>();
    if (parts.size > 0 && this.#ms(parts) + this.expected(cost) > this.plannedMs) return false;
    this.#planned.set(encoder, add(parts, cost));
    return true;
  }

  /** `encoder` has been submitted; `done` gives when it is done. Learns from how long that takes. */
  measure(encoder: GPUCommandEncoder, done: () => Promise<void>): void {
    const parts = this.#planned.get(encoder);
    if (!parts || this.#ms(parts) < LEAST_MEASURED_MS) return;
    const submitted = this.#clock();
    done().then(
      () => {
        const now = this.#clock();
        this.#learn(parts, now - Math.max(submitted, this.#done));
        this.#done = now;
      },
      () => {}, // a device that is gone
    );
  }

  /** Parts that make up most of a submit answer for most of the difference; where it took longer than expected, all in full. */
  #learn(parts: Parts, ms: number): void {
    const expected = this.#ms(parts); // by what is known now: others have been measured since it was planned
    const ratio = Math.min(MOST_CHANGE, Math.max(1 / MOST_CHANGE, ms / expected));
    for (const [part, slow] of parts) {
      const share = ratio > 1 ? 1 : (slow * this.#rate(part)) / expected;
      this.#rates.set(part, this.#rate(part) * ratio ** share);
    }
  }
}
