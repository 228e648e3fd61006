// npm run check: generated files, types, lint and format, side by side. Prettier takes longest, so it runs twice, on two halves.
import { spawn } from "node:child_process";

const PRETTIER = "prettier --check --log-level warn";

/** Exit status; prints what the command said. */
function run(command) {
  return new Promise((resolve) => {
    const running = spawn(command, { shell: true }); // npm run puts node_modules/.bin on the path
    let said = "";
    for (const stream of [running.stdout, running.stderr]) stream.on("data", (piece) => (said += piece));
    running.on("close", (code) => {
      if (code !== 0) process.stdout.write(`${command}\n${said}`);
      resolve(code);
    });
  });
}

const codes = await Promise.all(
  [
    "node shaders/generate.mjs --check",
    "tsc",
    "oxlint --deny-warnings",
    `${PRETTIER} test`,
    `${PRETTIER} . "!test"`,
  ].map(run),
);
process.exit(codes.every((code) => code === 0) ? 0 : 1);
