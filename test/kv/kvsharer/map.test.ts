// KVSharer without a GPU: which layers are far apart, how maps are read, and what a layout makes of them.
import { expect, test } from "playwright/test";
import { parseRecipe } from "../../../src/kv/parse.ts";
import { ordinaryLayout } from "../../../src/kv/layout.ts";
import { readMap, sharedLayout, type ShareMap, writeMap } from "../../../src/kv/systems/kvsharer/map.ts";
import { layoutOf } from "../../../src/kv/systems/swiftkv/layout.ts";
import { byDistance, cosineOf, withPair } from "../../../src/load/shares.ts";
import { uniforms } from "../../kernels/vectors.ts";

test("the golden search of part J of ../shared/vectors/kv_checks.py", () => {
  const numbers = uniforms(11);
  const draw = () => Float32Array.from({ length: 5 * 4 }, () => numbers.next().value as number);
  const layers = Array.from({ length: 6 }, () => ({ keys: draw(), values: draw() }));
  const pairs = byDistance([layers.map(({ keys }) => keys)], [layers.map(({ values }) => values)], 4);
  expect(pairs.length).toBe(15);
  expect(pairs.slice(0, 2)).toMatchObject([{ reader: 5, owner: 4 }, { reader: 4, owner: 0 }]); // prettier-ignore
  const none: ShareMap = [0, 1, 2, 3, 4, 5];
  const map = pairs.slice(0, 2).reduce((all, { reader, owner }) => withPair(all, reader, owner), none);
  expect(map).toEqual([0, 1, 2, 3, 0, 0]);
  expect(map.map((owner) => map[owner])).toEqual(map);
});

test("averages are taken before distances; rows are compared by direction", () => {
  const far = (sign: number) => [Float32Array.of(0, 0), Float32Array.of(3 * sign, 4 * sign)];
  expect(byDistance([far(1)], [far(1)], 2)[0]!.distance).toBe(5);
  expect(byDistance([far(1), far(-1)], [far(1), far(-1)], 2)[0]!.distance).toBe(0);
  expect(cosineOf(Float32Array.of(1, 0, 0, 2), Float32Array.of(5, 0, 0, -1), 2)).toBe(0);
});

test("maps as texts", () => {
  const map = [0, 1, 2, 3, 0, 2];
  expect(writeMap(map)).toBe("4-0/5-2");
  expect(readMap("5-2/4-0", 6)).toEqual(map);
  expect(writeMap(readMap("none", 6))).toBe("none");
  const wrong = (text: string, own?: number) => () => readMap(text, 6, own);
  expect(wrong("6-1")).toThrow(/^kv: kvsharer:map; got 6-1, want layers below 6\. /);
  expect(wrong("4-1", 4)).toThrow(/got 4-1, want layers below 4, where SwiftKV's begin/);
  expect(wrong("1-1")).toThrow(/got 1-1, want an earlier layer's keys and values/);
  expect(wrong("4-1/4-2")).toThrow(/got 4-2, want layer 4 once/);
  expect(wrong("4-1/5-4")).toThrow(/got 5-4, want a layer that has keys and values of its own: 4 reads those of 1/);
  expect(() => parseRecipe("kvsharer")).toThrow(/^kv: kvsharer; got no map, want map=layers and whose/);
  expect(() => parseRecipe("kvsharer:map=5_2")).toThrow(/^kv: kvsharer:map; got 5_2, want layers and whose keys/);
  expect(String(parseRecipe("kivi:bits=4+kvsharer:map=5-2"))).toBe(
    "kivi:kbits=4,vbits=4,recent=64,rotate=0+kvsharer:map=5-2",
  );
});

test("layers that share fill no store, and later stores move up", () => {
  expect(sharedLayout(ordinaryLayout(6), readMap("4-0/3-2", 6))).toEqual({
    stores: 4,
    reads: [0, 1, 2, 2, 0, 3],
    fills: [0, 1, 2, 3, 3, 3].map((first, layer) => ({ first, count: [1, 1, 1, 0, 0, 1][layer] })),
    owners: [0, 1, 2, 5],
    boundary: 6,
  });
  const base = ordinaryLayout(5);
  expect(sharedLayout(base, readMap("none", 5))).toEqual(base);
  const student = layoutOf(8, { layers: 4, group: 2 });
  expect(sharedLayout(student, readMap("3-1", 8, 4))).toMatchObject({
    stores: 5,
    reads: [0, 1, 2, 1, 3, 3, 4, 4],
    owners: [0, 1, 2, 4, 6],
    boundary: 4,
  });
  expect(sharedLayout(student, readMap("3-1", 8, 4)).fills[4]).toEqual({ first: 3, count: 2 });
});

test("shared layers cost nothing", () => {
  const model = { hiddenSize: 64, layers: 8, heads: 4, kvHeads: 2, headWidth: 32, windows: Array<number>(8).fill(0), context: 4096, swiftkv: null }; // prettier-ignore
  const bytes = (kv: string) => parseRecipe(kv).price(model, 512).kvBytesPerToken;
  expect(bytes("kvsharer:map=5-2/7-2") / bytes("f16")).toBe(6 / 8);
  expect(bytes("kvsharer:map=none")).toBe(bytes("f16"));
});

test("what other systems keep is counted by the lists that are left", () => {
  const model = { hiddenSize: 64, layers: 4, heads: 2, kvHeads: 2, headWidth: 32, windows: [0, 0, 0, 0], context: 1024, swiftkv: null }; // prettier-ignore
  const bounds = { context: 1024, rows: 64, sequences: 1 };
  for (const system of ["snapkv:budget=64", "pyramid:budget=96", "kvmerger:budget=64", "shadow:budget=64"]) {
    const { retaining, layout } = parseRecipe(`kvsharer:map=1-0/3-2+${system}`).resolve(model, bounds);
    expect([layout.stores, retaining!.most.length], system).toEqual([2, 2]);
    expect(retaining!.retain(1000)!.tokens.length, system).toBe(2 * 2);
  }
});
