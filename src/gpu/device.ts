// The adapter, the device and everything made on it. Every GPU object of the engine is made here, so it can be counted.
import type { AdapterInfo } from "../api.ts";
import { assert, DeviceLostError, EngineError, UnsupportedError } from "../errors.ts";
import { type Offer, offerOf, WANTED_FEATURES } from "./offer.ts";
import { Pace } from "./pace.ts";
import type { Dispatched } from "./paper.ts";
import { type AdapterProfile, profileOf } from "./profile.ts";
import { awaited } from "./wait.ts";
import { type Bindable, bytesOf, Kernel, type KernelSource } from "./kernel.ts";

/** What a buffer is for; the stats report bytes by it. */
export type Purpose = "weights" | "kv" | "scratch";

export interface Counts {
  submits: number;
  dispatches: number;
  readbacks: number;
  readbackBytes: number;
  /** Buffers, bind groups and pipelines made since the device was opened. */
  objectsCreated: number;
}

const WANTED_LIMITS = [
  "maxStorageBufferBindingSize",
  "maxBufferSize",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
] as const;

/** Milliseconds within which a device that was lost says so, after one of its promises has been rejected and after any other error. */
const LOSS_DELAY = { rejection: 2000, other: 100 } as const;

/** A device to use, or what makes one, again after each that was lost. */
export type DeviceSource = GPUDevice | (() => Promise<GPUDevice>);

export const givenBy = async (source: DeviceSource): Promise<GPUDevice> =>
  typeof source === "function" ? source() : source;

/** Compiled kernels of each device, by shader, constants and lengths: a second engine on it finds them here. */
const compiled = new WeakMap<GPUDevice, Map<string, Promise<Kernel>>>();

/** Bytes of weights from which a software adapter gains more by fixed lengths than it loses by compiling for each length anew. */
const WORTH_FIXING = 2 ** 25;

const noAdapter = (what: string, cause?: unknown): UnsupportedError =>
  new UnsupportedError(
    `WebGPU: the browser found no adapter${what}; want a GPU or a software adapter. Check that hardware acceleration is switched on and the driver is current.`,
    { code: "no-adapter", cause },
  );

export class Gpu {
  readonly device: GPUDevice;
  readonly adapter: AdapterInfo;
  readonly profile: AdapterProfile;
  readonly offer: Offer;
  /** How much a submit may hold: of all users of the device. */
  readonly pace: Pace;
  readonly counts: Counts;
  /** Bytes in use by purpose; a fork counts the weights that it shares. */
  readonly bytes: Record<Purpose, number>;
  /** The most bytes at one time, and of one buffer. */
  readonly most = { bytes: 0, buffer: 0 };
  /** Nothing is computed: what is made is counted. */
  readonly isPaper: boolean;
  /** Kernels that were asked of this, and how many of them are compiled. */
  readonly kernels = { asked: 0, compiled: 0 };
  /** Called when another kernel is compiled. */
  onKernel: () => void = () => {};
  /** Called with each dispatch of a program. */
  onDispatch: ((dispatched: Dispatched) => void) | null = null;
  readonly #buffers = new Map<GPUBuffer, Purpose>();
  readonly #ownsDevice: boolean;
  /** Whose weights are shared: this, or what it was forked from. */
  readonly #root: Gpu;
  /** Of a root: itself and its forks. */
  #users = 1;
  /** Of a root: the last user has been disposed, and later errors of the device are ignored. */
  #closed = false;
  #unused: GPUBuffer | null = null;
  /** Of a root: the device is gone. */
  #lost: DeviceLostError | null = null;
  #disposed = false;
  #validation: string | null = null;

