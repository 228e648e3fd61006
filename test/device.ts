// What the device tests call inside the page: devices that fail, and what becomes of the work on them.
import * as more from "../src/kv/more.ts";
import { Gpu } from "../src/gpu/device.ts";
import { Readback } from "../src/gpu/readback.ts";
import { KvCache } from "../src/kv/cache.ts";
import { WRITTEN_FORMATS } from "../src/kv/format.ts";
import { HeldPages } from "../src/kv/saved.ts";
import { layoutOf } from "../src/kv/systems/swiftkv/layout.ts";
import { convert, type Engine, type EngineEvent, type GenerateOptions, load, type LoadProgress } from "../src/index.ts";
import { openDevice, sharedDevice } from "./shared.ts";

/** "fulfilled", or the name and message of the error. */
const outcome = (work: Promise<unknown>): Promise<string> =>
  work.then(
    () => "fulfilled",
    (error: Error) => `${error.name}: ${error.message}`,
  );

const small = { tune: "off", kv: "f32", context: 128, chunk: 8 } as const;

const open = (source: string, device: GPUDevice): Promise<Engine> =>
  load(new URL(source, location.href).href, { device, ...small });

const generate = (engine: Engine, prompt: readonly number[], maxTokens: number) =>
  engine.session().generate({ tokens: prompt }, { maxTokens, ignoreEnd: true });

/** Makes the next `count` submits of the device throw. */
function breakSubmits({ queue }: GPUDevice, count: number): void {
  let left = count;
  queue.submit = (commands) => {
    if (left-- > 0) throw new Error("the queue was told to fail");
    delete (queue as Partial<GPUQueue>).submit;
    queue.submit(commands);
  };
}

/** Makes the next `count` mappings of any buffer reject. */
function breakMappings(count: number): void {
  const { mapAsync } = GPUBuffer.prototype;
  let left = count;
  GPUBuffer.prototype.mapAsync = async function (this: GPUBuffer, ...range: Parameters<typeof mapAsync>) {
    if (left-- > 0) throw new Error("the mapping was told to fail");
    GPUBuffer.prototype.mapAsync = mapAsync;
    return await mapAsync.apply(this, range);
  };
}

/** Pages written to one cache, read, written to blocks and private pages elsewhere in another one, and read again. */
async function savedPages(): Promise<{ bytes: number; same: boolean; elsewhere: boolean }> {
  const gpu = await Gpu.open(await sharedDevice());
  const { f16: format } = WRITTEN_FORMATS;
  const shape = {
    kvHeads: 2,
    headWidth: 8,
    tiers: [{ format, blocks: 9 }],
    twins: [],
    kept: format,
    privatePages: [6, 4, 8],
    regions: 0,
    streamed: null,
    choiceWords: 0,
    records: 16,
  };
  const layout = layoutOf(5, { layers: 1, group: 2 });
  const make = (arenaBytes: number) =>
    new KvCache(gpu, { ...shape, layout, sequences: 1, maxPages: 9, room: 9, arenaBytes }, more);
  const kept = { tokens: [40, 33, 5, 1, 64, 32], liveFrom: 3, region: 0, standing: 0 };
  const from = {
    reply: { promptPages: 3, goesAt: null },
    tokens: [],
    tiers: [0, 0],
    blocks: [-1, 4, 7],
    kept: { ...kept, pages: [[0, 1], [2, 3], [0], [1], [0, 5], [7]] },
  };
  const to = { ...from, blocks: [-1, 8, 0], kept: { ...kept, pages: [[5, 2], [0, 1], [3], [0], [6, 2], [1]] } };
  const [one, two] = [make(2 ** 20), make(8192)];
  const read = async (cache: KvCache, holdings: typeof from) => {
    const pieces: Uint8Array<ArrayBuffer>[] = [];
    for await (const piece of new HeldPages(gpu, cache, holdings).read()) pieces.push(piece);
    return new Uint8Array(await new Blob(pieces).arrayBuffer());
  };
  const write = (cache: KvCache, holdings: typeof from, saved: Uint8Array<ArrayBuffer>) => {
    let at = 0;
    return new HeldPages(gpu, cache, holdings).write(async (most) =>
      saved.subarray(at, (at += Math.min(most, 4 + 4 * (at % 7)))),
    );
  };
  const bytes = crypto.getRandomValues(await read(one, from));
  await write(one, from, bytes);
  await write(two, to, await read(one, from));
  const [again, other] = [await read(two, to), await read(two, from)];
  gpu.dispose();
  const equal = (a: Uint8Array) => a.every((byte, i) => byte === bytes[i]);
  return { bytes: bytes.length, same: equal(again), elsewhere: !equal(other) };
}

/** Two staging buffers through failures of every kind; returns what was read afterwards, twice `[7, 8]`. */
async function readback(): Promise<number[][]> {
  const device = await sharedDevice();
  const gpu = await Gpu.open(device);
  const source = gpu.buffer("source", 16, "scratch");
  gpu.write(source, 0, Uint32Array.of(7, 8, 9, 10));
  const ring = new Readback(gpu, 16, 2);
  const submit = () => ring.submit(device.createCommandEncoder(), [{ source, offset: 0, bytes: 8 }]);
  for (let round = 0; round < 5; round++) {
    breakSubmits(device, 2);
    for (let i = 0; i < 2; i++) await outcome((async () => submit())());
    breakMappings(2);
    await Promise.all([outcome(submit()()), outcome(submit()())]);
    submit(); // nobody asks for its result
    while (gpu.counts.readbacks <= round) await new Promise((resolve) => setTimeout(resolve, 1));
  }
  const reads = [submit(), submit()];
  const results = await Promise.all(reads.map((read) => read()));
  gpu.dispose();
  return results.map((bytes) => [...new Uint32Array(bytes)]);
}

