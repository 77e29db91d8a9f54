import { once } from "node:events";
import { createServer } from "node:net";
import { fileURLToPath } from "node:url";
import { z } from "zod";
import { readConfig } from "../src/config/load.ts";
import { readText } from "../src/config/text-file.ts";
import { envoyBinary } from "./envoy-binary.ts";
import type { EnvoyProcess } from "./envoy-process.ts";
import { readExample, setClusterTargets, setListenerPort, startEnvoyProcess } from "./envoy-process.ts";
import type { LatchkeyProcess } from "./latchkey-process.ts";
import { parseJson, startLatchkeyProcess } from "./latchkey-process.ts";
import { startUpstream } from "./upstream.ts";
import { welcome } from "./welcome.ts";

const ROOT = fileURLToPath(new URL("..", import.meta.url));
const ENVOY_PORT = Number(process.env["ENVOY_PORT"] || 10_000);
const UPSTREAM_PORT = Number(process.env["UPSTREAM_PORT"] || 8080);
const LISTENERS = ["GRPC_LISTEN", "HTTP_LISTEN", "OPERATOR_LISTEN", "OPS_LISTEN"] as const;

/** The end of the run: an exit code and, after a failure, a message. */
interface End {
  readonly code: number;
  readonly fault?: string;
}

const end = Promise.withResolvers<End>();
/** Stops the programs that have been started, in the order of their start. */
const stops: (() => Promise<unknown>)[] = [];

async function start(): Promise<void> {
  await rejectPortsInUse();
  const binary = await envoyBinary();
  const upstream = await startUpstream(await portOr(UPSTREAM_PORT));
  stops.push(upstream.stop);
  const latchkey = await startLatchkey();
  const envoy = await startEnvoy(binary, latchkey.grpc, upstream.port);
  const keyApi = `http://${dialable(latchkey.http)}`;
  const { api_key, expires_at } = await register(keyApi);
  const page = welcome({
    envoy: `http://127.0.0.1:${envoy.port}`,
    envoyAdmin: `http://127.0.0.1:${envoy.adminPort}`,
    keyApi,
    ops: `http://${dialable(latchkey.ops)}`,
    upstream: `http://127.0.0.1:${upstream.port}`,
    key: api_key,
    expiresAt: expires_at,
  });
  process.stdout.write(page);
}

async function startLatchkey(): Promise<LatchkeyProcess> {
  const latchkey = await startLatchkeyProcess({
    cwd: ROOT,
    // Envoy stops first, so no connection is left to drain. showLogLine selects the lines of the log.
    env: { ...process.env, DRAIN_SECONDS: "0", LOG_LEVEL: "info" },
    ownGroup: true,
    onLogLine: showLogLine,
    onStderrLine: (line) => process.stderr.write(`${line}\n`),
  }).catch((error: unknown) => {
    // Its output has been printed already.
    throw new Error("Latchkey did not start: see the lines above.", { cause: error });
  });
  endWith("Latchkey", latchkey);
  return latchkey;
}

async function startEnvoy(binary: string, authz: string, upstreamPort: number): Promise<EnvoyProcess> {
  const bootstrap = await readExample("sidecar");
  setListenerPort(bootstrap, await portOr(ENVOY_PORT));
  setClusterTargets(bootstrap, "latchkey", dialable(authz));
  setClusterTargets(bootstrap, "upstream", `127.0.0.1:${upstreamPort}`);
  const envoy = await startEnvoyProcess(binary, bootstrap, { ownGroup: true });
  endWith("Envoy", envoy);
  return envoy;
}

/** Ends the run when this program ends. */
function endWith(name: string, child: EnvoyProcess | LatchkeyProcess): void {
  stops.push(child.stop);
  child.exited.then((exitCode) => {
    const how = exitCode === null ? "by a signal" : `with exit code ${exitCode}`;
    end.resolve({ code: 1, fault: `${name} ended ${how}, so all programs are stopped.` });
  });
}

/** Throws before anything is started if a port is in use. Latchkey reports other problems of the settings itself. */
async function rejectPortsInUse(): Promise<void> {
  const config = readConfig(process.env, readText);
  if (!config.ok) return;
  for (const name of LISTENERS) {
    const listen = config.settings[name];
    if (listen?.kind !== "tcp" || !(await isInUse(listen.port, listen.host))) continue;
    const other = `${listen.host}:${listen.port + 1}`;
    throw new Error(
      `Port ${listen.port} is in use: set ${name} to another address, for example ${name}=${other} npm start.`,
    );
  }
}

async function portOr(port: number): Promise<number> {
  return (await isInUse(port, "127.0.0.1")) ? 0 : port;
}

async function isInUse(port: number, host: string): Promise<boolean> {
  const server = createServer();
  try {
    server.listen(port, host);
    await once(server, "listening");
    return false;
  } catch (error) {
    return error instanceof Error && "code" in error && error.code === "EADDRINUSE";
  } finally {
    server.close();
  }
}

/** Replaces a wildcard address by loopback. */
function dialable(address: string): string {
  return address.replace(/^0\.0\.0\.0:/, "127.0.0.1:").replace(/^\[::\]:/, "[::1]:");
}

const registered = z.object({ api_key: z.string(), expires_at: z.string() });

async function register(keyApi: string): Promise<z.infer<typeof registered>> {
  const response = await fetch(`${keyApi}/api/auth/v2/register`, {
    method: "POST",
    headers: { "content-type": "application/json" },
    body: JSON.stringify({ name: "first-light", key_type: "basic" }),
  });
  const text = await response.text();
  if (response.status === 201) return registered.parse(JSON.parse(text));
  throw new Error(`Latchkey registered no key (response ${response.status}): ${text}`);
}

const logLine = z.looseObject({ level: z.enum(["warn", "error", "fatal"]), msg: z.string() });

/** Prints warnings and errors of the log, and ignores its other lines. */
function showLogLine(line: string): void {
  const parsed = logLine.safeParse(parseJson(line));
  if (!parsed.success) return;
  const { level, msg, time: _time, ...rest } = parsed.data;
  const details = Object.entries(rest).map(([name, value]) => `${name}: ${formatValue(value)}`);
  process.stderr.write(`latchkey ${level}: ${[msg, ...details].join("; ")}\n`);
}

const errorInLog = z.object({ message: z.string() });

function formatValue(value: unknown): string {
  const error = errorInLog.safeParse(value);
  if (error.success) return error.data.message;
  return typeof value === "string" ? value : JSON.stringify(value);
}

for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) {
  process.on(signal, () => end.resolve({ code: 0 }));
}
// The reader of the output may close it, as in `npm start | head`.
for (const stream of [process.stdout, process.stderr]) stream.on("error", () => end.resolve({ code: 0 }));

start().catch((error: unknown) => {
  end.resolve({ code: 1, fault: error instanceof Error ? error.message : String(error) });
});
const { code, fault } = await end.promise;
if (fault !== undefined) process.stderr.write(`${fault}\n`);
for (const stop of stops.toReversed()) await stop();
// Also ends whatever is still in progress, such as a download.
process.exit(code);
