// An object that lives in the worker, called by the names and types of its interface.
import type { Link, Receiver } from "./link.ts";
import type {
  ArgsOf,
  DataMethod,
  DataOf,
  ItemOf,
  MadeBy,
  MakingMethod,
  ResultOf,
  StreamMethod,
  StreamOf,
} from "./protocol.ts";

/** Items of a stream under way at once: enough that none waits for a page that is awake. */
const ROOM = 16;

export class Target<T extends object> {
  readonly link: Link;
  readonly object: number;
  readonly #path: readonly string[];

  constructor(link: Link, object: number, path: readonly string[] = []) {
    this.link = link;
    this.object = object;
    this.#path = path;
  }

  /** What a field holds, to be called itself. */
  part<K extends keyof T & string>(name: K): Target<T[K] & object> {
    return new Target(this.link, this.object, [...this.#path, name]);
  }

  /** The data in a field. */
  get<K extends keyof T & string>(name: K): Promise<T[K]> {
    return this.#promised<T[K]>(name, []);
  }

  /** What a method gives, where that is data. */
  call<M extends DataMethod<T>>(method: M, ...args: ArgsOf<T, M>): Promise<DataOf<T, M>> {
    return this.#promised<DataOf<T, M>>(method, args);
  }

  /**
   * What a method gives stays in the worker. It can be called at once; `made` says whether it came to be, and so does every
   * call of it.
   */
  make<M extends MakingMethod<T>>(
    method: M,
    ...args: ArgsOf<T, M>
  ): { target: Target<MadeBy<T, M> & object>; made: Promise<void> } {
    const object = this.link.number();
    return { target: new Target(this.link, object), made: this.#promised<void>(method, args, object) };
  }

  /** What a method gives comes item by item. Returns the number of the call, for `Link.more` and `Link.leave`. */
  stream<M extends StreamMethod<T>>(method: M, args: ArgsOf<T, M>, receiver: StreamReceiver<StreamOf<T, M>>): number {
    const asked = {
      object: this.object,
      path: [...this.#path, method],
      args,
      makes: null,
      room: receiver.room ?? ROOM,
    };
    return this.link.call(asked, receiver as Receiver);
  }

  #promised<R>(name: string, args: readonly unknown[], makes: number | null = null): Promise<R> {
    return new Promise<R>((resolve, reject) => {
      const asked = { object: this.object, path: [...this.#path, name], args, makes, room: 0 };
      this.link.call(asked, { done: (value) => resolve(value as R), failed: reject });
    });
  }
}

/** `room`: how many items may be under way; each that is taken up makes room for one more (`Link.more`). */
export interface StreamReceiver<S> {
  room?: number;
  begun?(): void;
  item(item: ItemOf<S>): void;
  done(result: ResultOf<S>): void;
  failed(error: unknown): void;
}
