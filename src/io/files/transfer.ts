// What is missing of a file, from its server into storage: several ranges at a time, in the order in which they are wanted.

import type { ReadOptions } from "./bytes.ts";
import { HttpFile } from "./http.ts";
import type { Network } from "./network.ts";
import { pieceBytes, type Pieces } from "./pieces.ts";
import type { Shelf } from "./shelf.ts";

/** Requests of one file at a time: browsers allow six per host. */
const connections = 4;
/** Pieces of one request. */
const runPieces = 4;

/** A piece under way. */
interface Flight {
  bytes: Promise<Uint8Array<ArrayBuffer>>;
  /** So far. */
  arrived: number;
  onBytes: (arrived: number) => void;
}

/** Downloads that run together, and stop together. */
class Convoy {
  readonly flights = new Map<number, Flight>();
  readonly controller = new AbortController();
  /** Where the reader is, and the piece before which it is all that is wanted for now. */
  cursor: number;
  end: number;
  /** The first piece that nobody has claimed. */
  next: number;
  /** Resolves when all have stopped. */
  done: Promise<void> = Promise.resolve();
  /** What stopped them. */
  error: Error | null = null;

  constructor(cursor: number, end: number) {
    this.cursor = this.next = cursor;
    this.end = end;
  }
}

export class Transfer {
  readonly #network: Network;
  readonly #file: HttpFile;
  readonly #pieces: Pieces;
  readonly #shelf: Shelf;
  #convoy: Convoy | null = null;
  /** Storage takes nothing more, without being full: pieces are for the reader alone. */
  isRefused = false;

  /** `file`: read by the first connection. */
  constructor(network: Network, file: HttpFile, pieces: Pieces, shelf: Shelf) {
    this.#network = network;
    this.#file = file;
    this.#pieces = pieces;
    this.#shelf = shelf;
  }

  get #count(): number {
    return Math.ceil(this.#file.size / pieceBytes);
  }

