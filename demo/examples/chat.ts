import { load } from "../../src/index.ts";

const engine = await load("../models/fable/");
const reply = engine.session().generate({ text: "Once upon a time" }, { maxTokens: 40, temperature: 0 });
for await (const { text } of reply) document.getElementById("reply")!.append(text);
document.getElementById("note")!.textContent = `Done: ${(await reply.result).finish}`;
