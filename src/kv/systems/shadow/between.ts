// What the CPU does for ShadowKV between steps: it counts what was there, and brings values that it keeps.
import type { Between, PromptEndSizes, RetiringSizes, StepFacts, SystemContext } from "../../system.ts";
import { decodingRows } from "./rows.ts";
import { serverOf } from "./serve.ts";
import type { ShadowShape } from "./shape.ts";
import { stateOf } from "./state.ts";
import { Tally } from "./tally.ts";

export const betweenSteps = (context: SystemContext, shape: ShadowShape): Between =>
  shape.host ? new HostBetween(context, shape, shape.host === "late") : new GpuBetween(context, shape);

/** Counts only. */
class GpuBetween implements Between {
  readonly #context: SystemContext;
  readonly #shape: ShadowShape;
  readonly #tally: Tally;

  constructor(context: SystemContext, shape: ShadowShape) {
    this.#context = context;
    this.#shape = shape;
    this.#tally = new Tally(context.model);
  }

  get mostBytes(): number {
    return stateOf(this.#context, this.#shape).tally.size;
  }

  /** Rows of the step that choose. */
  protected rows({ sizes }: StepFacts): number {
    return decodingRows(this.#context, sizes);
  }

  reads(step: StepFacts) {
    const { tally } = stateOf(this.#context, this.#shape);
    return this.rows(step) > 0 ? [{ source: tally, offset: 0, bytes: tally.size }] : [];
  }

  take(_step: StepFacts, [tally]: readonly ArrayBuffer[]): void {
    if (tally) this.#tally.take(tally);
  }

  stats() {
    const { hitRates, wanted } = this.#tally;
    const tokens = wanted / (this.#context.model.kvHeads * this.#shape.selected);
    return { tokens, late: this.#shape.host === "late", hitRates, hostBytes: 0, uploadedBytes: 0 };
  }
}

/** Values are in JavaScript's memory. `late`: what a step missed comes before the next one. */
class HostBetween extends GpuBetween {
  readonly #server: ReturnType<typeof serverOf>;
  readonly #late: boolean;
  /** Of the step that was taken last: a prompt, and a page, whose values are still in their blocks, and what its lists missed. */
  #ended: PromptEndSizes | null = null;
  #retired: RetiringSizes | null = null;
  #missed: { moves: readonly ArrayBuffer[]; sequences: readonly number[] } | null = null;

  constructor(context: SystemContext, shape: ShadowShape, late: boolean) {
    super(context, shape);
    this.#server = serverOf(context, shape);
    this.#late = late;
  }

  override get mostBytes(): number {
    return super.mostBytes + this.#server.parts.reduce((sum, { bytes }) => sum + bytes, 0);
  }

  override reads(step: StepFacts) {
    this.#server.decoding = step.decoding;
    const parts = super.reads(step);
    return this.#late && parts.length > 0 ? [...parts, ...this.#server.parts] : parts;
  }

  override take(step: StepFacts, [tally, ...moves]: readonly ArrayBuffer[]): void {
    super.take(step, tally ? [tally] : []);
    this.#ended = step.sizes.promptEnd;
    this.#retired = step.sizes.retiring;
    this.#missed = moves.length > 0 ? { moves, sequences: step.decoding.slice(0, this.rows(step)) } : null;
  }

  async before(known: ReadonlySet<number>): Promise<void> {
    await this.settle();
    this.#server.keepOnly(known);
  }

  async settle(): Promise<void> {
    const [ended, retired, missed] = [this.#ended, this.#retired, this.#missed];
    this.#ended = this.#retired = this.#missed = null;
    if (missed) await this.#server.bring(missed.moves, missed.sequences);
    if (ended) await this.#server.keepPrompt(ended);
    if (retired) await this.#server.keepPage(retired);
  }

  override stats() {
    const { hostBytes, uploadedBytes } = this.#server;
    return { ...super.stats(), hostBytes, uploadedBytes };
  }
}
