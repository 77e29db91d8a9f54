import { readFile } from "node:fs/promises";
import { startChild } from "../scripts/child.ts";

/** Clock ticks per second in /proc: 100 on every Linux machine that Node supports. */
const TICKS_PER_SECOND = 100;

/** Pins a process with all its threads to one core. */
export async function pin(pid: number, core: number): Promise<void> {
  const child = await startChild("taskset", ["-a", "-c", "-p", String(core), String(pid)], {
    env: process.env,
  });
  if ((await child.exited) !== 0) throw new Error(child.output());
}

/** The processor time of a process in microseconds. Other load on the machine does not count. */
export async function cpuUs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
