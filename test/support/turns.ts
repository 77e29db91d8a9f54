import { writeFileSync } from "node:fs";
import { isMainThread } from "node:worker_threads";

// Loaded into a tested process before it (`node --import`): measures how much processor time its main thread spends in
// one turn of its event loop at most. That is how long a Check waits for others on a machine of its own; what another
// process takes of this one does not count. At SIGUSR2 it writes the longest turn since the last time, in
// milliseconds, into the file that TURNS_FILE names.

const usedUs = () => {
  const { user, system } = process.threadCpuUsage();
  return user + system;
};
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
    writeFileSync(process.env["TURNS_FILE"] ?? "", `${longestUs / 1000}\n`);
    longestUs = 0;
    before = usedUs();
  });
}
