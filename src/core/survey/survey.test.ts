import { setTimeout as delay } from "node:timers/promises";
import { expect, test } from "vitest";
import type { Pace } from "./survey.ts";
import { createSurveys } from "./survey.ts";

/** A run whose portions the test releases. */
function controlled() {
  const gates: PromiseWithResolvers<void>[] = [];
  let runs = 0;
  let reading = 0;
  let most = 0;
  const begin = () => {
    const number = ++runs;
    let portions = 0;
    return {
      soFar: () => ({ number, portions }),
      async read(pace: Pace) {
        most = Math.max(most, ++reading);
        const gate = Promise.withResolvers<void>();
        gates.push(gate);
        try {
          portions = 1;
          await pace();
          await gate.promise;
          await pace();
          portions = 2;
        } finally {
          reading--;
        }
      },
    };
  };
  return { begin, gates, runs: () => runs, most: () => most };
}

const times = { maxAgeMs: 1000, waitMs: 30 };

function start() {
  let nowMs = 0;
  const pauses: number[] = [];
  const surveys = createSurveys({
    nowMs: () => 5000 + nowMs,
    monotonicMs: () => 7000 + nowMs,
    async delayMs(ms) {
      pauses.push(ms);
      nowMs += ms;
      await delay(0);
    },
  });
  return {
    surveys,
    pauses,
    advance: (ms: number) => {
      nowMs += ms;
    },
  };
}

test("a call gets what was read so far, and later the whole result until it is too old", async () => {
  const { surveys, advance } = start();
  const { begin, gates, runs } = controlled();
  const survey = surveys.add(begin, times);
  expect(await survey.read()).toMatchObject({ isComplete: false, result: { portions: 1 }, startedMs: 5000 });
  gates[0]?.resolve();
  expect(await survey.read()).toMatchObject({ isComplete: true, result: { number: 1, portions: 2 } });
  advance(999);
  expect(await survey.read()).toMatchObject({ isComplete: true, result: { number: 1 } });
  expect(runs()).toBe(1);
  advance(1);
  // The older whole result is better than a part of the next one.
  expect(await survey.read()).toMatchObject({ isComplete: true, result: { number: 1 } });
  gates[1]?.resolve();
  await expect.poll(async () => (await survey.read()).result.number).toBe(2);
});

test("any number of calls and surveys causes one read at a time", async () => {
  const { surveys } = start();
  const { begin, gates, runs, most } = controlled();
  const [one, other] = [surveys.add(begin, times), surveys.add(begin, times)];
  await Promise.all([one.read(), one.read(), other.read(), other.read()]);
  expect(runs()).toBe(2);
  gates[0]?.resolve();
  await expect.poll(() => gates.length).toBe(2);
  gates[1]?.resolve();
  expect(await other.read()).toMatchObject({ isComplete: true });
  expect(most()).toBe(1);
});

test("a failed run rejects the calls that wait for it, and the next call starts another one", async () => {
  const { surveys } = start();
  let fails = true;
  const survey = surveys.add(
    () => ({
      soFar: () => "all",
      async read() {
        if (fails) throw new Error("the store does not respond");
      },
    }),
    times,
  );
  await expect(survey.read()).rejects.toThrow("the store does not respond");
  fails = false;
  expect(await survey.read()).toMatchObject({ isComplete: true, result: "all" });
});

test("a run pauses for as long as each portion took", async () => {
  const { surveys, pauses, advance } = start();
  const survey = surveys.add(
    () => ({
      soFar: () => undefined,
      async read(pace) {
        for (const ms of [7, 9, 5000]) {
          advance(ms);
          await pace();
        }
      },
    }),
    times,
  );
  await survey.read();
  await expect.poll(() => pauses).toEqual([7, 9, 1000]);
});

test("a failed run does not stop the next one of another survey, nor is it an unhandled rejection", async () => {
  const { surveys } = start();
  const gate = Promise.withResolvers<void>();
  const failing = surveys.add(() => ({ soFar: () => "part", read: () => gate.promise }), times);
  const other = surveys.add(() => ({ soFar: () => "all", read: async () => undefined }), times);
  expect(await failing.read()).toMatchObject({ isComplete: false, result: "part" });
  gate.reject(new Error("the store does not respond"));
  await expect.poll(() => other.read()).toMatchObject({ isComplete: true, result: "all" });
});

test("a run that waits for another one does not start after a stop", async () => {
  const { surveys } = start();
  const { begin, gates } = controlled();
  let reads = 0;
  const first = surveys.add(begin, times);
  const second = surveys.add(() => ({ soFar: () => reads, read: async () => void reads++ }), times);
  await Promise.all([first.read(), second.read()]);
  const stopped = surveys.stop();
  gates[0]?.resolve();
  await stopped;
  expect(reads).toBe(0);
});

test("a stop ends the present run, and none starts after it", async () => {
  const { surveys } = start();
  const { begin, gates } = controlled();
  const survey = surveys.add(begin, times);
  await survey.read();
  const stopped = surveys.stop();
  gates[0]?.resolve();
  await stopped;
  await expect(survey.read()).rejects.toThrow("the instance stops");
  expect(gates).toHaveLength(1);
});