/** Steps that fail in turn by submit and by mapping, then a reply; returns the outcomes and the reply's tokens. */
async function failingSteps(source: string, prompt: readonly number[], maxTokens: number) {
  const device = await sharedDevice();
  const engine = await open(source, device);
  const outcomes: string[] = [];
  for (let round = 0; round < 8; round++) {
    const reply = generate(engine, prompt, 6);
    const results = [outcome(reply.result)];
    if (round % 4 !== 3) for await (const _ of reply) break; // breaks in the middle of the reply, or at its first step
    results.push(outcome(generate(engine, prompt, 6).result));
    if (round % 2 === 0) breakSubmits(device, 1);
    else breakMappings(2);
    outcomes.push(...(await Promise.all(results)));
  }
  const { tokens } = await generate(engine, prompt, maxTokens).result;
  engine.dispose();
  return { outcomes, tokens };
}

/** The memory that a long prompt's cache needs is not there, then it is: outcomes of a short reply, the long one, and both again. */
async function exhausted(source: string, prompt: readonly number[]): Promise<{ outcomes: string[]; same: boolean }> {
  const device = await sharedDevice();
  const options = { device, tune: "off", kv: "f32", context: 256, reserve: 32, chunk: 32 } as const;
  const engine = await load(new URL(source, location.href).href, options);
  const short = prompt.slice(0, 6);
  const long = Array.from({ length: 90 }, (_, i) => prompt[(7 * i) % prompt.length]!);
  const { tokens } = await generate(engine, short, 8).result;
  const { popErrorScope } = device;
  device.popErrorScope = async () => {
    await popErrorScope.call(device);
    return new GPUOutOfMemoryError("the memory was told to be full");
  };
  const outcomes = [await outcome(generate(engine, long, 4).result)];
  delete (device as Partial<GPUDevice>).popErrorScope;
  const again = await generate(engine, short, 8).result;
  outcomes.push(await outcome(generate(engine, long, 4).result));
  engine.dispose();
  return { outcomes, same: String(again.tokens) === String(tokens) };
}

/** The caller destroys its device after three tokens: outcomes of the reply under way, of a waiting score and of a later reply. */
async function destroyed(source: string, prompt: readonly number[]): Promise<string[]> {
  const device = await openDevice();
  const engine = await open(source, device);
  const reply = generate(engine, prompt, 100);
  const score = outcome(engine.score(prompt));
  let seen = 0;
  const running = (async () => {
    for await (const _ of reply) if (++seen === 3) device.destroy();
  })();
  const outcomes = [await outcome(running), await score];
  outcomes.push(await outcome(generate(engine, prompt, 5).result), await outcome(engine.score(prompt)));
  engine.dispose();
  return outcomes;
}

/** The engine, on a device of its own, is disposed of in the middle of a reply; how that ends, and rejections nobody handles. */
async function disposed(source: string, prompt: readonly number[]): Promise<{ finish: string; stray: string[] }> {
  const stray: string[] = [];
  const listen = ({ reason }: PromiseRejectionEvent) => stray.push(String(reason));
  addEventListener("unhandledrejection", listen);
  const engine = await load(new URL(source, location.href).href, { tune: "off", kv: "f32", context: 128, chunk: 8 });
  const reply = generate(engine, prompt, 100);
  for await (const _ of reply) {
    engine.dispose();
    break;
  }
  const { finish } = await reply.result;
  await new Promise((resolve) => setTimeout(resolve, 300));
  removeEventListener("unhandledrejection", listen);
  return { finish, stray };
}

/** Makes devices one after another; `destroy` takes the last one away. */
export function destructible() {
  let last: GPUDevice;
  const device = async () => (last = await openDevice());
  return { device, destroy: () => last.destroy() };
}

interface Survived {
  /** Of the engine and the student, undisturbed and with a loss. */
  tokens: number[][];
  phases: string[];
  events: EngineEvent[];
  losses: number;
  /** How a reply ends whose device is the third that is lost. */
  last: string;
}

/**
 * The device goes away during the load; between two chunks of a prompt, while a student on the same weights replies; and
 * while both are idle, for the third time within a minute.
 */
async function lost(
  source: string,
  prompt: readonly number[],
  options: Record<"engine" | "student", GenerateOptions>,
): Promise<Survived> {
  const { device, destroy } = destructible();
  const phases: string[] = [];
  const events: EngineEvent[] = [];
  const onEvent = (event: EngineEvent) => void events.push(event);
  const onProgress = ({ phase }: LoadProgress) => {
    if (phase === "download" && !phases.includes(phase)) destroy();
    if (phases.at(-1) !== phase) phases.push(phase);
  };
  const engine = await load(new URL(source, location.href).href, { ...small, device, onProgress, onEvent });
  const student = await convert(engine, { layers: 2, group: 1 });
  const reply = (from: "engine" | "student", more: GenerateOptions = {}) =>
    ({ engine, student })[from]
      .session()
      .generate({ tokens: prompt }, { ...options[from], ignoreEnd: true, reuse: false, ...more });
  const replies = [reply("engine"), reply("student")];
  const running = reply("student");
  replies.push(running);
  for await (const _ of running) {
    if (replies.length === 3) replies.push(reply("engine", { onPrefill: (done) => void (done === 8 && destroy()) }));
  }
  const tokens = await Promise.all(replies.map(async ({ result }) => (await result).tokens));
  destroy();
  const last = await outcome(reply("engine").result);
  const { deviceLosses: losses } = student.stats();
  for (const each of [engine, student]) each.dispose();
  return { tokens, phases, events, losses, last };
}

export const devices = { readback, savedPages, failingSteps, exhausted, destroyed, disposed, lost };
