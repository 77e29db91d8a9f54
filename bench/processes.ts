import { readFile } from "node:fs/promises";
import { startChild } from "../scripts/child.ts";

/** Ticks of /proc in a second: Linux has had 100 on every machine that Node runs on. */
const TICKS_PER_SECOND = 100;

/** Puts a process, with all its threads, on one core. */
export async function pin(pid: number, core: number): Promise<void> {
  const child = await startChild("taskset", ["-a", "-c", "-p", String(core), String(pid)], {
    env: process.env,
  });
  if ((await child.exited) !== 0) throw new Error(child.output());
}

/** Microseconds of processor that a process has used: whatever else the machine does, it is not in them. */
export async function cpuUs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return ((Number(fields[11]) + Number(fields[12])) * 1e6) / TICKS_PER_SECOND;
}

export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
