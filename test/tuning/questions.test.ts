// What there is to choose, as dispatches of a model on a device that computes nothing.
import { expect, test } from "playwright/test";
import { globals } from "webgpu";
import { Gpu } from "../../src/gpu/device.ts";
import { paperDevice } from "../../src/gpu/paper.ts";
import { openCheckpoint } from "../../src/io/checkpoint.ts";
import { readShape } from "../../src/load/open.ts";
import { assembleStudent } from "../../src/load/running.ts";
import { checkOptions } from "../../src/load/settings.ts";
import { layoutOf } from "../../src/kv/systems/swiftkv/layout.ts";
import { nameWeights } from "../../src/model/names.ts";
import { questionsOf } from "../../src/model/questions.ts";
import { WeightLoader } from "../../src/model/weights/loader.ts";
import { TOY } from "../../tools/gpu/toy.ts";
import { type Device, DEVICES } from "../../tools/predict/devices.ts";
import { factsOf } from "../../tools/predict/facts.ts";
import { randomModel } from "../../tools/shapes/file.ts";

Object.assign(globalThis, globals);

const [CPU, HARDWARE] = [DEVICES.find(({ software }) => software)!, DEVICES.find(({ software }) => !software)!];

/** The questions of the toy with later layers that share one cache. */
async function asked(device: Device, kv: string) {
  const gpu = Gpu.paper(paperDevice(factsOf(device)));
  const checkpoint = await openCheckpoint([randomModel(TOY)]);
  const settings = await checkOptions({ context: 128, kv });
  const { config, student } = await readShape(checkpoint, { swiftkv: { layers: TOY.layers - 1, group: 1 } });
  const loader = new WeightLoader(gpu, checkpoint, settings.weights);
  const weights = nameWeights(loader, config, layoutOf(config.layers, config.swiftkv));
  const { transformer } = await assembleStudent(gpu, { ...config, swiftkv: student }, weights, settings, null);
  return questionsOf(transformer.context);
}

for (const device of [CPU, HARDWARE]) {
  test(`${device.name}: a student whose later layers share one cache can be measured`, async () => {
    const questions = await asked(device, "f16");
    expect(questions.length).toBeGreaterThan(0);
    for (const { candidates } of questions)
      for (const { layers } of candidates) expect(layers.flatMap((each) => each()).length).toBeGreaterThan(0);
  });
}

test("heads in two dispatches are measured together, at a student's boundary with the norms of queries and of keys", async () => {
  const questions = (await asked(HARDWARE, "int8")).filter(({ family }) => family === "qkvNarrow");
  const placed = questions.map(({ candidates }) => candidates.find(({ name }) => name.startsWith("placed"))!);
  const dispatches = placed.flatMap(({ layers }) => layers.map((each) => each()));
  expect(dispatches.map((each) => each.map(({ kernel }) => kernel.name))).toEqual([
    ["gemv_deep", "place_heads"],
    ["gemv_deep", "place_heads"],
  ]);
  const later = dispatches.map(([product]) => product!.constants["LATER_FROM"]);
  expect(later).toEqual([undefined, TOY.heads * TOY.headWidth]);
});
