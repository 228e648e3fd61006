// The students that come with the page: what the page says of them, against the files and what stands beside them.

import { readFile, readdir } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { expect, test } from "playwright/test";
import { shippedStudents } from "../../demo/shared/students.ts";

const folder = fileURLToPath(new URL("../../demo/models/students/", import.meta.url));

/** The card in the file's header. */
async function cardOf(name: string): Promise<unknown> {
  const file = await readFile(`${folder}${name}/student.safetensors`);
  const header = file.subarray(8, 8 + Number(file.readBigUInt64LE(0))).toString();
  const { __metadata__ } = JSON.parse(header) as { __metadata__: { longprompt: string } };
  return JSON.parse(__metadata__.longprompt);
}

/** KL in the last column of the table of figures: "CE / KL / top-1". */
async function measuredKl(name: string): Promise<number[]> {
  const text = await readFile(`${folder}${name}/README.md`, "utf8");
  return [...text.matchAll(/\| [\d.]+ \/ ([\d.]+) \/ [\d.]+ \|$/gm)].map(([, kl]) => Number(kl));
}

test("every student is offered for the model that its file names, with the figures beside it", async () => {
  expect(shippedStudents.map((each) => each.folder).toSorted()).toEqual((await readdir(folder)).toSorted());
  for (const { folder: name, base, swiftkv, kl } of shippedStudents) {
    expect(await cardOf(name), name).toMatchObject({ base, swiftkv });
    const measured = await measuredKl(name);
    expect(kl, name).toEqual([Math.min(...measured), Math.max(...measured)]);
  }
});
