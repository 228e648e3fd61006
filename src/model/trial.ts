// One choice among kernel variants, measured. Candidates run in turns, so that clocks that rise and other work on the machine
// meet all of them; each run goes on with the next layer, as a token does, so that weights come from memory.
import { UnsupportedError } from "../errors.ts";

/** A candidate that has been compiled. */
export interface Runner {
  /** Computes `times` layers, one after another; milliseconds of them all. */
  run(times: number): Promise<number>;
  dispose(): void;
}

export interface Candidate {
  name: string;
  /** Rejects with an UnsupportedError where the adapter refuses it. */
  compile(): Promise<Runner>;
}

/** Layers that run at once are as many as take this long: the clock counts tenths of milliseconds, and a submit takes one or two. */
const LEAST_MS = 10;
const MOST_TIMES = 1 << 12;
/** How often each candidate is measured: the least counts. */
const ROUNDS = 4;
/** An answer needs so many, where the time for it runs out. */
const LEAST_ROUNDS = 2;
/** The default is replaced by what takes at most this share of its time. */
const WORTH = 0.95;
/** What takes so many times the time of the fastest runs no more. */
const HOPELESS = 1.5;

interface Entrant {
  name: string;
  runner: Runner;
  /** Milliseconds of its best run. */
  best: number;
}

export class Trial {
  readonly #candidates: readonly Candidate[];
  #entrants: Entrant[] = [];
  /** The default, or the first one behind it that is not refused. */
  #standing: Entrant | undefined;
  #times = 1;
  #isTimed = false;
  #rounds = 0;
  /** Who has yet to run in this round. */
  #left: Entrant[] = [];

  /** The first candidate is the default. */
  constructor(candidates: readonly Candidate[]) {
    this.#candidates = candidates;
  }

  /** Compiles the candidates, side by side. Returns the names of those that were refused. */
  async open(): Promise<string[]> {
    const made = await Promise.allSettled(this.#candidates.map((candidate) => candidate.compile()));
    const refused: string[] = [];
    for (const [i, outcome] of made.entries()) {
      const { name } = this.#candidates[i]!;
      if (outcome.status === "fulfilled") this.#entrants.push({ name, runner: outcome.value, best: Infinity });
      else if (outcome.reason instanceof UnsupportedError) refused.push(name);
      else throw outcome.reason;
    }
    this.#standing = this.#entrants[0];
    return refused;
  }

  get isOver(): boolean {
    return this.#rounds === ROUNDS || this.#entrants.length <= 1;
  }

  /** One run of one candidate. */
  async step(): Promise<void> {
    if (!this.#isTimed) return this.#findTimes();
    if (this.#left.length === 0) this.#left = this.#inTurn();
    const entrant = this.#left.shift()!;
    entrant.best = Math.min(entrant.best, await entrant.runner.run(this.#times));
    if (this.#left.length > 0) return;
    this.#rounds++;
    this.#dropHopeless();
  }

  async #findTimes(): Promise<void> {
    const ms = await this.#entrants[0]!.runner.run(this.#times);
    if (ms >= LEAST_MS || this.#times >= MOST_TIMES) this.#isTimed = true;
    else this.#times *= 4;
  }

  /** Another one begins each round. */
  #inTurn(): Entrant[] {
    const first = this.#rounds % this.#entrants.length;
    return [...this.#entrants.slice(first), ...this.#entrants.slice(0, first)];
  }

  #dropHopeless(): void {
    const least = Math.min(...this.#entrants.map(({ best }) => best));
    const [hopeless, others] = [[], []] as [Entrant[], Entrant[]];
    for (const entrant of this.#entrants) (entrant.best > HOPELESS * least ? hopeless : others).push(entrant);
    for (const { runner } of hopeless) runner.dispose();
    this.#entrants = others;
  }

  /** The default, or what is clearly faster; null where too little has been measured to say. */
  get answer(): string | null {
    const standing = this.#standing;
    if (!standing || (!this.isOver && this.#rounds < LEAST_ROUNDS)) return null;
    const fastest = this.#entrants.reduce((best, entrant) => (entrant.best < best.best ? entrant : best));
    return (fastest.best <= WORTH * standing.best ? fastest : standing).name;
  }

  close(): void {
    for (const { runner } of this.#entrants) runner.dispose();
  }
}

/** When measuring may go on: runs `work` while nothing else uses the model. */
export type Turn = (work: () => Promise<void>) => Promise<void>;

export interface Limits {
  turn: Turn;
  /** Milliseconds. */
  clock: () => number;
  /** Milliseconds that measuring may still take, in all trials together. */
  time: { left: number };
  signal?: AbortSignal | undefined;
}

/** Milliseconds of a turn: a reply that begins meanwhile waits for it. */
const TURN_MS = 50;

/** Goes on, turn by turn, until the trial is over or the time for it. */
export async function runTrial(trial: Trial, { turn, clock, time, signal }: Limits): Promise<void> {
  while (!trial.isOver && time.left > 0) {
    signal?.throwIfAborted();
    await turn(async () => {
      const started = clock();
      const end = started + Math.min(TURN_MS, time.left);
      while (!trial.isOver && clock() < end) await trial.step();
      time.left -= clock() - started;
    });
  }
}
