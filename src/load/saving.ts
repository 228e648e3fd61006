// Sessions that outlive a page: what session.save and engine.open do. Beginnings of prompts that do: prefixes.ts.
import type {
  ConstraintSpec,
  MadeWith,
  ModelInfo,
  Prefixes,
  Prompt,
  SavedSession,
  SavedSessions,
  Session,
} from "../api.ts";
import type { EndedReply, LastReply, Speaker } from "../chat/session.ts";
import { bytesOf, restoreCache, saveCache, type SavedPart } from "../engine/saved.ts";
import type { Request } from "../engine/sequence.ts";
import { InputError } from "../errors.ts";
import { digestOf } from "../io/files/pieces.ts";
import { type SaveRecord, Saves } from "../io/saves.ts";
import { KeptPrefixes } from "./prefixes.ts";
import { type RunningModel, students } from "./running.ts";
import type { Recipe } from "../kv/recipe.ts";
import type { Settings } from "./settings.ts";

export { keptPrefixes } from "./prefixes.ts";

/** Of what is written; another one is refused. */
const FORMAT = "2";

interface SessionData {
  format: string;
  madeWith: MadeWith;
  prompt: Prompt;
  request: Pick<Request, "prompt" | "sampling" | "top"> & { endTokens: number[] };
  stop: readonly string[];
  constraint: ConstraintSpec | null;
  ended: EndedReply;
  parts: SavedPart[];
}

/** What tells an engine from others whose caches hold something else. */
async function madeWith({ identity, config, weights, settings, recipe }: Made): Promise<MadeWith> {
  const { name: model, hash } = identity;
  const { swiftkv } = config;
  const shape = swiftkv && `${swiftkv.layers},${swiftkv.group}`;
  return {
    model,
    hash,
    weights: settings.weights,
    swiftkv: shape && `${shape} ${await studentOf({ identity, config, weights })}`,
    kv: [recipe, ...trainedIn(settings, recipe)].join(" "),
  };
}

/** Which weights its systems have, where these come in files of their own. */
const trainedIn = ({ trained }: Settings, recipe: Recipe): string[] =>
  trained.filter(({ system }) => recipe.names.includes(system)).map(({ digest }) => digest.slice(0, 12));

/** Which student: by the hash of its tensors, or by where they come from. */
async function studentOf({
  identity,
  config,
  weights,
}: Pick<Made, "identity" | "config" | "weights">): Promise<string> {
  if (weights.undistilled) return "undistilled";
  if (!weights.fit) return identity.name;
  const { studentBytes } = await students.load();
  return digestOf(studentBytes(weights.fit, { config, ...identity }));
}

interface Made extends Pick<RunningModel, "config" | "weights" | "recipe"> {
  identity: Pick<ModelInfo, "name" | "hash">;
  settings: Settings;
}

/** Names both where they differ. Another name of the same model is no difference. */
function refuseOther(what: string, made: MadeWith & { format: string }, own: typeof made): void {
  const differ = (["hash", "weights", "swiftkv", "kv", "format"] as const).filter(
    (field) => made[field] !== own[field],
  );
  if (differ.length === 0) return;
  const say = (of: typeof made) => [of.model, ...differ.map((field) => `${field} ${of[field] ?? "none"}`)].join(", ");
  throw new InputError(
    `${what}: it was made with ${say(made)}; got ${say(own)}, want the same. Load that, or delete what was saved.`,
    { code: "other-engine" },
  );
}

export const savedFor = async (speaker: Speaker, loaded: Made): Promise<Saved> =>
  new Saved(speaker, await madeWith(loaded));

/** Of one engine. `made`: what tells it from others. */
export class Saved {
  readonly prefixes: Pick<Prefixes, "keep">;
  readonly #speaker: Speaker;
  readonly #made: MadeWith;
  readonly #saves = new Saves<SessionData>("session");

