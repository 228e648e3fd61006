// Do the engine and PyTorch say the same of a student? Asks the engine for cross-entropy, KL(ordinary ‖ student) and share of
// equal most likely tokens on the windows that tools/students/judge.py wrote, and prints both.
//   node test/native.mjs --entry test/recovery/agree.ts MODEL JUDGED.json WINDOWS STUDENT…
// MODEL: a .gguf or a checkpoint's folder. WINDOWS: of each kind, at most. STUDENT: a file that JUDGED.json has, by the same name.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { argv, exit } from "node:process";
import { assembleStudent } from "../../src/load/running.ts";
import { checkBase, readStudent } from "../../src/load/student.ts";
import { argmax, divergence, eachRow, normalise } from "./judge.ts";
import { openModel } from "./open.ts";

/** Means over the windows: CE, KL, share of equal most likely tokens. */
type Means = [ce: number, kl: number, same: number, ...rest: number[]];

interface Judged {
  windows: Record<string, number[][]>;
  /** By student, by kind, by window. */
  each: Record<string, Record<string, Means[]>>;
}

const [model = "", report = "", count = "1", ...paths] = argv.slice(2);
const judged = JSON.parse(readFileSync(report, "utf8")) as Judged;
const kinds = Object.entries(judged.windows).map(([kind, windows]) => ({
  kind,
  windows: windows.slice(0, Number(count)),
}));
const { gpu, config, settings, weights, dense, hash } = await openModel(model, 512);

const students = [];
for (const path of paths) {
  const stored = await readStudent(new File([readFileSync(path)], basename(path)), config, undefined);
  checkBase(stored, model, hash);
  const { fit, card } = stored;
  const own = gpu.fork();
  students.push({
    path,
    running: await assembleStudent(own, { ...config, swiftkv: card.swiftkv }, weights, settings, fit),
  });
}

for (const { kind, windows } of kinds)
  for (const [i, tokens] of windows.entries()) {
    const reference: Float32Array[] = [];
    await eachRow(gpu, dense, tokens, (_, logits) => reference.push(normalise(logits.slice())));
    for (const { path, running } of [{ path: "dense", running: dense }, ...students]) {
      const sums: Means = [0, 0, 0];
      await eachRow(gpu, running, tokens, (row, logits) => {
        if (row === tokens.length - 1) return;
        const own = normalise(logits.slice());
        sums[0] -= own[tokens[row + 1]!]!;
        sums[1] += divergence(reference[row]!, own);
        sums[2] += argmax(reference[row]!) === argmax(own) ? 1 : 0;
      });
      const means = sums.map((sum) => sum / (tokens.length - 1));
      const text = (values: readonly number[]) => values.map((value) => value.toFixed(4)).join(" / ");
      console.log(
        `${kind} ${i}  ${path}  engine ${text(means)}  PyTorch ${text(judged.each[path]![kind]![i]!.slice(0, 3))}`,
      );
    }
  }
exit(0);
