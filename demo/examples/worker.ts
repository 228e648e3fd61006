import { load } from "../../src/index.ts";

const [first, second, note] = ["first", "second", "note"].map((id) => document.getElementById(id)!);
let turns = 0;
setInterval(() => turns++, 10);

const engine = await load("../models/fable/", { worker: true });
const write = async (prompt: string, output: HTMLElement): Promise<number> => {
  const reply = engine.session().generate({ text: prompt }, { maxTokens: 40, temperature: 0 });
  for await (const { text } of reply) output.append(text);
  return (await reply.result).stats.newTokens;
};
const tokens = await Promise.all([write("Once upon a time", first!), write("The little cat", second!)]);
const { name } = engine.stats().adapter;
engine.dispose(); // ends the worker
note!.textContent = `Done: ${tokens.join(" and ")} tokens on ${name}, ${turns} turns of this page`;
