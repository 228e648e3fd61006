// Sessions and replies of a worker, as the page sees them.
import type {
  Conversation,
  GenerateOptions,
  Generation,
  GenerationResult,
  Prompt,
  ResumeOptions,
  SavedSession,
  Session,
  Token,
} from "../api.ts";
import { Feed } from "../engine/feed.ts";
import { InputError } from "../errors.ts";
import type { ArgsOf, StreamMethod } from "./protocol.ts";
import type { Target } from "./target.ts";

/** For calls that can be left: the worker hears of it by their signal, also where the caller has none. */
export const signalled = <O extends { signal?: AbortSignal }>(options: O): O & { signal: AbortSignal } => ({
  ...options,
  signal: options.signal ?? new AbortController().signal,
});

export class ThreadSession implements Session {
  readonly #target: Target<Session>;
  #disposed = false;

  constructor(target: Target<Session>) {
    this.#target = target;
    target.link.hold(this, target.object);
  }

  generate(prompt: Prompt, options: GenerateOptions = {}): Generation {
    return new ThreadReply(this.#live, "generate", [prompt, signalled(options)]);
  }

  resume(options: ResumeOptions = {}): Generation {
    return new ThreadReply(this.#live, "resume", [signalled(options)]);
  }

  async conversation(): Promise<Conversation | null> {
    return this.#target.call("conversation");
  }

  fork(): Session {
    const { target, made } = this.#live.make("fork");
    made.catch(() => {}); // its replies fail alike
    return new ThreadSession(target);
  }

  async save(name: string): Promise<SavedSession> {
    return this.#live.call("save", name);
  }

  get #live(): Target<Session> {
    if (!this.#disposed) return this.#target;
    throw new InputError("session: it was disposed; got a call, want none. Open another with engine.session().", {
      code: "disposed",
    });
  }

  dispose(): void {
    if (this.#disposed) return;
    this.#disposed = true;
    this.#target.call("dispose").catch(() => {}); // where the worker is gone, so are its replies
  }
}

type ReplyMethod = StreamMethod<Session>;

/** Tokens come by themselves: who reads late gets them all. As many are under way as the page takes up in time. */
class ThreadReply implements Generation {
  readonly result: Promise<GenerationResult>;
  readonly #tokens = new Feed<Token>();
  readonly #leave: () => void;

  /** `method`: of the session, with what it takes. */
  constructor(
    target: Target<Session>,
    method: ReplyMethod,
    args: { [M in ReplyMethod]: ArgsOf<Session, M> }[ReplyMethod],
  ) {
    let call = 0;
    this.result = new Promise((resolve, reject) => {
      call = target.stream(method, args as never, {
        item: (token) => {
          this.#tokens.push(token);
          target.link.more(call);
        },
        done: (result) => {
          this.#tokens.end();
          resolve(result);
        },
        failed: (error) => {
          this.#tokens.end(error);
          reject(error);
        },
      });
    });
    this.result.catch(() => {}); // a failure also reaches those who iterate
    this.#leave = () => target.link.leave(call);
  }

  async *[Symbol.asyncIterator](): AsyncIterator<Token> {
    try {
      yield* this.#tokens;
    } finally {
      this.#leave();
    }
  }
}
