// Which cache systems go together. Decided once, from what each does to the cache; a recipe is checked against it before
// anything is allocated.

/** proven: published or measured here; clean: no known conflict; unproven: works under a condition. */
type Verdict = "proven" | "clean" | "unproven" | "refused";

/** What is wrong with, or must be known of, two systems together; none where nothing must be said. */
interface Pair {
  verdict: Verdict;
  reason: string;
}

const clean: Pair = { verdict: "clean", reason: "" };
const proven: Pair = { verdict: "proven", reason: "" };
const unproven = (reason: string): Pair => ({ verdict: "unproven", reason });
const refused = (reason: string): Pair => ({ verdict: "refused", reason });

const DROPS = "the one keeps every token, the other drops most of them";
const LOW_RANK = "it keeps no rows of keys that could be changed, only their factors";
const RETRAIN = "its weights must be trained on the model in this form";
const NO_QUERIES = "its heads read queries, which tokens of a prompt do not have in the later layers";
const COMMON = "both layers of a pair must keep the same tokens";
const WRITTEN = "tokens that are chosen stay as they were written; pages after them become one for two layers";
const BUDGETS = "both decide how many tokens a layer keeps";
const BOTH_CHOOSE = "both choose which tokens of a prompt stay";
const ORDER = "tokens are chosen first, then stored in fewer bits";

const PAIRS: Readonly<Record<string, Readonly<Record<string, Pair>>>> = {
  swiftkv: {
    shadowkv: clean,
    kivi: clean,
    pyramid: unproven("the last tokens of a prompt run the later layers too, to say what they look at"),
    kvzip: unproven("what repeats a prompt runs the later layers too, to say what they look at"),
    think: unproven("the last tokens of a prompt run the later layers too, to say which channels matter"),
    minicache: unproven(
      "later layers that share a cache are no twins, and those that do not may resemble each other less",
    ),
    kvsharer: unproven("the search must be made anew, and not inside a group"),
    kvmerger: unproven("the last tokens of a prompt run the later layers too, to choose whom others are merged into"),
    less: refused(RETRAIN),
    locret: refused(NO_QUERIES),
    vlcache: unproven("the tokens after the images run the later layers too; no such model is known"),
  },
  shadowkv: {
    kivi: unproven("only values and what is kept exactly are stored in fewer bits"),
    pyramid: refused(DROPS),
    kvzip: refused(DROPS),
    think: refused(LOW_RANK),
    minicache: refused(LOW_RANK),
    kvsharer: clean,
    kvmerger: refused("merging breaks the chunks that it selects by"),
    less: refused(DROPS),
    locret: refused(DROPS),
    vlcache: refused(DROPS),
  },
  kivi: {
    pyramid: unproven(ORDER),
    kvzip: unproven(ORDER),
    think: proven,
    minicache: refused("its codes are made from one layer's page; int4+minicache keeps directions in 4 bits"),
    kvsharer: clean,
    kvmerger: unproven(ORDER),
    less: unproven(ORDER),
    locret: unproven("tokens that are chosen stay as they were written; pages after them are stored in fewer bits"),
    vlcache: unproven(ORDER),
  },
  pyramid: {
    think: proven,
    minicache: unproven(WRITTEN),
    kvsharer: clean,
    kvmerger: refused("merging is another answer to the same question: what becomes of the rest of a prompt"),
    less: refused(BOTH_CHOOSE),
    locret: refused("both score tokens"),
    vlcache: refused(BUDGETS),
  },
  kvzip: {
    pyramid: refused(BOTH_CHOOSE),
    think: refused("channels are chosen for the question at a prompt's end, tokens for every question"),
    minicache: unproven(WRITTEN),
    kvsharer: clean,
    kvmerger: refused("merging is another answer to the same question: what becomes of the rest of a prompt"),
    less: refused(BOTH_CHOOSE),
    locret: refused("both score tokens"),
    vlcache: refused(BUDGETS),
  },
  think: {
    minicache: refused("it chooses channels for each layer, where two share their keys"),
    kvsharer: clean,
    kvmerger: refused("its channels are those of tokens, and what is left of a prompt has other keys"),
    less: unproven("tokens are absorbed before keys lose channels"),
    locret: refused("channels are chosen at a prompt's end, when most of its tokens have gone"),
    vlcache: clean,
  },
  minicache: {
    kvsharer: unproven("layers that share a cache are no twins: the same cannot be merged and shared"),
    kvmerger: unproven("each layer merges its own prompt; pages after that become one for two layers"),
    less: unproven(WRITTEN),
    locret: unproven(WRITTEN),
    vlcache: unproven(COMMON),
  },
  kvsharer: {
    kvmerger: clean,
    less: unproven(RETRAIN),
    locret: unproven("the heads of the layer that owns the cache decide"),
    vlcache: clean,
  },
  kvmerger: {
    less: refused("nothing is dropped that could be absorbed"),
    locret: refused("what is merged is not dropped"),
    vlcache: refused(BUDGETS),
  },
  less: { locret: refused(BOTH_CHOOSE), vlcache: refused(BUDGETS) },
  locret: { vlcache: refused(BUDGETS) },
};

/** Aliases: names that count as the same system. */
const SAME: Readonly<Record<string, string>> = { snapkv: "pyramid", shadow: "shadowkv" };

/** What is known of two systems together. */
export interface Finding {
  verdict: Verdict;
  text: string;
}

/** The pairs among `names` that have a warning or a refusal. Unlisted names are compatible with all. */
export function checkPairs(names: readonly string[]): Finding[] {
  return names.flatMap((a, i) =>
    names.slice(i + 1).flatMap((b) => {
      const [first, second] = [SAME[a] ?? a, SAME[b] ?? b];
      if (first === second) return [{ verdict: "refused" as const, text: `${a} and ${b} are the same system.` }];
      const pair = PAIRS[first]?.[second] ?? PAIRS[second]?.[first];
      if (!pair || pair.reason === "") return [];
      const joined = pair.verdict === "refused" ? "cannot go together" : "together";
      return [{ verdict: pair.verdict, text: `${a} and ${b} ${joined}: ${pair.reason}.` }];
    }),
  );
}
