import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

// Preloaded into a tested process (`node --import`). Measures the maximum processor time that its main thread
// spends in one turn of its event loop. That is how long a Check waits for others on a machine of its own; the
// time of other processes does not count. Other processes still slow down the processor's caches, so it
// measures a yardstick as well. At SIGUSR2 it writes the longest turn since the last time, in yardsticks, into
// the file TURNS_FILE.

const usedUs = () => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};
/** Some 10 ms on a machine of its own. */
function yardstickUs(): number {
  const records = Array.from({ length: 10_000 }, (_, at) => ({ id: `key-${at}`, owner: `o${at}`, at }));
  const took = Array.from({ length: 5 }, () => {
    const start = usedUs();
    JSON.parse(JSON.stringify(records));
    return usedUs() - start;
  });
  return took.sort((one, other) => one - other)[2] ?? 0;
}

let longestUs = 0;
let before = usedUs();

function turn(): void {
  const now = usedUs();
  longestUs = Math.max(longestUs, now - before);
  before = now;
  setImmediate(turn).unref();
}

if (isMainThread) {
  turn();
  process.on("SIGUSR2", () => {
    writeFileSync(process.env["TURNS_FILE"] ?? "", `${longestUs / yardstickUs()}\n`);
    longestUs = 0;
    before = usedUs();
  });
}
