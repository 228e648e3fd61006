// MiniCache in float64: what pages of two neighbouring layers are once they are one.
import { attendOne, type HeadView, type Model } from "../../reference.ts";
import { between, mostDifferent, normOf } from "../../kernels/joint_page.ts";
import { type GreedyReply, greedyReply } from "../greedy.ts";

export interface JointRule {
  /** First layers of twins. */
  twins: readonly number[];
  /** Slots of a page that stay as they are. */
  exact: number;
  toward: number;
  recent: number;
  chunk: number;
}

type Rows = readonly Float64Array[];
type Both = readonly [Rows, Rows];

/** 32 rows of both layers as the joint page gives them back, and how clear it is which of them stay. */
export function joined(
  [first, second]: Both,
  { exact, toward }: Pick<JointRule, "exact" | "toward">,
): { rows: Both; margin: number } {
  const { slots, margin } = mostDifferent(first, second, exact);
  const restore = (rows: Rows) =>
    rows.map((row, slot) => {
      if (slots.includes(slot)) return row;
      const size = normOf(row);
      return between(first[slot]!, second[slot]!, toward).map((x) => x * size);
    });
  return { rows: [restore(first), restore(second)], margin };
}

/** Lists of twins after their first `sealed` slots have been joined. Pages do not change: each is joined once. */
class JointLists {
  readonly #rule: JointRule;
  readonly #known = new Map<string, Both>();
  margin = Infinity;

  constructor(rule: JointRule) {
    this.#rule = rule;
  }

  /** Rows of the one that `twin` says, of both: those of the other may end earlier. */
  read(list: string, both: Both, twin: 0 | 1, sealed: number): Float64Array[] {
    const older = Array.from({ length: sealed / 32 }, (_, i) => this.#page(list, i, both)[twin]);
    return [...older.flat(), ...both[twin].slice(sealed)];
  }

  #page(list: string, i: number, [first, second]: Both): Both {
    const key = `${list} ${i}`;
    const known = this.#known.get(key);
    if (known) return known;
    const page = (rows: Rows) => rows.slice(32 * i, 32 * i + 32);
    const { rows, margin } = joined([page(first), page(second)], this.#rule);
    this.#known.set(key, rows);
    this.margin = Math.min(this.margin, margin);
    return rows;
  }
}

/**
 * The reply of the reference where whole pages of tokens older than `recent` are read as joint ones. Those of the layer that has not
 * run yet are known from the step before.
 */
export function jointReply(
  model: Model,
  prompt: readonly number[],
  count: number,
  rule: JointRule,
): GreedyReply & { margin: number } {
  let sealed = 0;
  const seen = new Map<string, Pick<HeadView, "keys" | "values">>();
  const [keyLists, valueLists] = [new JointLists(rule), new JointLists(rule)];
  const attendHead = ({ query, keys, values, begin, owner, group, position }: HeadView) => {
    const before = seen.get(`${owner}.${group}`);
    if (!before || before.keys.length <= position) seen.set(`${owner}.${group}`, { keys, values });
    const twin = rule.twins.includes(owner) ? 0 : rule.twins.includes(owner - 1) ? 1 : null;
    if (twin === null || sealed === 0) return attendOne(query, keys.slice(begin), values.slice(begin));
    const other = seen.get(`${owner + 1 - 2 * twin}.${group}`)!;
    const list = `${owner - twin}.${group}`;
    const read = (lists: JointLists, own: Rows, others: Rows) =>
      lists.read(list, twin === 0 ? [own, others] : [others, own], twin, sealed).slice(begin);
    return attendOne(query, read(keyLists, keys, other.keys), read(valueLists, values, other.values));
  };
  const onStep = (known: number) => (sealed = Math.max(0, Math.floor((known - rule.recent) / 32) * 32));
  const reply = greedyReply(model, prompt, count, { attendHead, onStep, chunk: rule.chunk });
  return { ...reply, margin: Math.min(keyLists.margin, valueLists.margin) };
}
