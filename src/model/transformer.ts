// A loaded model behind the Model interface: one submit per step, one small readback.
import type { KernelTime, RecallStats } from "../api.ts";
import type { Attended } from "../attended.ts";
import { assert, InputError } from "../errors.ts";
import type { Gpu } from "../gpu/device.ts";
import { encodePaced, encodePass } from "../gpu/paced.ts";
import type { Program } from "../gpu/program.ts";
import { Readback } from "../gpu/readback.ts";
import type { CachePlan } from "../kv/plan.ts";
import type { Holdings } from "../kv/holdings.ts";
import type { Room } from "../kv/room.ts";
import { planOf } from "../kv/shape.ts";
import type { Attending } from "../kv/system.ts";
import { allocate, keepBuffer } from "./activations.ts";
import { BetweenSteps, type Reading } from "./between.ts";
import type { ModelConfig } from "./config.ts";
import { inLayout, type ModelContext, MOST_LOGIT_ROWS, recordsIn, spansOf, type Weights } from "./context.ts";
import { logits, lower, upper } from "./forward.ts";
import { type Allowed, type Batch, LAST_SAMPLED, type Launched, type LogitRow } from "./model.ts";
import type { Model, PageBytes, Row } from "./model.ts";
import { allClasses, classFor, isNarrow, MOST_NARROW, nameOf, type RowClass } from "./ops/rowclass.ts";
import type { Sizes } from "./ops/sizes.ts";
import { type CacheOptions, growRopes, makeCache, makeRopes, noRoom, roomOf } from "./room.ts";
import { decodeResults } from "./sample/results.ts";
import { Sampler } from "./sample/sampler.ts";
import { Rhythm } from "./rhythm.ts";
import { continuingRows, plainSizes, sizesOf, upperSizesOf } from "./step.ts";
import { extraCount } from "./layer/partials.ts";
import { contextOf } from "./layer/systemcontext.ts";
import type { Memory, Tuning } from "./tune.ts";
import type { Variants } from "./ops/variants.ts";

const TOKEN_OF = 0x80000000;
/** Steps under way at once: one being read, two that run or wait, one being prepared. */
const READBACK_DEPTH = 4;

const BUILDERS = { lower, upper, logits } as const;

/** A program and the sizes of its step. */
interface Stage {
  program: Program<Sizes>;
  sizes: Sizes;
}

export class Transformer implements Model {
  readonly limits: Model["limits"];
  readonly cache: CachePlan;
  readonly #gpu: Gpu;
  readonly #model: ModelContext;
  readonly #sampler: Sampler;
  readonly #between: BetweenSteps;
  readonly #attending: Attending | null;
  readonly #readback: Readback;
  /** For steps of which logits are read. */
  #wide: Readback | null = null;
  readonly #programs = new Map<string, Promise<Program<Sizes>>>();
  readonly #options: CacheOptions;
  /** Keys of what is open. */
  #unmeasured: readonly string[] = [];
  readonly #rows: Uint32Array<ArrayBuffer>;
  readonly #rhythm: Rhythm;

