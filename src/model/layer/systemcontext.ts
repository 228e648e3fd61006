// What dispatches of a recipe's systems are given.
import { recordsOf } from "../../kv/lists.ts";
import type { SystemContext } from "../../kv/system.ts";
import type { ModelContext, Span } from "../context.ts";

/** What a system's dispatches for these rows work on. */
export const contextOf = ({ systemContext, cache }: ModelContext, span: Span): SystemContext => ({
  ...systemContext,
  records: recordsOf(cache.lists, span),
});
