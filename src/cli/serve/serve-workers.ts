import { formatListen, listenOfWorker } from "../../config/parsers.ts";
import type { Settings } from "../../config/settings.ts";
import { VERSION } from "../../config/version.ts";
import { closeAll } from "../../server/drain.ts";
import { openOps } from "../../server/ops-listener.ts";
import { isReady, STARTING } from "../../server/readiness.ts";
import { createShutdown } from "../../server/shutdown.ts";
import { FAULTS, workerEnded } from "../../telemetry/fault-messages.ts";
import type { Log } from "../../telemetry/log.ts";
import { METRICS_TYPE, mergeMetrics } from "../../telemetry/metrics/merged-metrics.ts";
import type { WorkerListeners } from "../../workers/channel.ts";
import { parseStates } from "../../workers/channel.ts";
import type { Supervisor } from "../../workers/supervisor.ts";
import { startSupervisor } from "../../workers/supervisor.ts";
import { catchSignals, waitSeconds } from "../signals.ts";
import type { HangUps } from "./hang-ups.ts";

/** In a worker's environment: its number, from 1. */
export const WORKER_VARIABLE = "LATCHKEY_WORKER";
/** After DRAIN_SECONDS, a worker has this time to close what it has opened. */
const CLOSE_GRACE_SECONDS = 20;

/** Runs several processes that share the work, until a signal ends them. Resolves with the exit code. */
export async function serveByWorkers(settings: Settings, log: Log, hangUps: HangUps): Promise<number> {
  const shutdown = createShutdown();
  const signals = catchSignals();
  const supervisor = superviseWith(settings, log);
  hangUps.onHangUp(supervisor.reload);
  let endedWell = false;
  try {
    const ops = await openOps({ settings, log, shutdown }, opsOf(supervisor));
    const listeners = await Promise.race([supervisor.started, signals.first.then(() => [])]);
    if (listeners.length > 0)
      log.info({ ...addressesOf(listeners), ops, workers: listeners.length, version: VERSION }, "ready");
    const signal = await signals.first;
    log.info({ signal, seconds: settings.DRAIN_SECONDS }, "draining");
    endedWell = await endAll(supervisor, signals.second, settings);
  } catch (error) {
    log.fatal({ err: error }, FAULTS.cannotStart);
    await endAll(supervisor, Promise.resolve(), settings);
  }
  const closedWell = await closeAll(shutdown, log);
  signals.release();
  return endedWell && closedWell ? 0 : 1;
}

function superviseWith({ WORKERS, GRPC_LISTEN }: Settings, log: Log): Supervisor {
  return startSupervisor({
    count: WORKERS,
    program: process.argv[1] ?? "",
    environment: (index, former) => ({
      [WORKER_VARIABLE]: String(index),
      // A replacement listens where the former process of this worker listened.
      GRPC_LISTEN: former?.grpc ?? formatListen(listenOfWorker(GRPC_LISTEN, index)),
    }),
    onExit: (worker, how, restartMs) => log.error({ worker, how, restartMs }, workerEnded(worker)),
    onRestart: (worker) => log.info({ worker }, "a new worker has replaced it"),
  });
}

/** All workers drain at the same time. One that hangs is killed in the end. */
async function endAll(
  supervisor: Supervisor,
  skipDrain: Promise<void>,
  settings: Settings,
): Promise<boolean> {
  supervisor.end();
  void skipDrain.then(supervisor.end);
  void waitSeconds(settings.DRAIN_SECONDS + CLOSE_GRACE_SECONDS).then(supervisor.kill);
  return supervisor.stopped;
}

/** Merges the metrics and the readiness of all workers for one ops listener. */
function opsOf(supervisor: Supervisor): Parameters<typeof openOps>[1] {
  let started = false;
  supervisor.started.then(
    () => {
      started = true;
    },
    () => undefined, // The caller that awaits the start handles the rejection.
  );
  return {
    async metrics() {
      const texts = await supervisor.ask("metrics");
      const known = texts.flatMap((text, at) => (text === undefined ? [] : [[at + 1, text] as const]));
      return { text: mergeMetrics(new Map(known)), contentType: METRICS_TYPE };
    },
    async readiness() {
      const workers = (await supervisor.ask("readiness")).map((text) => parseStates(text) ?? STARTING);
      const parts = workers.flatMap((states, at) =>
        Object.entries(states).map(([name, state]) => [`worker_${at + 1}.${name}`, state] as const),
      );
      // During the start all workers must be ready. Later, one is enough: the others serve while one restarts.
      return { ready: started && workers.some(isReady), parts: Object.fromEntries(parts) };
    },
  };
}

function addressesOf(listeners: readonly WorkerListeners[]) {
  const [{ http = "", operator = "", auth } = {}] = listeners;
  const grpc = listeners.map((listener) => listener.grpc).join(",");
  return { grpc, http, operator, ...(auth !== undefined && { auth }) };
}
