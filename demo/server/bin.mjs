#!/usr/bin/env node
// The command `longprompt` of the published package: a command by name, else what `npm start` does.

/** What each command runs; it reads the arguments after its name. */
const COMMANDS = {
  bench: "./bench.mjs",
  quality: "./quality.mjs",
  serve: "./serve.mjs",
};

const [name] = process.argv.slice(2);
const isCommand = Object.hasOwn(COMMANDS, name ?? "");
if (isCommand) process.argv.splice(2, 1);
await import(isCommand ? COMMANDS[name] : "./start.mjs");
