import { readFile } from "node:fs/promises";
import { startChild } from "../scripts/child.ts";

/** Clock ticks per second in /proc: 100 on every Linux machine that Node supports. */
const TICKS_PER_SECOND = 100;

/** Pins a process with all its threads to one core. */
export async function pin(pid: number, core: number): Promise<void> {
  await allowCores(pid, String(core));
}

/** Runs this with some processes pinned to one core, and then lets them run where they could run before. */
export async function onCore<Result>(
  core: number,
  pids: readonly number[],
  run: () => Promise<Result>,
): Promise<Result> {
  const before = await Promise.all(pids.map(allowedCores));
  try {
    for (const pid of pids) await pin(pid, core);
    return await run();
  } finally {
    for (const [at, pid] of pids.entries()) await allowCores(pid, before[at] ?? "");
  }
}

/** @param cores a list such as `0-1,3` */
async function allowCores(pid: number, cores: string): Promise<void> {
  const child = await startChild("taskset", ["-a", "-c", "-p", cores, String(pid)], { env: process.env });
  if ((await child.exited) !== 0) throw new Error(child.output());
}

async function allowedCores(pid: number): Promise<string> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return /Cpus_allowed_list:\s+(\S+)/.exec(status)?.[1] ?? "";
}

/** The processor time of a process in microseconds. Other load on the machine does not count. */
export async function cpuUs(pid: number): Promise<number> {
  const [user = 0, system = 0] = await cpuTicks(pid);
  return inMicroseconds(user + system);
}

/** The processor time of a process and its present children in microseconds. */
export async function cpuUsWithChildren(pid: number): Promise<number> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8");
  const pids = [pid, ...children.split(" ").filter(Boolean).map(Number)];
  const each = await Promise.all(pids.map(cpuUs));
  return each.reduce((sum, us) => sum + us, 0);
}

/** The processor time of all ended children of this process in microseconds. */
export async function cpuUsOfEndedChildren(): Promise<number> {
  const [, , user = 0, system = 0] = await cpuTicks(process.pid);
  return inMicroseconds(user + system);
}

/** User and system time: of the process, then of its ended children (proc_pid_stat(5)). */
async function cpuTicks(pid: number): Promise<readonly number[]> {
  const stat = await readFile(`/proc/${pid}/stat`, "utf8");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return fields.slice(11, 15).map(Number);
}

function inMicroseconds(ticks: number): number {
  return (ticks * 1e6) / TICKS_PER_SECOND;
}

export async function residentMb(pid: number): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, "utf8");
  return Number(/VmRSS:\s+(\d+) kB/.exec(status)?.[1]) / 1024;
}
