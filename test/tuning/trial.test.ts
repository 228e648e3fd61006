// How a choice is measured, with kernels and a clock of the test's own.
import { expect, test } from "playwright/test";
import { UnsupportedError } from "../../src/errors.ts";
import { type Candidate, type Limits, runTrial, Trial } from "../../src/model/trial.ts";

/** Kernels that take so many milliseconds for a layer, or are refused, on a clock that only they move. */
function bench(kernels: Record<string, number | "refused">, submit = 1) {
  const time = { now: 0 };
  const runs: { name: string; times: number }[] = [];
  const left = new Set<string>();
  const candidate = ([name, ms]: [string, number | "refused"]): Candidate => ({
    name,
    compile: async () => {
      if (ms === "refused") throw new UnsupportedError("the adapter was told to refuse");
      left.add(name);
      return {
        run: async (times) => {
          runs.push({ name, times });
          time.now += submit + times * ms;
          return submit + times * ms;
        },
        dispose: () => void left.delete(name),
      };
    },
  });
  const trial = new Trial(Object.entries(kernels).map(candidate));
  const turns: number[] = [];
  const limits: Limits = {
    clock: () => time.now,
    time: { left: 3000 },
    turn: async (work) => {
      const started = time.now;
      await work();
      turns.push(time.now - started);
    },
  };
  return { trial, time, runs, left, turns, limits };
}

async function answered(kernels: Record<string, number | "refused">): Promise<string | null> {
  const { trial, limits } = bench(kernels);
  await trial.open();
  await runTrial(trial, limits);
  return trial.answer;
}

test("the default stays unless another one is faster by a twentieth", async () => {
  expect(await answered({ first: 1, second: 0.96, third: 1.2 })).toBe("first");
  expect(await answered({ first: 1, second: 0.96, third: 0.9 })).toBe("third");
  expect(await answered({ first: 4, second: 1 })).toBe("second");
});

test("what the adapter refuses drops out, the default too; where all are, nothing is chosen", async () => {
  const { trial, limits } = bench({ first: "refused", second: 1, third: 0.97, fourth: "refused" });
  expect(await trial.open()).toEqual(["first", "fourth"]);
  await runTrial(trial, limits);
  expect(trial.answer).toBe("second");
  expect(await answered({ first: "refused", second: 3 })).toBe("second");
  expect(await answered({ first: "refused", second: "refused" })).toBe(null);
});

test("an error that is no refusal ends it", async () => {
  const lost: Candidate = { name: "lost", compile: () => Promise.reject(new Error("the device was told to go")) };
  await expect(new Trial([lost, lost]).open()).rejects.toThrow(/told to go/);
});

test("candidates run in turns, equally often, and another one begins each round; what is hopeless runs once", async () => {
  const { trial, runs, limits, left } = bench({ a: 0.1, b: 0.11, c: 0.3 });
  await trial.open();
  await runTrial(trial, limits);
  const warm = runs.filter(({ times }) => times < runs.at(-1)!.times).length + 1; // it runs the default, longer and longer
  expect(runs.slice(0, warm).map(({ times }) => times)).toEqual([1, 4, 16, 64, 256]);
  expect(
    runs
      .slice(warm)
      .map(({ name }) => name)
      .join(""),
  ).toBe("abcbaabba");
  expect(new Set(runs.slice(warm).map(({ times }) => times)).size).toBe(1);
  expect([...left]).toEqual(["a", "b"]);
  trial.close();
  expect([...left]).toEqual([]);
});

test("a turn ends after 50 ms and the run under way; no time is spent beyond what there is", async () => {
  const { trial, turns, limits } = bench({ a: 30, b: 28, c: 45 });
  await trial.open();
  await runTrial(trial, limits);
  expect(Math.max(...turns)).toBeLessThanOrEqual(50 + 46);
  expect(trial.isOver).toBe(true);
  const slow = bench({ a: 700, b: 600, c: 900 });
  await slow.trial.open();
  await runTrial(slow.trial, slow.limits);
  expect(slow.time.now).toBeLessThanOrEqual(3000 + 901);
  expect(slow.trial.answer).toBe(null); // a single round: too little to say
  const slower = bench({ a: 450, b: 200, c: 700 });
  await slower.trial.open();
  await runTrial(slower.trial, slower.limits);
  expect(slower.trial.answer).toBe("b"); // c and a ran once, b as often as there was time
});

test("an abort ends it between two turns", async () => {
  const { trial, limits, turns } = bench({ a: 30, b: 28 });
  await trial.open();
  const controller = new AbortController();
  const turn: Limits["turn"] = async (work) => {
    await limits.turn(work);
    controller.abort();
  };
  await expect(runTrial(trial, { ...limits, turn, signal: controller.signal })).rejects.toThrow(/abort/i);
  expect(turns.length).toBe(1);
});
