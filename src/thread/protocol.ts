// What a page and its worker say to each other. Objects that live in the worker are called by number; the page gives the
// numbers, so that it can go on before an object is made. There is no message for a method of its own: a call names the object,
// the place of the method in it, and what it takes.
import type {
  Constraint,
  ConvertOptions,
  DistilOptions,
  Engine,
  EngineStats,
  FilePiece,
  LoadOptions,
  ModelSource,
  Session,
  ShareOptions,
  Sharing,
  SwiftKv,
} from "../api.ts";
import type { ErrorCode, GgufChoice } from "../errors.ts";
import type { LanguageFiles } from "./language.ts";

/** What a worker does beside the methods of the objects that live in it. */
export interface Service {
  load(
    source: ModelSource,
    options: Omit<LoadOptions, "worker"> & { onLanguage: (files: LanguageFiles) => void },
  ): Promise<Engine>;
  convert(engine: Engine, swiftkv: SwiftKv | boolean, options: ConvertOptions): Promise<Engine>;
  distil(engine: Engine, swiftkv: SwiftKv, options: DistilOptions): Promise<Engine>;
  shareLayers(engine: Engine, options: ShareOptions): Promise<Sharing>;
  saveStudent(engine: Engine): Promise<Uint8Array<ArrayBuffer>>;
  saveCheckpoint(engine: Engine, source: ModelSource, options: { signal: AbortSignal }): AsyncIterable<FilePiece>;
  exportStudent(engine: Engine, checkpoint: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>>;
}

/** The number of the service. */
export const SERVICE = 0;

/** Where in the arguments of a call something stood that cannot be copied: `args[arg]`, or a field of it. */
export type Place = { arg: number; field: string | null } & (
  | { is: "object"; object: number }
  /** A function. It is called by its number. */
  | { is: "callback"; callback: number }
  /** A call has at most one. */
  | { is: "signal"; aborted: boolean }
);

export interface Call {
  type: "call";
  call: number;
  object: number;
  /** Names from the object to the method, or to the field that is read: `["chat", "completions", "create"]`. */
  path: readonly string[];
  args: readonly unknown[];
  places: readonly Place[];
  /** The number that the result gets as an object; null: the result is data, or a stream of data. */
  makes: number | null;
  /** How many items of a stream may be under way. */
  room: number;
}

/** An error, its class and fields included. */
export type PackedError =
  | {
      is: "error";
      name: string;
      message: string;
      stack: string | undefined;
      code?: ErrorCode;
      choices?: readonly GgufChoice[];
      cause?: PackedError;
    }
  | { is: "exception"; name: string; message: string }
  /** What the signal of the call was aborted with. */
  | { is: "reason" }
  | { is: "value"; value: unknown };

export type ToWorker =
  /** The page is there: nothing is heard before. The name is no other's, since a script may share its worker with one. */
  | { type: "longprompt:hello" }
  | Call
  /** `count` further items may come. */
  | { type: "more"; call: number; count: number }
  /** The signal of the call was aborted. */
  | { type: "abort"; call: number }
  /** Nobody reads the stream any more: as if it were aborted, and no further item is wanted. */
  | { type: "leave"; call: number }
  /** A callback has returned, or thrown. */
  | { type: "answer"; run: number; error: PackedError | null }
  /** The page has no more use for the object. */
  | { type: "release"; object: number };

export type FromWorker =
  /** Once, after the greeting. `lock`: a Web Lock that is held for as long as the worker lives; null where there are none. */
  | { type: "ready"; lock: string | null }
  /** The call came to a stream; items follow. */
  | { type: "begun"; call: number }
  | { type: "item"; call: number; item: unknown }
  /** A call ends with one of these two. A stream that has a result brings it here. */
  | { type: "done"; call: number; value: unknown }
  | { type: "failed"; call: number; error: PackedError }
  | { type: "callback"; callback: number; run: number; args: readonly unknown[] }
  /** Comes before what makes it new. */
  | { type: "stats"; object: number; stats: EngineStats };

// What a method gives decides how it is called: the types below find the methods of each kind in an interface.

type Returned<T, M extends keyof T> = T[M] extends (...args: never[]) => infer R ? Awaited<R> : never;
type Live = Engine | Session | Constraint;
type Names<T> = { [M in keyof T]: T[M] }[keyof T] & string;

export type ArgsOf<T, M extends keyof T> = T[M] extends (...args: infer A) => unknown ? A : never;

/** Data, where a method gives any. */
export type DataOf<T, M extends keyof T> = Exclude<Returned<T, M>, Live | AsyncIterable<unknown>>;
export type DataMethod<T> = Names<{ [M in keyof T]: [DataOf<T, M>] extends [never] ? never : M }>;

/** An object that stays in the worker. */
export type MadeBy<T, M extends keyof T> = Extract<Returned<T, M>, Live>;
export type MakingMethod<T> = Names<{ [M in keyof T]: [MadeBy<T, M>] extends [never] ? never : M }>;

/** Items one after another, and what comes in the end. */
export type StreamOf<T, M extends keyof T> = Extract<Returned<T, M>, AsyncIterable<unknown>>;
export type StreamMethod<T> = Names<{ [M in keyof T]: [StreamOf<T, M>] extends [never] ? never : M }>;
export type ItemOf<S> = S extends AsyncIterable<infer I> ? I : never;
export type ResultOf<S> = S extends { result: Promise<infer R> } ? R : void;
