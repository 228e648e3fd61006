// What the files of one load share in storage.

import { expect, test } from "playwright/test";
import { keyOf, Shelf } from "../../src/io/files/shelf.ts";
import { memoryPlatform } from "./server.ts";

test("several pieces refused at once have one error, with what was there before any was deleted", async () => {
  const shelf = new Shelf({ ...memoryPlatform(), locks: undefined });
  const pieces = (await shelf.open(keyOf("https://example.org/model.gguf")))!;
  const version = { size: 3e6, tag: "1", sha256: null };
  const record = { model: "m", source: "m", file: "model.gguf", since: 0, version, checked: false };
  await shelf.record(pieces, record);
  await pieces.put(0, new Uint8Array(2 ** 20));
  const first = shelf.overflow();
  await pieces.forget(); // as the first error does, at any moment
  const errors = [await first, await shelf.overflow()];
  for (const { message } of errors) expect(message).toContain("got 1.0 MB of it there");
  for (const { message } of errors) expect(message).toContain("want 3.0 MB");
});
