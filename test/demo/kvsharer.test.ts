// `npm run kvsharer`: what it accepts, and maps in files. No GPU, no browser. test/kv/kvsharer/ searches and shares.
import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import { parseQuality } from "../../demo/server/arguments/quality.mjs";
import { parseShare, withMaps } from "../../demo/server/arguments/sharing.mjs";
import { parseStart } from "../../demo/server/arguments/start.mjs";

test("a full command line is read", () => {
  const line = "--model a/b --share 3 --text a.txt b.txt --cosine 0.7 --out D.json --json";
  expect(parseShare(line.split(" "))).toEqual({
    model: "a/b",
    layers: 3,
    texts: ["a.txt", "b.txt"],
    cosine: 0.7,
    out: "D.json",
    json: true,
    software: undefined,
  });
  expect(parseShare(["--share", "1"])).toMatchObject({ model: "fable", texts: [], out: "kvsharer.json" });
  expect(() => parseShare([])).toThrow(/--share is missing/);
  expect(() => parseShare(["--share", "x"])).toThrow(/--share is "x", want a whole number/);
});

test("maps stand in recipes in place of their files", async () => {
  const folder = await mkdtemp(join(tmpdir(), "longprompt-"));
  const [good, bad] = [join(folder, "map.json"), join(folder, "bad.json")];
  await writeFile(good, JSON.stringify({ map: "5-2/7-2", layers: 8 }));
  await writeFile(bad, "{}");
  expect(withMaps(`int8+kvsharer:map=${good}; kivi+kvsharer:map=${good}`)).toBe(
    "int8+kvsharer:map=5-2/7-2; kivi+kvsharer:map=5-2/7-2",
  );
  expect(withMaps("kvsharer:map=5-2")).toBe("kvsharer:map=5-2");
  expect(parseStart(["--prompt", "a", "--kv", `kvsharer:map=${good}`])).toMatchObject({ load: { kv: "kvsharer:map=5-2/7-2" } }); // prettier-ignore
  expect(parseQuality(["--rows", `f16; kvsharer:map=${good}`])).toMatchObject({ options: { rows: "f16; kvsharer:map=5-2/7-2" } }); // prettier-ignore
  expect(() => withMaps("kvsharer:map=none.json")).toThrow(/kvsharer:map=none.json cannot be read: ENOENT/);
  expect(() => withMaps(`kvsharer:map=${bad}`)).toThrow(/is no map/);
  await rm(folder, { recursive: true });
});
