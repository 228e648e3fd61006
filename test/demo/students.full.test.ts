// The commands that make students and measure them, with Fable: made whole, killed and resumed, compared.
import { spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { mkdtemp, readdir, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "playwright/test";
import type { QualityRow } from "../../demo/quality/result.ts";
import { command, type Outcome, SERVER } from "./command.ts";
import { STORY } from "./visit.ts";

const quality = (...args: string[]): Promise<Outcome> => command("quality.mjs", args);

test.describe.configure({ mode: "parallel" });

let folder: string;
test.beforeEach(async () => void (folder = await mkdtemp(join(tmpdir(), "longprompt-"))));
test.afterEach(() => rm(folder, { recursive: true }));

test("a training that is killed goes on from its checkpoint and ends as one that was not", async () => {
  const place = (name: string) => join(folder, name);
  await writeFile(place("text.txt"), STORY.repeat(150));
  const common = ["--layers", "4", "--text", place("text.txt"), "--window", "32", "--checkpoint-every", "1", "--json"];
  const args = (out: string) => [...common, "--folded", "--steps", "4", "--warmup", "1", "--out", place(out)];
  const resumed = (out: string) => [...common, "--out", place(out), "--resume"];
  const refused = await command("distil.mjs", resumed("killed"));
  expect(refused.err).toMatch(/--resume: got no checkpoint.safetensors in/);

  const whole = await command("distil.mjs", args("whole"));
  expect(whole.code, whole.err).toBe(0);
  const card = JSON.parse(whole.out) as { losses: number[]; distillation: { steps: number } };
  expect(card).toMatchObject({ losses: { length: 4 }, distillation: { steps: 4, window: 32 } });

  const killed = spawn(process.execPath, [join(SERVER, "distil.mjs"), ...args("killed")], { stdio: "ignore" });
  while (!existsSync(place("killed/checkpoint.safetensors"))) await new Promise((done) => setTimeout(done, 50));
  killed.kill("SIGKILL");
  const rest = await command("distil.mjs", resumed("killed"));
  expect(rest.code, rest.err).toBe(0);
  for (const file of ["student.safetensors", "checkpoint.safetensors"])
    expect(await readFile(place(`killed/${file}`)), file).toEqual(await readFile(place(`whole/${file}`)));
  expect((await readdir(place("whole"))).toSorted()).toEqual([
    "checkpoint.safetensors",
    "student.json",
    "student.safetensors",
  ]);
});

test("--full: a checkpoint of its own, calibrated on a text and a chat of the model's, answers without its base", async () => {
  const text = join(folder, "text.txt");
  const out = join(folder, "full");
  await writeFile(text, STORY.repeat(120));
  const data = ["--text", text, "--tokens", "800", "--chats", "1"];
  const made = await command("convert.mjs", ["--layers", "4", ...data, "--full", "--out", out]);
  expect(made.code, made.err).toBe(0);
  expect(made.out).toContain(`npm start -- --model ${out}`);
  expect((await readdir(out)).toSorted()).toEqual(
    "chat_template.jinja config.json generation_config.json model.safetensors student.json tokenizer.json tokenizer_config.json".split(
      " ",
    ),
  );
  const card = JSON.parse(await readFile(join(out, "student.json"), "utf8")) as { calibration: { tokens: number } };
  expect(card.calibration.tokens).toBeGreaterThan(805); // the text, and a chat
  const answer = await command("start.mjs", [
    "--model",
    out,
    "--prompt",
    STORY,
    "--max-tokens",
    "3",
    "--context",
    "256",
  ]);
  expect(answer.code, answer.err).toBe(0);
  expect(answer.err).toContain("SwiftKV: 4 of 8 layers read");
});

test("only what is asked for is measured; conversations and converted students too", async () => {
  const turns = [
    { role: "user", content: "Tell me a story about a cat." },
    { role: "assistant", content: "Once upon a time, there was a little cat. She liked to play with a ball." },
  ];
  const chat = join(folder, "chat.jsonl");
  await writeFile(chat, `${JSON.stringify({ messages: turns })}\n`);
  const { code, out, err } = await quality("--chat", chat, "--rows", "swiftkv=4,2+int8", "--measures", "ce", "--json");
  expect(code, err).toBe(0);
  const row = JSON.parse(out) as QualityRow;
  expect(Object.keys(row)).toEqual("row tokens ce kl top1 bytesPerToken prefillMs decodeMs".split(" "));
  expect(row.tokens).toBeGreaterThan(10);
  expect(row.kl).toBeGreaterThan(0.01); // not distilled
  expect(row.bytesPerToken).toBeLessThan(1152);
});

test("students: one calibrated on the spot is much nearer than a converted one; one from a file, by its folder", async () => {
  const docs = join(import.meta.dirname, "../../docs");
  const fable = "demo/models/students/fable-k4";
  const rows = `swiftkv=4; calibrated=4; student = ${fable} + int8`;
  const sizes = "--calibrate-tokens 2000 --windows 2 --prompt 64 --continuation 24 --measures ce --json".split(" ");
  const texts = ["--text", join(docs, "architecture.md"), "--calibrate", join(docs, "log.md"), join(docs, "kv.md")];
  const { code, out, err } = await quality("--rows", rows, ...texts, ...sizes);
  expect(code, err).toBe(0);
  const [folded, calibrated, trained] = out
    .trimEnd()
    .split("\n")
    .map((line) => JSON.parse(line) as QualityRow);
  expect(calibrated).toMatchObject({ row: "calibrated=4", tokens: 48, bytesPerToken: 2048 });
  expect(calibrated!.kl).toBeLessThan(0.4 * folded!.kl!);
  expect(calibrated!.kl).toBeGreaterThan(1e-4); // not the ordinary model
  expect(trained).toMatchObject({ row: `student=${fable}+int8`, bytesPerToken: 1152 });
  expect(trained!.kl).toBeLessThan(folded!.kl!);
});

test("--swiftkv K,G and --kv change what runs, and the figures say so", async () => {
  const line = ["--prompt", STORY, "--json", "--max-tokens", "3", "--context", "256"];
  const { code, out, err } = await command("start.mjs", [...line, "--swiftkv", "4,2", "--kv", "int8"]);
  expect(code, err).toBe(0);
  // 6 caches of 2 heads: 32 bytes of K, 32 of V, and 8 for their scales and minima.
  const stats = { swiftkv: { layers: 4, group: 2 }, kvBytesPerToken: 6 * 2 * 72 };
  expect(JSON.parse(out)).toMatchObject({ stats });
  expect(err).toMatch(/ · SwiftKV: 4 of 8 layers read, 2 share a cache, untrained\]\n$/);
});
