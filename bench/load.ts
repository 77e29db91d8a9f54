import { mkdtemp, readFile, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startChild } from "../scripts/child.ts";
import { debianTool } from "../scripts/debian.ts";
import { findOnPath } from "../scripts/tools.ts";
import { CHECK_PATH } from "../src/ext-authz/method.ts";

/** The core of the load generator. The measured server has the other one. */
export const LOAD_CORE = 1;
export const SERVER_CORE = 0;

/** The results of a load, as far as the tool reports them. */
export interface Load {
  readonly requestsPerSecond: number;
  readonly medianUs?: number;
  readonly p99Us?: number;
  readonly p999Us?: number;
  /** Unexpected responses. */
  readonly failed: number;
}

interface Tool {
  readonly path: string;
  readonly env: Readonly<Record<string, string>>;
}

const H2LOAD = [
  "nghttp2-client",
  "libev4",
  "libjansson4",
  "libnghttp2-14",
  "libjemalloc2",
  "libxml2",
  "libicu72",
];
const WRK = ["wrk", "libluajit-5.1-2", "libluajit-5.1-common"];

const h2load = () => tool("h2load", H2LOAD);
const wrk = () => tool("wrk", WRK);

async function tool(name: string, packages: readonly string[]): Promise<Tool> {
  const onPath = await findOnPath(name);
  if (onPath !== undefined) return { path: onPath, env: {} };
  const program = `usr/bin/${name}`;
  const root = await debianTool({ name, packages, program });
  const triplet = process.arch === "arm64" ? "aarch64-linux-gnu" : "x86_64-linux-gnu";
  return { path: join(root, program), env: { LD_LIBRARY_PATH: join(root, "usr/lib", triplet) } };
}

async function run({ path, env }: Tool, args: readonly string[]): Promise<string> {
  const pinned = ["-c", String(LOAD_CORE), path, ...args];
  const child = await startChild("taskset", pinned, { env: { ...process.env, ...env } });
  if ((await child.exited) !== 0) throw new Error(`${path} ${args.join(" ")}:\n${child.output()}`);
  return child.output();
}

/** Makes this many calls with one message over one HTTP/2 connection, 100 at a time. */
export async function loadCalls(
  grpc: string,
  message: Buffer,
  requests: number,
  path = CHECK_PATH,
): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-bench-"));
  try {
    const body = join(folder, "check");
    await writeFile(body, message);
    const headers = ["-H", "content-type: application/grpc", "-H", "te: trailers"];
    const options = ["-c", "1", "-m", "100", "-n", String(requests), "-d", body, ...headers];
    const output = await run(await h2load(), [...options, `http://${grpc}${path}`]);
    return { requestsPerSecond: numberIn(output, /([\d.]+) req\/s/), failed: failedOf(output, requests) };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

function failedOf(output: string, requests: number): number {
  return requests - numberIn(output, /(\d+) 2xx/);
}

/** Sends requests through Envoy for this time. Each connection sends the next request after the previous response. */
export async function loadEnvoy(
  url: string,
  token: string,
  { connections, seconds }: { readonly connections: number; readonly seconds: number },
): Promise<Load> {
  const options = ["-t", "1", "-c", String(connections), "-d", `${seconds}s`, "--latency"];
  const output = await run(await wrk(), [...options, "-H", `authorization: Bearer ${token}`, url]);
  return {
    requestsPerSecond: numberIn(output, /Requests\/sec:\s+([\d.]+)/),
    medianUs: microseconds(output, "50%"),
    p99Us: microseconds(output, "99%"),
    failed: output.includes("Non-2xx") ? numberIn(output, /Non-2xx or 3xx responses: (\d+)/) : 0,
  };
}

/** Sends requests through Envoy at a fixed rate over 32 connections, and measures the time of each. */
export async function pacedEnvoy(
  url: string,
  token: string,
  perSecond: number,
  seconds: number,
): Promise<Load> {
  const folder = await mkdtemp(join(tmpdir(), "latchkey-bench-"));
  try {
    const log = join(folder, "requests");
    const connections = 32;
    const pace = Math.max(1, Math.round(perSecond / connections));
    const options = [
      "--h1",
      "-c",
      String(connections),
      "--rps",
      String(pace),
      "-n",
      String(pace * connections * seconds),
    ];
    const output = await run(await h2load(), [
      ...options,
      "--log-file",
      log,
      "-H",
      `authorization: Bearer ${token}`,
      url,
    ]);
    const lines = (await readFile(log, "utf8")).trim().split("\n");
    const tookUs = lines.map((line) => Number(line.split("\t")[2])).sort((a, b) => a - b);
    const quantile = (share: number) => tookUs[Math.floor(tookUs.length * share)] ?? Number.NaN;
    return {
      requestsPerSecond: numberIn(output, /([\d.]+) req\/s/),
      medianUs: quantile(0.5),
      p99Us: quantile(0.99),
      p999Us: quantile(0.999),
      failed: failedOf(output, pace * connections * seconds),
    };
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

/** Parses a time of wrk: `43.00us`, `1.20ms` or `2.00s`. */
function microseconds(output: string, share: string): number {
  const [, amount, unit] = new RegExp(`${share}\\s+([\\d.]+)(us|ms|s)`).exec(output) ?? [];
  return Number(amount) * ({ us: 1, ms: 1000, s: 1e6 }[unit ?? ""] ?? Number.NaN);
}

function numberIn(output: string, pattern: RegExp): number {
  const found = pattern.exec(output)?.[1];
  if (found === undefined) throw new Error(`no ${pattern} in:\n${output}`);
  return Number(found);
}
