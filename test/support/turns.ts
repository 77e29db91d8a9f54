import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

// Loaded into a tested process before it (`node --import`): measures how much processor time its main thread spends in
// one turn of its event loop at most. That is how long a Check waits for others on a machine of its own; what another
// process takes of this one does not count. Other processes slow down the processor's caches all the same, so a yardstick
// is measured as well. At SIGUSR2 it writes how many yardsticks the longest turn took since the last time into the file that
// TURNS_FILE names.

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
