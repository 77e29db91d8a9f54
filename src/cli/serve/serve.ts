import { shareRendering } from "../../api/http/shared-rendering.ts";
import type { ConfigResult } from "../../config/load.ts";
import { readConfig } from "../../config/load.ts";
import { secretTexts } from "../../config/settings.ts";
import { readText } from "../../config/text-file.ts";
import { VERSION } from "../../config/version.ts";
import type { Policy } from "../../core/policy/policy.ts";
import { openSigningKeys } from "../../jwt/signing-keys.ts";
import { openPolicy } from "../../policy/active-policy.ts";
import { RedisUnavailable } from "../../redis/redis-error.ts";
import type { AppOptions } from "../../server/app.ts";
import { startApp } from "../../server/app.ts";
import { createClosing } from "../../server/shutdown.ts";
import {
  FAULTS,
  leftBehind,
  notClosed,
  redisRefuses,
  secretUnclean,
} from "../../telemetry/fault-messages.ts";
import type { Log } from "../../telemetry/log.ts";
import { createLog } from "../../telemetry/log.ts";
import { createOutput } from "../../telemetry/output.ts";
import type { WorkerListeners } from "../../workers/channel.ts";
import { joinSupervisor } from "../../workers/worker.ts";
import type { Io } from "../io.ts";
import type { Signals } from "../signals.ts";
import { catchSignals, supervisorSignals, waitSeconds } from "../signals.ts";
import type { HangUps } from "./hang-ups.ts";
import { catchHangUps } from "./hang-ups.ts";
import { serveByWorkers, WORKER_VARIABLE } from "./serve-workers.ts";

export interface ServeOptions {
  /** Goes on with what is in DATA_DIR, though the registry that was there before is lost. */
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
  const policy = openPolicy(config.settings);
  if (!policy.ok) return startupError(io, "policy", policy.problems);
  const signing = await openSigningKeys(config.settings);
  if (!signing.ok) return startupError(io, "signing keys", signing.problems);
  const worker = Number(io.environment[WORKER_VARIABLE] || 0);
  const output = createOutput(STDOUT);
  const log = createLog({
    ...(worker > 0 && { base: { worker } }),
    level: config.settings.LOG_LEVEL,
    // That Node has it as a stream also keeps a pipe from holding up whoever writes to it.
    terminal: process.stdout.isTTY,
    secrets: secretTexts(config.settings),
    write: output.write,
  });
  if (worker === 0) warnOfChoices(config, policy.policy.current(), log);
  // Node's own warnings go there: its reader may have gone.
  process.stderr.on("error", () => undefined);
  const parts = { settings: config.settings, policy: policy.policy, signingKeys: signing.keys };
  const given = { ...parts, log, output, hangUps, ...options };
  try {
    if (worker > 0) return await runWorker(given, worker);
    return await (config.settings.WORKERS > 1
      ? serveByWorkers(config.settings, log, hangUps)
      : run(given, catchSignals()));
  } finally {
    await output.close(LAST_LINES_WITHIN_MS);
  }
}

const STDOUT = 1;
/** A reader of the output that stands still does not keep a process that has ended its work. */
const LAST_LINES_WITHIN_MS = 1000;

/** What can be as it is meant, and often is not. */
function warnOfChoices(
  { settings, unclean }: Pick<Extract<ConfigResult, { ok: true }>, "settings" | "unclean">,
  policy: Policy,
  log: Log,
): void {
  for (const name of unclean) log.warn({}, secretUnclean(name));
  if (settings.ENVIRONMENT === "production" && !policy.saysRequireHttps) log.warn({}, FAULTS.httpsNotChosen);
}

interface Given extends Omit<AppOptions, "version" | "closing"> {
  readonly hangUps: HangUps;
}

/** One of several processes: its supervisor has the ops door, and tells it when to end. */
async function runWorker(given: Given, index: number): Promise<number> {
  const side = joinSupervisor(index);
  side.onReload(given.hangUps.ask);
  const ops: NonNullable<AppOptions["worker"]>["ops"] = (metrics) => {
    const read = shareRendering(metrics.read);
    side.answer("metrics", async () => (await read()).text);
    return {
      address: "the supervisor's",
      setReadiness: (parts) => side.answer("readiness", () => JSON.stringify(parts())),
    };
  };
  const exitCode = await run({ ...given, worker: { index, ops } }, supervisorSignals(side.onEnd), side.ready);
  side.release();
  return exitCode;
}

async function run(
  given: Given,
  signals: Signals,
  ready?: (doors: WorkerListeners) => void,
): Promise<number> {
  const { settings, policy, signingKeys, log, output, hangUps } = given;
  const closing = createClosing();
  const onCrash = (error: unknown) => {
    log.fatal({ err: error }, FAULTS.crash);
    output.flushNow();
  };
  process.on("uncaughtExceptionMonitor", onCrash);
  try {
    const app = await startApp({ ...given, version: VERSION, closing });
    hangUps.onHangUp(() => {
      void policy.reload();
      void signingKeys?.reload();
    });
    const readyAndEnded = app.ready.then((addresses) => {
      const what = ready === undefined ? "ready" : "a worker is ready";
      log.info({ ...addresses, policy: policy.current().hash, version: VERSION }, what);
      ready?.(addresses);
      return signals.first;
    });
    const signal = await Promise.race([readyAndEnded, signals.first]);
    log.info({ signal, seconds: settings.DRAIN_SECONDS }, "draining");
    app.drain();
    await Promise.race([waitSeconds(settings.DRAIN_SECONDS), signals.second.then(app.skipDrain)]);
    return await close();
  } catch (error) {
    const setting = error instanceof RedisUnavailable ? error.rejectedSetting : undefined;
    if (setting === undefined) log.fatal({ err: error }, FAULTS.cannotStart);
    else log.fatal({}, redisRefuses(setting));
    await close();
    return 1;
  } finally {
    signals.release();
    process.off("uncaughtExceptionMonitor", onCrash);
  }

  async function close(): Promise<number> {
    let exitCode = 0;
    for (const { name, error } of await closing.run()) {
      // A store that is away is no reason to call a stop a failure: nothing of it is left to do here.
      if (error instanceof RedisUnavailable) log.warn({ err: error.message }, leftBehind(name));
      else {
        log.error({ err: error }, notClosed(name));
        exitCode = 1;
      }
    }
    log.info({}, "stopped");
    return exitCode;
  }
}

function startupError(io: Io, what: string, problems: readonly string[]): number {
  const heading = `latchkey does not start: ${problems.length === 1 ? "one thing is" : `${problems.length} things are`} wrong with the ${what}.`;
  io.printError([heading, ...problems.map((problem) => `  - ${problem}`)].join("\n"));
  return 1;
}