  private constructor(device: GPUDevice, ownsDevice: boolean, root?: Gpu, isPaper = root?.isPaper ?? false) {
    this.device = device;
    this.isPaper = isPaper;
    this.#ownsDevice = ownsDevice;
    this.#root = root ?? this;
    this.counts = root?.counts ?? { submits: 0, dispatches: 0, readbacks: 0, readbackBytes: 0, objectsCreated: 0 };
    this.bytes = { weights: root?.bytes.weights ?? 0, kv: 0, scratch: 0 };
    if (!compiled.has(device)) compiled.set(device, new Map());
    this.adapter = describe(device.adapterInfo, device.features);
    this.offer = offerOf(device);
    this.profile = profileOf(this.adapter, this.offer);
    this.pace = root?.pace ?? new Pace(this.profile.submitMs);
    if (!root) void device.lost.then((info) => this.#lose(info));
    device.addEventListener?.("uncapturederror", (event) => {
      this.#validation ??= (event as GPUUncapturedErrorEvent).error.message;
    });
  }

  /** Opens the fastest adapter, or wraps `device`. Throws UnsupportedError if there is none. */
  static async open(device?: DeviceSource): Promise<Gpu> {
    if (device) return new Gpu(await givenBy(device), false);
    const adapter = await Gpu.find();
    const requiredLimits = Object.fromEntries(WANTED_LIMITS.map((name) => [name, adapter.limits[name]]));
    const requiredFeatures = WANTED_FEATURES.filter((feature) => adapter.features.has(feature));
    try {
      return new Gpu(await adapter.requestDevice({ requiredFeatures, requiredLimits }), true);
    } catch (cause) {
      throw noAdapter(" that gives a device", cause);
    }
  }

  #lose({ reason, message }: GPUDeviceLostInfo): void {
    if (this.#closed) return;
    const why = reason === "destroyed" ? "its owner destroyed it" : message || "no reason given";
    this.#lost = new DeviceLostError(`GPU: the device was lost; ${why}. Load the model again.`);
  }

  /** `call` follows once the device is lost, unless it has been disposed of before. */
  whenLost(call: (error: DeviceLostError) => void): void {
    void this.device.lost.then(() => {
      if (this.#root.#lost) call(this.#root.#lost);
    });
  }

  /** A device that only counts what is made on it: what `paperDevice` made. */
  static paper(device: GPUDevice): Gpu {
    return new Gpu(device, false, undefined, true);
  }

  /** The fastest adapter. Throws UnsupportedError if there is none. */
  static async find(): Promise<GPUAdapter> {
    const gpu = globalThis.navigator?.gpu; // Node before 21 has no navigator
    if (!gpu) {
      throw new UnsupportedError(
        "WebGPU: this browser does not offer it; got no navigator.gpu. Use a current Chrome, Edge, Firefox or Safari over https or on localhost.",
        { code: "no-webgpu" },
      );
    }
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) {
      throw noAdapter("");
    }
    return adapter;
  }

  /** Buffers of its own on the same device, with the same kernels and counts. May read the weights of what it came from. */
  fork(): Gpu {
    this.#root.#users++;
    return new Gpu(this.device, false, this.#root);
  }

  get isFork(): boolean {
    return this.#root !== this;
  }

  has(feature: GPUFeatureName): boolean {
    return this.device.features.has(feature);
  }

  /** Adapter and driver in one string: the key under which measurements are remembered. */
  get fingerprint(): string {
    const { vendor, architecture, device, description } = this.device.adapterInfo ?? {};
    return [
      vendor,
      architecture,
      device,
      description,
      globalThis.navigator?.userAgent?.match(/(Chrome|Firefox|Version)\/\d+/)?.[0],
    ].join("|");
  }

  /** In use for all purposes. */
  get totalBytes(): number {
    return this.bytes.weights + this.bytes.kv + this.bytes.scratch;
  }

  /** Of one buffer: all are bound whole. */
  get mostBytes(): number {
    const { maxBufferSize, maxStorageBufferBindingSize } = this.device.limits;
    return Math.min(maxBufferSize, maxStorageBufferBindingSize);
  }

  /** A buffer of `size` bytes (rounded up to 4, at least 16), zeroed, usable as storage and for copies. */
  buffer(label: string, size: number, purpose: Purpose, usage = 0): GPUBuffer {
    assert(!this.#disposed, `GPU buffer ${label}: asked for after dispose()`); // it would never be freed
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const bytes = Math.max(16, Math.ceil(size / 4) * 4);
    const limit = this.mostBytes;
    if (bytes > limit) {
      throw new UnsupportedError(
        `GPU buffer ${label}: got ${bytes} bytes, want at most ${limit} on this adapter. Take a smaller model, 4-bit weights or a shorter context.`,
        { code: "out-of-memory" },
      );
    }
    const buffer = this.device.createBuffer({ label, size: bytes, usage: usage || STORAGE | COPY_SRC | COPY_DST });
    this.counts.objectsCreated++;
    this.bytes[purpose] += bytes;
    this.most.bytes = Math.max(this.most.bytes, this.totalBytes);
    this.most.buffer = Math.max(this.most.buffer, bytes);
    this.#buffers.set(buffer, purpose);
    return buffer;
  }

  /** A buffer made while the engine runs. Throws UnsupportedError where there is no memory for it; nothing is left then. */
  async allocate(make: () => GPUBuffer): Promise<GPUBuffer> {
    return (await this.allocateAll([make]))[0]!;
  }

  /** Several of them, all or none. */
  async allocateAll(makes: readonly (() => GPUBuffer)[]): Promise<GPUBuffer[]> {
    const buffers: GPUBuffer[] = [];
    try {
      await this.guardMemory(async () => {
        for (const make of makes) buffers.push(make());
      });
      return buffers;
    } catch (error) {
      for (const buffer of buffers) this.release(buffer);
      throw error;
    }
  }

  release(buffer: GPUBuffer): void {
    const purpose = this.#buffers.get(buffer);
    if (!purpose) return;
    this.bytes[purpose] -= buffer.size;
    this.#buffers.delete(buffer);
    buffer.destroy();
  }

  /** Stands in where a kernel has a binding that its constants switch off. */
  get unused(): GPUBuffer {
    return (this.#unused ??= this.buffer("unused", 16, "scratch"));
  }

  /**
   * The pipeline for these constants, compiled once on this device. Where the profile fixes lengths and the model is large,
   * also for those of what is bound.
   */
  kernel(
    source: KernelSource,
    constants: Readonly<Record<string, number>>,
    buffers: Readonly<Record<string, Bindable>>,
  ): Promise<Kernel> {
    const kernels = compiled.get(this.device)!;
    const lengths = this.#fixedLengths(source, buffers);
    const key = this.isPaper
      ? source.name
      : `${source.name} ${JSON.stringify([Object.entries(constants).sort(), lengths, source.code])}`;
    let made = kernels.get(key);
    if (!made) {
      this.counts.objectsCreated++;
      made = Kernel.create(this.device, source, constants, lengths);
      kernels.set(key, made);
      this.#count(made);
    }
    return made;
  }

  #count(made: Promise<Kernel>): void {
    this.kernels.asked++;
    made.then(
      () => {
        this.kernels.compiled++;
        this.onKernel();
      },
      () => {}, // whoever asked for it throws
    );
  }

  /** Of the buffers that the kernel has: what moves and seals pages is offered more than each kernel wants. */
  #fixedLengths(
    { bindings }: KernelSource,
    buffers: Readonly<Record<string, Bindable>>,
  ): Readonly<Record<string, number>> {
    if (!this.profile.fixedLengths || this.bytes.weights < WORTH_FIXING) return {};
    const own = Object.entries(buffers).filter(([name]) => name in bindings);
    return Object.fromEntries(own.map(([name, buffer]) => [name, bytesOf(buffer)]));
  }

  write(buffer: GPUBuffer, offset: number, data: ArrayBufferView<ArrayBuffer>): void {
    this.device.queue.writeBuffer(buffer, offset, data);
  }

  submit(encoder: GPUCommandEncoder): void {
    this.counts.submits++;
    this.device.queue.submit([encoder.finish()]);
    this.pace.measure(encoder, () => this.done());
  }

  /** Resolves once all that has been submitted is done. */
  async done(): Promise<void> {
    const { queue } = this.device;
    await awaited(queue, queue.onSubmittedWorkDone());
  }

  /** Throws what went wrong on the device since the last call. */
  check(): void {
    if (this.#root.#lost) throw this.#root.#lost;
    if (this.#validation) {
      const message = this.#validation;
      this.#validation = null;
      throw new Error(`GPU: validation failed; ${message}`);
    }
  }

  /** Maps the first bytes of a staging buffer; rejects with the reason. */
  async map(staging: GPUBuffer, bytes?: number): Promise<void> {
    try {
      await awaited(this.device.queue, staging.mapAsync(GPUMapMode.READ, 0, bytes));
    } catch (cause) {
      throw await this.explain(cause);
    }
  }

  /** The reason for `cause`: a lost device is reported slightly later than its buffers reject requests. */
  async explain(cause: unknown): Promise<unknown> {
    if (this.#disposed || this.#root.#closed) return cause;
    const delay = cause instanceof DOMException ? LOSS_DELAY.rejection : LOSS_DELAY.other;
    await Promise.race([this.device.lost, new Promise((resolve) => setTimeout(resolve, delay))]);
    try {
      this.check();
    } catch (reason) {
      return reason;
    }
    return cause;
  }

  /** Runs `work` and turns an allocation that failed inside it, for want of memory or against a rule, into an error of its own. */
  async guardMemory<T>(work: () => Promise<T>): Promise<T> {
    this.device.pushErrorScope("validation");
    this.device.pushErrorScope("out-of-memory");
    const outcome = await work().then(
      (value) => ({ value }),
      (error: unknown) => ({ error }),
    );
    const [full, wrong] = await this.#popScopes();
    if (this.#root.#lost) throw this.#root.#lost; // whatever else went wrong follows from it
    if (full) throw this.#outOfMemory(full.message);
    // an error that says what was refused says more than the device does
    if ("error" in outcome && (outcome.error instanceof EngineError || !wrong)) throw outcome.error;
    if (wrong) throw new Error(`GPU: validation failed; ${wrong.message}`);
    return (outcome as { value: T }).value;
  }

  async #popScopes(): Promise<[GPUError | null, GPUError | null]> {
    try {
      return await Promise.all([this.device.popErrorScope(), this.device.popErrorScope()]);
    } catch (cause) {
      throw await this.explain(cause);
    }
  }

  #outOfMemory(message: string): UnsupportedError {
    const megabytes = Math.round(this.totalBytes / 2 ** 20);
    return new UnsupportedError(
      `GPU memory: ${megabytes} MiB could not be allocated; ${message}. Take a smaller model, a shorter context or f16 KV.`,
      { code: "out-of-memory" },
    );
  }

  /** Frees its buffers. Weights that forks read, and the device, go with the last of them. */
  dispose(): void {
    this.#disposed = true;
    const shared = this.#root === this && this.#users > 1;
    for (const [buffer, purpose] of this.#buffers) {
      if (!shared || (purpose !== "weights" && buffer !== this.#unused)) this.release(buffer);
    }
    if (--this.#root.#users === 0) this.#root.#close();
  }

  #close(): void {
    this.#closed = true;
    for (const buffer of this.#buffers.keys()) this.release(buffer);
    if (this.#ownsDevice) this.device.destroy();
  }
}

/** What `load` would run on. Throws UnsupportedError where there is nothing. */
export async function describeAdapter(): Promise<AdapterInfo> {
  const { info, features } = await Gpu.find();
  return describe(info, features);
}

function describe(info: Partial<GPUAdapterInfo> | undefined, features: GPUSupportedFeatures): AdapterInfo {
  const { vendor = "", architecture = "", description = "", isFallbackAdapter = false } = info ?? {};
  const named = /swiftshader|llvmpipe|lavapipe|software|basic render/i.test(`${architecture} ${description}`);
  const software = isFallbackAdapter || named;
  const name = [vendor, description || architecture].filter(Boolean).join(" · ") || "unknown adapter";
  return { name, software, features: [...features].sort() };
}
