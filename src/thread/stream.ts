// A stream of the worker with one reader. Who reads slowly holds back what is sent, not what is computed.
import type { ArgsOf, ItemOf, StreamMethod, StreamOf } from "./protocol.ts";
import type { Target } from "./target.ts";

export interface Stream<I> {
  /** Resolves once the worker has the stream; rejects where there will be none. */
  begun: Promise<void>;
  /** Leaving early ends what makes the items. */
  items: AsyncGenerator<I, void>;
}

/** `room`: how many items may have come that nobody has read. */
export function openStream<T extends object, M extends StreamMethod<T>>(
  target: Target<T>,
  method: M,
  args: ArgsOf<T, M>,
  room?: number,
): Stream<ItemOf<StreamOf<T, M>>> {
  const { link } = target;
  const arrived: ItemOf<StreamOf<T, M>>[] = [];
  let end: "open" | "done" | { error: unknown } = "open";
  let wake = (): void => {};
  const settle = (how: typeof end): void => {
    end = how;
    wake();
  };
  let call = 0;
  const begun = new Promise<void>((resolve, reject) => {
    call = target.stream(method, args, {
      ...(room !== undefined && { room }),
      begun: resolve,
      item: (item) => {
        arrived.push(item);
        wake();
      },
      done: () => settle("done"),
      failed: (error) => {
        reject(error);
        settle({ error });
      },
    });
  });
  begun.catch(() => {}); // who reads meets the error, too
  async function* read() {
    try {
      while (true) {
        while (arrived.length > 0) {
          link.more(call);
          yield arrived.shift()!;
        }
        if (end !== "open") break;
        await new Promise<void>((woken) => (wake = woken));
      }
      if (end !== "done") throw end.error;
    } finally {
      link.leave(call);
    }
  }
  return { begun, items: read() };
}
