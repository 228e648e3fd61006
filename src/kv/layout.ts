// Which store a layer reads and which stores it fills. A store holds the keys and values of one producer, for every KV
// head; the pages of one store and head that a sequence sees are a list.

/** Consecutive stores. */
export interface StoreRange {
  first: number;
  count: number;
}

export interface Layout {
  stores: number;
  /** [L] the store that a layer's attention reads. */
  reads: readonly number[];
  /** [L] the stores that a layer's projection of keys and values fills; count 0: it makes queries only. */
  fills: readonly StoreRange[];
  /** [stores] the layer whose weights make the store's keys and values. */
  owners: readonly number[];
  /**
   * The first layer that prompt tokens need not run: its projection fills every store from there on, and only rows that
   * continue (their logits, or their queries, are wanted) go further. L where every row runs every layer.
   */
  boundary: number;
}

const range = (count: number): number[] => Array.from({ length: count }, (_, i) => i);

/** Every layer fills and reads a store of its own. */
export const ordinaryLayout = (layers: number): Layout => ({
  stores: layers,
  reads: range(layers),
  fills: range(layers).map((first) => ({ first, count: 1 })),
  owners: range(layers),
  boundary: layers,
});

/** Column of a store's first list among the lists of a sequence; its KV heads follow each other. */
export const columnOf = (store: number, kvHeads: number): number => store * kvHeads;