  constructor(speaker: Speaker, made: MadeWith) {
    this.#speaker = speaker;
    this.#made = made;
    this.prefixes = new KeptPrefixes(speaker, made);
  }

  async save(name: string, last: LastReply | null): Promise<SavedSession> {
    if (typeof name !== "string" || name === "") throw new InputError(`save: got "${name}", want a name.`);
    const ended = await last?.ended;
    if (!last || !ended)
      throw new InputError("save: got a session without a reply that has ended, want one. Generate first.");
    const { prompt, request, stop } = last.asked;
    if (request.pictures)
      throw new InputError("save: got a conversation with pictures, want one of text alone: pictures are not kept.");
    const { sampling, top = 0, endTokens } = request;
    const given = { prompt: [...request.prompt], sampling, top, endTokens: [...endTokens] };
    const { text, tokens, logprobs, finish } = ended;
    const constraint = last.constraint?.spec ?? null;
    const about = { format: FORMAT, madeWith: this.#made, prompt, request: given, stop, constraint };
    let record: SaveRecord<SessionData> | null = null;
    await saveCache(this.#speaker.engine, textOf(given, ended), last.run.rested, async (parts, bytes) => {
      const data = { ...about, ended: { text, tokens, logprobs, finish }, parts };
      record = await this.#saves.put(name, bytesOf(parts), data, bytes);
    });
    return describe({ ...record!, name });
  }

  async open(name: string): Promise<Session> {
    const { engine } = this.#speaker;
    const last = await this.#saves.read(name, async ({ data }, from): Promise<LastReply> => {
      const { format, madeWith, prompt, request, stop, ended, parts } = data;
      refuseOther(`session "${name}"`, { ...madeWith, format }, { ...this.#made, format: FORMAT });
      const tokens = textOf(request, ended);
      checkLength(name, tokens.length, engine.context);
      const rested = await restoreCache(engine, tokens, parts, from);
      const asked = { prompt, stop, request: revive(request) };
      const constraint = data.constraint && (await this.#constraint(data.constraint));
      return { asked, ended: Promise.resolve(ended), now: ended, run: { rested }, constraint };
    });
    if (last) return this.#speaker.open(last);
    throw new InputError(`open: got "${name}", want the name of a saved session. engine.sessions.list() has them.`);
  }

  async #constraint(spec: ConstraintSpec): Promise<LastReply["constraint"]> {
    const { savedConstraint } = await import("../grammar/constraint.ts");
    return savedConstraint(spec, this.#speaker.grammars);
  }
}

const textOf = ({ prompt }: Pick<Request, "prompt">, { tokens }: EndedReply): number[] => [...prompt, ...tokens];

const revive = ({ endTokens, ...rest }: SessionData["request"]): Request => ({
  ...rest,
  endTokens: new Set(endTokens),
  maxTokens: 1, // said anew where it goes on
  rests: true,
});

function checkLength(name: string, tokens: number, context: number): void {
  if (tokens <= context) return;
  throw new InputError(
    `open: session "${name}"; got ${tokens} tokens, want at most ${context} (the context). Load the model with a larger context.`,
    { code: "context-too-small" },
  );
}

function describe({ name, savedAt, bytes, data }: SaveRecord<SessionData> & { name: string }): SavedSession {
  const { madeWith, prompt, request, ended, parts } = data;
  const { text, tokens, finish } = ended;
  const cachedTokens = Math.max(0, ...parts.map((part) => part.tokens));
  return {
    name,
    savedAt,
    tokens: request.prompt.length + tokens.length,
    cachedTokens,
    bytes,
    madeWith,
    conversation: { prompt, reply: { text, tokens, finish } },
  };
}

/** Those of all engines. */
export const savedSessions: SavedSessions = {
  async list() {
    const all = await new Saves<SessionData>("session").list();
    return all.map(describe).toSorted((a, b) => b.savedAt - a.savedAt);
  },
  delete: (name) => new Saves("session").delete(name),
};
