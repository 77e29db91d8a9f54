import { shareRendering } from "../../api/http/shared-rendering.ts";
import { describeSettings } from "../../config/described-settings.ts";
import type { ConfigResult } from "../../config/load.ts";
import { readConfig } from "../../config/load.ts";
import { secretTexts } from "../../config/reused-secrets.ts";
import { readText } from "../../config/text-file.ts";
import { VERSION } from "../../config/version.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { StoreUnavailable } from "../../core/store-unavailable.ts";
import { openSigningKeys } from "../../jwt/signing-keys.ts";
import { openPolicy } from "../../policy/active-policy.ts";
import type { AppOptions } from "../../server/app.ts";
import { startApp } from "../../server/app.ts";
import { closeAll, drain } from "../../server/drain.ts";
import { createShutdown } from "../../server/shutdown.ts";
import { FAULTS, redisRejects, secretUnclean } from "../../telemetry/fault-messages.ts";
import type { Log } from "../../telemetry/log.ts";
import { createLog } from "../../telemetry/log.ts";
import { createOutput } from "../../telemetry/output.ts";
import type { WorkerListeners } from "../../workers/channel.ts";
import { joinSupervisor } from "../../workers/worker.ts";
import type { Io } from "../io.ts";
import type { Signals } from "../signals.ts";
import { catchSignals, supervisorSignals } from "../signals.ts";
import type { HangUps } from "./hang-ups.ts";
import { catchHangUps } from "./hang-ups.ts";
import { serveByWorkers, WORKER_VARIABLE } from "./serve-workers.ts";

const STDOUT = 1;
/** A reader that no longer reads the output must not keep a process that has ended its work. */
const OUTPUT_CLOSE_MS = 1000;

export interface ServeOptions {
  /** Uses what is in DATA_DIR although the registry that was there before is lost. */
  readonly acceptEmptyRegistry?: true;
}

/** Runs an instance until a signal ends it. Resolves with the exit code. */
export async function serve(io: Io, options: ServeOptions = {}): Promise<number> {
  const hangUps = catchHangUps();
  try {
    return await serveWith(io, hangUps, options);
  } finally {
    hangUps.release();
  }
}

async function serveWith(io: Io, hangUps: HangUps, options: ServeOptions): Promise<number> {
  const config = readConfig(io.environment, readText);
  if (!config.ok) return startupError(io, "settings", config.problems);
  const { settings } = config;
  const policy = openPolicy(settings);
  if (!policy.ok) return startupError(io, "policy", policy.problems);
  const signing = await openSigningKeys(settings);
  if (!signing.ok) return startupError(io, "signing keys", signing.problems);
  const worker = Number(io.environment[WORKER_VARIABLE] || 0);
  const output = createOutput(STDOUT);
  const log = createLog({
    ...(worker > 0 && { base: { worker } }),
    level: settings.LOG_LEVEL,
    // Reading `process.stdout` opens it as a stream, which makes a pipe non-blocking.
    terminal: process.stdout.isTTY,
    secrets: secretTexts(settings),
    write: output.write,
  });
  if (worker === 0) warnOfChoices(config, policy.policy.current(), log);
  // Node writes its own warnings to stderr, whose reader may be gone.
  process.stderr.on("error", () => undefined);
  const files = { settings, policy: policy.policy, signingKeys: signing.keys };
  const describedSettings = describeSettings(io.environment, settings);
  const instance = { ...files, describedSettings, version: VERSION, log, output, hangUps, ...options };
  try {
    if (worker > 0) return await runWorker(instance, worker);
    return await (settings.WORKERS > 1
      ? serveByWorkers(settings, log, hangUps)
      : run(instance, catchSignals()));
  } finally {
    await output.close(OUTPUT_CLOSE_MS);
  }
}

/** Warns of settings that may be intended, but often are not. */
function warnOfChoices(
  { settings, unclean }: Pick<Extract<ConfigResult, { ok: true }>, "settings" | "unclean">,
  policy: Policy,
  log: Log,
): void {
  for (const name of unclean) log.warn({}, secretUnclean(name));
  if (settings.ENVIRONMENT === "production" && !policy.saysRequireHttps) log.warn({}, FAULTS.httpsNotChosen);
}

interface Instance extends Omit<AppOptions, "shutdown"> {
  readonly hangUps: HangUps;
}

/** Runs one of several worker processes. The supervisor has the ops listener, and stops the worker. */
async function runWorker(instance: Instance, index: number): Promise<number> {
  const supervisor = joinSupervisor(index);
  supervisor.onReload(instance.hangUps.reloadNow);
  const openOps: NonNullable<AppOptions["worker"]>["openOps"] = (metrics) => {
    const read = shareRendering(metrics.read);
    supervisor.answer("metrics", async () => (await read()).text);
    return {
      address: "the supervisor's",
      setReadiness: ({ states }) => supervisor.answer("readiness", () => JSON.stringify(states())),
    };
  };
  const worker = { ...instance, worker: { index, openOps } };
  const exitCode = await run(worker, supervisorSignals(supervisor.onEnd), supervisor.ready);
  supervisor.release();
  return exitCode;
}

async function run(
  instance: Instance,
  signals: Signals,
  onReady?: (listeners: WorkerListeners) => void,
): Promise<number> {
  const { log, output } = instance;
  const shutdown = createShutdown();
  const onCrash = (error: unknown) => {
    log.fatal({ err: error }, FAULTS.crash);
    output.flushNow();
  };
  process.on("uncaughtExceptionMonitor", onCrash);
  try {
    const app = await startApp({ ...instance, shutdown });
    reloadOnHangUp(instance);
    const readyAndSignal = app.ready.then((addresses) => {
      const message = onReady === undefined ? "ready" : "a worker is ready";
      log.info({ ...addresses, policy: instance.policy.current().hash, version: VERSION }, message);
      onReady?.(addresses);
      return signals.first;
    });
    const signal = await Promise.race([readyAndSignal, signals.first]);
    await drain(app, { signal, skip: signals.second }, instance);
    return (await closeAll(shutdown, log)) ? 0 : 1;
  } catch (error) {
    const setting = error instanceof StoreUnavailable ? error.rejectedSetting : undefined;
    if (setting === undefined) log.fatal({ err: error }, FAULTS.cannotStart);
    else log.fatal({}, redisRejects(setting));
    await closeAll(shutdown, log);
    return 1;
  } finally {
    signals.release();
    process.off("uncaughtExceptionMonitor", onCrash);
  }
}

function reloadOnHangUp({ hangUps, policy, signingKeys }: Instance): void {
  hangUps.onHangUp(() => {
    void policy.reload({ kind: "signal" });
    void signingKeys?.reload({ kind: "signal" });
  });
}

function startupError(io: Io, what: string, problems: readonly string[]): number {
  const heading = `latchkey does not start: ${problems.length === 1 ? "one thing is" : `${problems.length} things are`} wrong with the ${what}.`;
  io.printError([heading, ...problems.map((problem) => `  - ${problem}`)].join("\n"));
  return 1;
}
