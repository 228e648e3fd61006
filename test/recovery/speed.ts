// What a student saves: a prompt and a reply by it and by the ordinary model in turn, in CPU time of the adapter's threads (an
// adapter that runs on the CPU) and in wall time.
//   node test/native.mjs --entry test/recovery/speed.ts MODEL STUDENT TOKENS REPLY PAIRS
// MODEL: a .gguf or a checkpoint's folder. STUDENT: a file for it.
import { readFileSync } from "node:fs";
import { argv, exit } from "node:process";
import { TokenEngine } from "../../src/engine/engine.ts";
import { assembleStudent, makeReady } from "../../src/load/running.ts";
import { checkBase, readStudent } from "../../src/load/student.ts";
import { GREEDY } from "../../src/model/model.ts";
import { openModel } from "./open.ts";
import { type Cost, median, timed } from "./time.ts";

const [model, file, tokens, reply, pairs] = argv.slice(2) as [string, string, ...string[]];
const length = Number(tokens);
const { gpu, config, settings, weights, dense, hash } = await openModel(model, length + Number(reply));
const stored = await readStudent(new File([readFileSync(file)], "student.safetensors"), config, undefined);
checkBase(stored, model, hash);
const shape = { ...config, swiftkv: stored.card.swiftkv };
const student = await assembleStudent(gpu.fork(), shape, weights, settings, stored.fit);
await makeReady(student, settings, { report: () => {}, signal: undefined });

const prompt = Array.from({ length }, (_, i) => (7 * i + 3) % config.vocabulary);

/** A reply of `count` tokens: what it costs until the first one, and from there. */
async function run(engine: TokenEngine, count: number, prompt: readonly number[]): Promise<[Cost, Cost]> {
  const endTokens = new Set<number>();
  const request = { prompt, maxTokens: count, endTokens, sampling: GREEDY, reuse: false };
  const tokens = engine.generate(request)[Symbol.asyncIterator]();
  const first = await timed(() => tokens.next());
  const rest = await timed(async () => {
    while (!(await tokens.next()).done) continue;
  });
  return [first, rest];
}

const engines = [new TokenEngine(dense.transformer), new TokenEngine(student.transformer)] as const;
for (const engine of engines) await run(engine, 2, prompt.slice(0, 64));
const costs: Record<"prompt" | "reply", [Cost, Cost][]> = { prompt: [], reply: [] };
for (let i = 0; i < Number(pairs); i++) {
  const [ownPrompt, ownReply] = await run(engines[0], Number(reply), prompt);
  const [otherPrompt, otherReply] = await run(engines[1], Number(reply), prompt);
  costs.prompt.push([ownPrompt, otherPrompt]);
  costs.reply.push([ownReply, otherReply]);
  for (const [name, all] of Object.entries(costs)) {
    const text = all
      .at(-1)!
      .map(({ cpu, wall }) => `${Math.round(cpu)} (${Math.round(wall)})`)
      .join(" and ");
    console.log(`${name}: ${text} ms of CPU (wall), ordinary and student`);
  }
}
for (const [name, all] of Object.entries(costs))
  for (const what of ["cpu", "wall"] as const)
    console.log(`${name}, ${what}: ${median(all.map(([own, other]) => own[what] / other[what])).toFixed(2)} ×`);
exit(0);
