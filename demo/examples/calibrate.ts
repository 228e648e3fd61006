import { convert, load } from "../../src/index.ts";

const [output, note] = ["reply", "note"].map((id) => document.getElementById(id)!);
const engine = await load("../models/fable/");
const text =
  "One day a little cat found a big box. She sat in it and slept. Then the dog came to play with her. ".repeat(60);
const student = await convert(
  engine,
  { layers: Math.ceil(engine.model.layers / 2), group: 1 },
  {
    calibrate: [text],
    onProgress: ({ phase, tokens, totalTokens }) => {
      note!.textContent = `${phase}: ${tokens} of ${totalTokens} tokens`;
    },
  },
);
const reply = student.session().generate({ text: "Once upon a time" }, { maxTokens: 40, temperature: 0 });
for await (const { text: piece } of reply) output!.append(piece);
note!.textContent = `Done: prompts run ${student.model.swiftkv?.layers} of ${student.model.layers} layers`;