  lengthOf(index: number): number {
    return Math.min(pieceBytes, this.#file.size - index * pieceBytes);
  }

  /** Bytes that are not in storage. */
  get missingBytes(): number {
    return this.#file.size - this.#pieces.heldBytes;
  }

  isMissing(index: number): boolean {
    return this.#pieces.held(index) < this.lengthOf(index);
  }

  /**
   * A missing piece, from the server. Those behind it come too, as far as `until`. `onBytes`: how much of it is there. On
   * abort and on failure all downloads stop, and what has come of each piece is kept.
   */
  async piece(
    index: number,
    { signal, until = Infinity }: Pick<ReadOptions, "signal" | "until">,
    onBytes: (arrived: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    if (this.isRefused) return this.#read(index, { signal, until }, onBytes);
    const stop = (): void => this.#convoy?.controller.abort(signal?.reason);
    signal?.addEventListener("abort", stop);
    try {
      signal?.throwIfAborted();
      const flight = await this.#flightOf(index, until);
      if (!flight) return await this.#pieces.get(index);
      flight.onBytes = onBytes;
      onBytes(flight.arrived);
      return await flight.bytes;
    } catch (error) {
      await this.stop();
      signal?.throwIfAborted();
      throw error;
    } finally {
      signal?.removeEventListener("abort", stop);
    }
  }

  /** A piece that cannot be kept. */
  #read(
    index: number,
    options: Pick<ReadOptions, "signal" | "until">,
    onBytes: (arrived: number) => void,
  ): Promise<Uint8Array<ArrayBuffer>> {
    let arrived = 0;
    const count = (bytes: number) => onBytes((arrived += bytes));
    return this.#file.read(index * pieceBytes, this.lengthOf(index), { ...options, onBytes: count });
  }

  /** Stops all downloads, and keeps what has come. */
  async stop(): Promise<void> {
    const convoy = this.#convoy;
    this.#convoy = null;
    convoy?.controller.abort();
    await convoy?.done;
  }

  /** The piece under way; where it is not, downloads begin with it. Null: it has just come. */
  async #flightOf(index: number, until: number): Promise<Flight | null> {
    const end = Math.min(this.#count, Math.ceil(until / pieceBytes));
    const running = this.#convoy;
    if (running?.error) throw running.error;
    if (running?.flights.has(index)) {
      running.cursor = index;
      running.end = Math.max(running.end, end);
      return running.flights.get(index)!;
    }
    // one that has come to the end of what was wanted, or is far away
    await this.stop();
    if (!this.isMissing(index)) return null;
    const convoy = (this.#convoy = new Convoy(index, Math.max(end, index + 1)));
    convoy.done = this.#start(convoy);
    return convoy.flights.get(index)!;
  }

  /** The first connection shows whether the server has ranges; only then others join. Never rejects. */
  async #start(convoy: Convoy): Promise<void> {
    const others: Promise<void>[] = [];
    const join = (): void => {
      if (others.length > 0 || !this.#file.hasRanges) return;
      for (let i = 1; i < connections; i++) {
        const { name, size, tag, sha256 } = this.#file;
        others.push(
          this.#connect(convoy, new HttpFile(this.#network.aside(), name, { size, tag, sha256 }, "no-store")),
        );
      }
    };
    await this.#connect(convoy, this.#file, join);
    await Promise.all(others);
  }

  async #connect(convoy: Convoy, file: HttpFile, onPiece = (): void => {}): Promise<void> {
    for (let run = this.#claim(convoy); run.length > 0; run = this.#claim(convoy)) {
      const until = (run.at(-1)!.index + 1) * pieceBytes;
      for (const { land } of run) {
        await land(file, until);
        if (!convoy.error) onPiece();
      }
    }
    if (file !== this.#file) file.close();
  }

  /** Consecutive pieces that nobody has claimed, from the reader's place on. */
  #claim(convoy: Convoy): { index: number; land: (file: HttpFile, until: number) => Promise<void> }[] {
    if (convoy.error || convoy.controller.signal.aborted || this.isRefused) return [];
    let at = Math.max(convoy.cursor, convoy.next);
    while (at < convoy.end && !this.isMissing(at)) at++;
    const run = [];
    for (; at < convoy.end && run.length < runPieces && this.isMissing(at); at++)
      run.push({ index: at, land: this.#launch(convoy, at) });
    convoy.next = at;
    return run;
  }

  /** Enters a piece as under way. What it returns does the work, and never rejects. */
  #launch(convoy: Convoy, index: number): (file: HttpFile, until: number) => Promise<void> {
    let resolve: (bytes: Uint8Array<ArrayBuffer>) => void;
    let reject: (error: unknown) => void;
    const bytes = new Promise<Uint8Array<ArrayBuffer>>((...settle) => ([resolve, reject] = settle));
    bytes.catch(() => {}); // the reader may not be waiting for this one
    const flight: Flight = { bytes, arrived: 0, onBytes: () => {} };
    convoy.flights.set(index, flight);
    return async (file, until) => {
      try {
        if (convoy.error) throw convoy.error;
        resolve(await this.#fetch(convoy, index, flight, { file, until }));
        convoy.flights.delete(index);
      } catch (error) {
        convoy.error ??= error as Error;
        convoy.controller.abort(error);
        reject(error);
      }
    };
  }

  /** One piece, from where storage has it. What has come of it is kept, whatever happens. */
  async #fetch(
    convoy: Convoy,
    index: number,
    flight: Flight,
    { file, until }: { file: HttpFile; until: number },
  ): Promise<Uint8Array<ArrayBuffer>> {
    const { signal } = convoy.controller;
    const bytes = new Uint8Array(this.lengthOf(index));
    const begun = await this.#pieces.get(index);
    bytes.set(begun);
    flight.arrived = begun.length;
    const onBytes = (count: number) => flight.onBytes((flight.arrived += count));
    try {
      const rest = bytes.subarray(begun.length);
      await file.fill(rest, index * pieceBytes + begun.length, { signal, until, onBytes });
    } finally {
      if (flight.arrived > begun.length) await this.#keep(index, bytes.subarray(0, flight.arrived));
    }
    return bytes;
  }

  async #keep(index: number, bytes: Uint8Array<ArrayBuffer>): Promise<void> {
    if (this.isRefused) return;
    const outcome = await this.#pieces.put(index, bytes);
    if (outcome === "full") throw await this.#shelf.overflow();
    this.isRefused = outcome === "refused";
  }
}