  constructor(gpu: Gpu, config: ModelConfig, weights: Weights, variants: Variants, options: CacheOptions) {
    this.#gpu = gpu;
    this.#options = options;
    const { rows, sequences, kv } = options;
    const { vocabulary } = config;
    this.cache = planOf(kv, options);
    const logitCount = vocabulary % 4 === 0 ? MOST_LOGIT_ROWS : MOST_NARROW;
    this.limits = { rows, sequences, logitCount, vocabulary };
    const spans = spansOf(rows, this.cache.windowRows, kv.streaming !== null);
    const cache = makeCache(gpu, config, options, recordsIn(spans));
    const placedRows = config.allHeadsNorm ? rows : variants.placesHeads ? MOST_NARROW : 0;
    const activations = allocate(gpu, config, { ...this.limits, placedRows }, cache, spans, extraCount(kv.systems));
    this.#sampler = new Sampler(gpu, activations.logits, { rows: logitCount, sequences, vocabulary });
    const ropes = makeRopes(gpu, config, cache, this.cache.context);
    this.#model = {
      gpu,
      profile: gpu.profile,
      config,
      weights: inLayout(weights, kv.layout),
      cache,
      systems: kv.systems,
      systemContext: {
        gpu,
        model: kv.model,
        cache,
        query: activations.query,
        attentionScale: config.attentionScale,
        ropeOf: (store) => ropes[config.rotationOf[kv.layout.owners[store]!]!]!.table,
        ...keepBuffer(gpu, kv, this.cache.context),
      },
      activations,
      spans,
      ropes,
      tokens: this.#sampler.tokens,
      pictures: options.pictures,
      rounded: options.rounded,
      variants,
    };
    cache.growsWith({ grow: (room) => growRopes(this.#model, room, this.cache.context) });
    const context = contextOf(this.#model, spans.lower);
    const [between = null] = kv.systems.flatMap((system) => system.between?.(context) ?? []);
    const [attending = null] = kv.systems.flatMap((system) => system.attending?.(context) ?? []);
    this.#between = new BetweenSteps(between);
    this.#attending = attending;
    this.#readback = new Readback(gpu, this.#resultBytes(logitCount), READBACK_DEPTH);
    this.#rhythm = new Rhythm(gpu, this.cache, this.limits);
    this.#rhythm.onLongInput = () => void this.compile().catch(() => {}); // those of few rows go on
    this.#rows = new Uint32Array((spans.lower.first + rows) * 4);
  }

  /** Of a step with so many logit rows, at most: what they sampled, and what a system reads. */
  #resultBytes(logitRows: number): number {
    return this.#sampler.mostBytes(logitRows) + this.#between.mostBytes;
  }

  /** How a recipe that brings back parts of prompts fares. */
  get recallStats(): RecallStats | null {
    return this.#between.stats();
  }

  chunkRows(left: number): number {
    return this.#rhythm.chunkRows(left);
  }

  get depth(): 2 | 3 {
    return this.#rhythm.depth;
  }

  /** Adapter and driver: what a measurement holds for. */
  get fingerprint(): string {
    return this.#gpu.fingerprint;
  }

  /** What a program of the caller's is built from. */
  get context(): ModelContext {
    return this.#model;
  }

  /** Whether some layers are for rows that continue only. */
  get #hasUpper(): boolean {
    return this.#model.cache.shape.layout.boundary < this.#model.config.layers;
  }

  /** Compiles what a single conversation needs. `soon`: what it begins with, reading prompts a few rows at a time. */
  async compile({ soon = false } = {}): Promise<void> {
    const { profile } = this.#gpu;
    const isFirst = soon && this.#rhythm.isFree;
    const one = classFor(1, profile);
    const rows = new Set([one, ...(isFirst ? [MOST_NARROW] : profile.wideRows)]);
    const programs = [this.#program("logits", one), ...[...rows].map((most) => this.#program("lower", most))];
    if (this.#hasUpper) programs.push(this.#program("upper", one));
    await Promise.all([...programs, this.#sampler.compile()]);
    if (!isFirst)
      this.#rhythm.noteWide({ program: await this.#program("lower", Infinity), sizes: plainSizes(this.#model, 1, 0) });
    this.#rhythm.isStarting = isFirst;
  }

  /** Also what requests of every kind need on top: any number of rows, penalties, logits that are read. */
  async compileAll(): Promise<void> {
    const kinds = (["lower", "logits", "upper"] as const).filter((kind) => kind !== "upper" || this.#hasUpper);
    await Promise.all(kinds.flatMap((kind) => allClasses(this.#gpu.profile).map((rows) => this.#program(kind, rows))));
    await this.#sampler.compileAll();
    this.#logitsReadback();
    await this.#model.pictures?.build();
  }

  /** Takes over which kernel variants earlier visits found fastest on this adapter. Before `compile`. */
  async recall(memory: Memory): Promise<void> {
    const { recall } = await import("./tune.ts");
    this.#unmeasured = await recall(this.#model, memory);
  }

  /** Measures what `recall` did not find, for a limited time, with weights on the GPU. */
  async tune(how: Pick<Tuning, "memory" | "turn" | "signal">): Promise<void> {
    const { tune } = await import("./tune.ts");
    const open = this.#unmeasured;
    this.#unmeasured = [];
    // programs run the variants of before
    await tune(this.#model, this.#options, { ...how, open, onChange: () => this.#forgetPrograms() });
  }

  /** Whether there is anything for `tune` to measure. */
  get isUntuned(): boolean {
    return this.#unmeasured.length > 0;
  }

  #program(kind: keyof typeof BUILDERS, rows: RowClass): Promise<Program<Sizes>> {
    const key = `${kind} ${nameOf(rows)}`;
    let program = this.#programs.get(key);
    if (!program) this.#programs.set(key, (program = this.#build(kind, rows)));
    return program;
  }

  /** Where the adapter refuses a variant, with another one. */
  async #build(kind: keyof typeof BUILDERS, rows: RowClass): Promise<Program<Sizes>> {
    while (true) {
      try {
        return await BUILDERS[kind](this.#model, rows);
      } catch (error) {
        if (!this.#model.variants.outlasts(error)) throw error;
      }
    }
  }

  /** They are built anew when they are next needed. What has been launched runs to its end. */
  async #forgetPrograms(): Promise<void> {
    for (const program of this.#programs.values()) (await program).dispose();
    this.#programs.clear();
  }

  /**
   * Makes room. The cache and all that grows with it does so with what is used, at least twofold, up to the context; programs are
   * then built anew. Throws UnsupportedError where there is no memory; what is there stays as it is.
   */
  async reserve(room: Partial<Room>): Promise<void> {
    const { cache } = this.#model;
    const wanted = { blocks: 0, pages: room.blocks ?? 0, later: 0, regions: 0, ...room };
    if (cache.hasRoom(wanted)) return;
    await this.#forgetPrograms();
    await cache.grow(wanted);
  }

  async submit(batch: Batch): Promise<Launched> {
    this.#gpu.check();
    await this.#model.pictures?.bring(batch.rows, batch.pictures ?? []);
    await this.#between.before(batch);
    const { cache } = this.#model;
    await this.reserve(roomOf(batch, cache)).catch(noRoom(batch, cache));
    this.#writeLists(batch);
    const stages = await this.#prepare(batch);
    const seals = await this.#model.cache.prepareSeals(batch.moves);
    const { sizes } = stages[0]!;
    const decoding = batch.rows.slice(0, batch.decodeRows).map(({ sequence }) => sequence);
    const reading = this.#between.reading({ sizes, decoding });
    const encoder = this.#gpu.device.createCommandEncoder();
    if (seals) encodePass(encoder, [seals]);
    this.#model.cache.encodeCopies(encoder, batch.moves);
    const open = await this.#encodeStages(encoder, stages);
    if (batch.logitRows.length === 0) return this.#submitSilent(open);
    if (waits(batch)) return this.#submitWaiting(open, batch.logitRows, sizes, reading);
    return this.#submitSampled(open, batch.logitRows, reading);
  }

  /** Returns the encoder that goes on. Where the CPU has a part in the step, all has been submitted. */
  async #encodeStages(encoder: GPUCommandEncoder, stages: readonly Stage[]): Promise<GPUCommandEncoder> {
    if (!stages.some(({ program, sizes }) => program.pauses(sizes))) {
      const programs = stages.map(({ program }) => program);
      return encodePaced(this.#gpu, encoder, programs);
    }
    this.#gpu.submit(encoder);
    for (const { program, sizes } of stages) await program.run(sizes);
    return this.#gpu.device.createCommandEncoder();
  }

  /** The rows run while what they may sample is still being found out; then they are sampled by a submit of its own. */
  #submitWaiting(encoder: GPUCommandEncoder, logitRows: readonly LogitRow[], sizes: Sizes, reading: Reading): Launched {
    let launched = this.#submitSilent(encoder);
    const sample = async (allowed: readonly Allowed[]): Promise<void> => {
      const program = await this.#sampler.prepare(logitRows, allowed);
      program.prepare(sizes);
      const next = this.#gpu.device.createCommandEncoder();
      encodePass(next, [program]);
      launched = this.#submitSampled(next, logitRows, reading);
    };
    return { sample, read: () => launched.read() };
  }

  /** 8 bytes per row come back, 8 for each of the likeliest tokens, and 4·V more of each row that asks for its logits. */
  #submitSampled(encoder: GPUCommandEncoder, logitRows: readonly LogitRow[], reading: Reading): Launched {
    const rowBytes = 4 * this.limits.vocabulary;
    const { logits: source } = this.#model.activations;
    const wanted = [...logitRows.keys()].filter((i) => logitRows[i]!.logits);
    const logits = wanted.map((i) => ({ source, offset: i * rowBytes, bytes: rowBytes }));
    const readback = wanted.length > 0 ? this.#logitsReadback() : this.#readback;
    const read = readback.submit(encoder, [...this.#sampler.parts(logitRows), ...logits, ...reading.parts]);
    reading.take(read());
    return { read: async () => decodeResults(await read(), logitRows, this.limits.vocabulary) };
  }

  /** Made when logits are first asked for: staging of sequences · 4·V bytes, several times. */
  #logitsReadback(): Readback {
    const { logitCount, sequences, vocabulary } = this.limits;
    const bytes = this.#resultBytes(logitCount) + sequences * 4 * vocabulary;
    return (this.#wide ??= new Readback(this.#gpu, bytes, READBACK_DEPTH));
  }

  /** Runs the rows of `batch` through a wide program of the caller's, built after `reserve`, without logits. Resolves when the GPU is done. */
  async runThrough(program: Program<Sizes>, batch: Batch): Promise<void> {
    this.#gpu.check();
    const { cache } = this.#model;
    assert(cache.hasRoom(roomOf(batch, cache)), "a program of the caller's has room reserved");
    this.#writeLists(batch);
    program.prepare(sizesOf(this.#model, batch, Infinity));
    this.#writeRows(batch, []);
    this.#gpu.submit(encodePaced(this.#gpu, this.#gpu.device.createCommandEncoder(), [program]));
    await this.#gpu.done();
  }

  async attended(sequence: number): Promise<Attended | null> {
    return this.#attending ? this.#attending.read(sequence) : null;
  }

  async pages(holdings: Holdings, sequence: number | null): Promise<PageBytes> {
    const { cache, systems, spans } = this.#model;
    const { HeldPages, roomOfHoldings } = await import("../kv/saved.ts");
    await this.#between.settle();
    await this.reserve(roomOfHoldings(cache, holdings));
    const context = contextOf(this.#model, spans.lower);
    const [access = null] = systems.flatMap((system) => system.state?.(context) ?? []);
    return new HeldPages(this.#gpu, cache, holdings, sequence === null ? null : { access, sequence });
  }

  /** A chunk without logits is still waited for: progress and abort happen between chunks, not before them. */
  #submitSilent(encoder: GPUCommandEncoder): Launched {
    this.#gpu.submit(encoder);
    return { read: () => this.#gpu.done().then(() => []) };
  }

  #writeLists({ lists, promptEnd, attended = [] }: Batch): void {
    const { cache } = this.#model;
    for (const { sequence, enters, pages, kept } of lists) {
      if (enters) cache.openSequence(sequence);
      if (enters && attended.includes(sequence)) this.#attending?.open(sequence);
      if (kept) cache.setKept(sequence, kept);
      for (const page of pages) cache.setPage(sequence, page);
    }
    if (promptEnd) cache.prepareKept(promptEnd.kept);
  }

  /** The step's programs, with everything they read written: parameters, settings, rows. */
  async #prepare(batch: Batch): Promise<Stage[]> {
    const { rows, logitRows, arrivals } = batch;
    assert(rows.length > 0 && rows.length <= this.limits.rows, `${rows.length} rows of ${this.limits.rows}`);
    assert(logitRows.length <= this.limits.logitCount, `${logitRows.length} logit rows of ${this.limits.logitCount}`);
    const continuing = continuingRows(batch, this.cache.windowRows);
    const classOf = (count: number) => classFor(count, this.#gpu.profile);
    const classes = { all: classOf(rows.length), upper: classOf(continuing.length) };
    const sizes = sizesOf(this.#model, batch, classes.all);
    const stages: Stage[] = [{ program: await this.#program("lower", classes.all), sizes }];
    if (this.#hasUpper && continuing.length > 0) {
      const upperSizes = upperSizesOf(this.#model, batch, continuing, classes);
      stages.push({ program: await this.#program("upper", classes.upper), sizes: upperSizes });
    }
    if (logitRows.length > 0) {
      stages.push({ program: await this.#program("logits", classOf(logitRows.length)), sizes });
      if (!waits(batch)) stages.push({ program: await this.#sampler.prepare(logitRows), sizes });
    }
    for (const stage of stages) stage.program.prepare(stage.sizes);
    if (isNarrow(classes.all)) this.#rhythm.noteNarrow(stages);
    else if (classes.all === Infinity) this.#rhythm.noteWide(stages[0]!);
    for (const arrival of arrivals) this.#sampler.enter(arrival);
    this.#writeRows(batch, continuing);
    return stages;
  }

  /** Records: those of the rows that continue, then of all rows; and which rows continue, and whose logits are wanted. */
  #writeRows({ rows, logitRows }: Batch, continuing: readonly number[]): void {
    const { activations, spans, cache, pictures } = this.#model;
    const put = ({ position, cacheIndex, sequence, token }: Row, record: number) => {
      const id = token === LAST_SAMPLED ? TOKEN_OF + sequence : (pictures?.idOf(token) ?? token);
      this.#rows.set([position, cacheIndex, sequence, id], record * 4);
    };
    for (const [i, row] of rows.entries()) put(row, spans.lower.first + i);
    if (this.#hasUpper) for (const [i, row] of continuing.entries()) put(rows[row]!, i);
    const from = this.#hasUpper ? 0 : spans.lower.first;
    const records = this.#rows.subarray(from * 4, (spans.lower.first + rows.length) * 4);
    this.#gpu.write(cache.lists.inputs, from * 16, records);
    const place = (row: number) => (this.#hasUpper ? continuing.indexOf(row) : row);
    const wanted = Uint32Array.from(logitRows, ({ row }) => place(row));
    if (wanted.length > 0) this.#gpu.write(activations.wanted, 0, wanted);
    if (this.#hasUpper && continuing.length > 0)
      this.#gpu.write(activations.continuing, 0, Uint32Array.from(continuing));
  }

  /**
   * Times every dispatch of a prompt chunk of `tokens` tokens, or of one decoded token after `tokens` tokens of
   * context. Overwrites cache blocks, so only while no request runs. Throws InputError without timestamp-query.
   */
  async profile(phase: "prefill" | "decode", tokens: number): Promise<KernelTime[]> {
    if (!this.#gpu.has("timestamp-query")) {
      throw new InputError(
        "profile: got an adapter without timestamp-query, want one with it. Use Chrome with WebGPU developer features.",
        { code: "no-timestamps" },
      );
    }
    const { profiledBatch } = await import("./profiled.ts");
    const batch = profiledBatch(this, this.#model.cache.streamed !== null, phase, tokens);
    await this.reserve(roomOf(batch, this.#model.cache));
    this.#writeLists(batch);
    const times: KernelTime[] = [];
    for (const { program, sizes } of await this.#prepare(batch)) times.push(...(await program.profile(sizes)));
    return times;
  }
}

/** Whether what some row may sample is known only once the step before has been read. */
const waits = ({ logitRows }: Batch): boolean => logitRows.some(({ constrained }) => constrained);
