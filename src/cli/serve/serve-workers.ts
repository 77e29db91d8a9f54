import { formatListen, listenOfWorker } from "../../config/parsers.ts";
import type { Settings } from "../../config/settings.ts";
import { VERSION } from "../../config/version.ts";
import { isReady, openOps, STARTING } from "../../server/ops-listener.ts";
import type { Shutdown } from "../../server/shutdown.ts";
import { createClosing } from "../../server/shutdown.ts";
import { FAULTS, notClosed, workerEnded } from "../../telemetry/fault-messages.ts";
import type { Log } from "../../telemetry/log.ts";
import { METRICS_TYPE, mergeMetrics } from "../../telemetry/metrics/merged-metrics.ts";
import type { WorkerListeners } from "../../workers/channel.ts";
import { workerParts } from "../../workers/channel.ts";
import type { Supervisor } from "../../workers/supervisor.ts";
import { startSupervisor } from "../../workers/supervisor.ts";
import { catchSignals, waitSeconds } from "../signals.ts";
import type { HangUps } from "./hang-ups.ts";

/** In a worker's environment: its number, from 1. */
export const WORKER_VARIABLE = "LATCHKEY_WORKER";
/** Beyond DRAIN_SECONDS a worker has so long to close what it has opened. */
const END_GRACE_SECONDS = 20;

/** Runs several processes that share the work, until a signal ends them. Resolves with the exit code. */
export async function serveByWorkers(settings: Settings, log: Log, hangUps: HangUps): Promise<number> {
  const closing = createClosing();
  const signals = catchSignals();
  const supervisor = superviseWith(settings, log);
  hangUps.onHangUp(supervisor.reload);
  let well = false;
  try {
    const ops = await openGatheredOps({ settings, log, closing }, supervisor);
    const doors = await Promise.race([supervisor.started, signals.first.then(() => [])]);
    if (doors.length > 0)
      log.info({ ...addressesOf(doors), ops, workers: doors.length, version: VERSION }, "ready");
    const signal = await signals.first;
    log.info({ signal, seconds: settings.DRAIN_SECONDS }, "draining");
    well = await endAll(supervisor, signals.second, settings);
  } catch (error) {
    log.fatal({ err: error }, FAULTS.cannotStart);
    await endAll(supervisor, Promise.resolve(), settings);
  }
  const failed = await closing.run();
  for (const { name, error } of failed) log.error({ err: error }, notClosed(name));
  signals.release();
  log.info({}, "stopped");
  return well && failed.length === 0 ? 0 : 1;
}

function superviseWith({ WORKERS, GRPC_LISTEN }: Settings, log: Log): Supervisor {
  return startSupervisor({
    count: WORKERS,
    program: process.argv[1] ?? "",
    environment: (index, before) => ({
      [WORKER_VARIABLE]: String(index),
      // Who takes the place of another one has to be found where that one was.
      GRPC_LISTEN: before?.grpc ?? formatListen(listenOfWorker(GRPC_LISTEN, index)),
    }),
    ended: (worker, how, restartMs) => log.error({ worker, how, restartMs }, workerEnded(worker)),
    restarted: (worker) => log.info({ worker }, "another worker has taken its place"),
  });
}

/** Workers drain all at once. One that hangs is not waited for without end. */
async function endAll(supervisor: Supervisor, atOnce: Promise<void>, settings: Settings): Promise<boolean> {
  supervisor.end();
  void atOnce.then(supervisor.end);
  void waitSeconds(settings.DRAIN_SECONDS + END_GRACE_SECONDS).then(supervisor.kill);
  return supervisor.stopped;
}

/** One ops door for all: each worker's metrics under its number, and what each can do. */
async function openGatheredOps(
  options: { readonly settings: Settings; readonly log: Log; readonly closing: Shutdown },
  supervisor: Supervisor,
): Promise<string> {
  let started = false;
  supervisor.started.then(
    () => {
      started = true;
    },
    () => undefined, // Whoever awaits the start hears of it.
  );
  return openOps(options, {
    async metrics() {
      const texts = await supervisor.ask("metrics");
      const there = texts.flatMap((text, at) => (text === undefined ? [] : [[at + 1, text] as const]));
      return { text: mergeMetrics(new Map(there)), contentType: METRICS_TYPE };
    },
    async readiness() {
      const told = (await supervisor.ask("readiness")).map((text) => workerParts(text) ?? STARTING);
      const parts = told.flatMap((of, at) =>
        Object.entries(of).map(([name, state]) => [`worker_${at + 1}.${name}`, state] as const),
      );
      // The others go on while one is started anew; at first all have to be there.
      return { ready: started && told.some(isReady), parts: Object.fromEntries(parts) };
    },
  });
}

function addressesOf(doors: readonly WorkerListeners[]) {
  const [{ http = "", operator = "" } = {}] = doors;
  return { grpc: doors.map(({ grpc }) => grpc).join(","), http, operator };
}
