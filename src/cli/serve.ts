import { readFileSync } from "node:fs";
import type { AppOptions } from "../app.ts";
import { startApp } from "../app.ts";
import { createClosing } from "../closing.ts";
import { readConfig } from "../config.ts";
import { FAULTS, notClosed } from "../fault-words.ts";
import { openPolicy } from "../policy-in-force.ts";
import { secretTexts } from "../settings.ts";
import { openSigningKeys } from "../signing-keys.ts";
import { createLog } from "../telemetry/log.ts";
import { VERSION } from "../version.ts";
import type { Io } from "./io.ts";

/** Runs an instance until a signal ends it. Resolves with the exit code. */
export async function serve(io: Io): Promise<number> {
  const config = readConfig(io.environment, (path) => readFileSync(path, "utf8"));
  if (!config.ok) return refuseToStart(io, "settings", config.problems);
  const policy = openPolicy(config.settings);
  if (!policy.ok) return refuseToStart(io, "policy", policy.problems);
  const signing = await openSigningKeys(config.settings);
  if (!signing.ok) return refuseToStart(io, "signing keys", signing.problems);
  const log = createLog({
    level: config.settings.LOG_LEVEL,
    terminal: process.stdout.isTTY,
    secrets: secretTexts(config.settings),
    write: (text) => process.stdout.write(text),
  });
  return run({ settings: config.settings, policy: policy.policy, signingKeys: signing.keys, log });
}

async function run(given: Omit<AppOptions, "version" | "closing">): Promise<number> {
  const { settings, policy, signingKeys, log } = given;
  const closing = createClosing();
  const signals = catchSignals();
  let reopenLogs = () => {};
  const onHangUp = () => {
    policy.reload();
    void signingKeys?.reload();
    reopenLogs();
  };
  process.on("SIGHUP", onHangUp);
  const onCrash = (error: unknown) => log.fatal({ err: error }, FAULTS.crash);
  process.on("uncaughtExceptionMonitor", onCrash);
  try {
    const app = await startApp({ ...given, version: VERSION, closing });
    reopenLogs = app.reopenLogs;
    log.info({ ...app.addresses, policy: policy.current().hash, version: VERSION }, "ready");
    const signal = await signals.first;
    log.info({ signal, seconds: settings.DRAIN_SECONDS }, "draining");
    app.drain();
    await Promise.race([waitSeconds(settings.DRAIN_SECONDS), signals.second.then(app.hurry)]);
    return await close();
  } catch (error) {
    log.fatal({ err: error }, FAULTS.cannotStart);
    await close();
    return 1;
  } finally {
    signals.release();
    process.off("SIGHUP", onHangUp);
    process.off("uncaughtExceptionMonitor", onCrash);
  }

  async function close(): Promise<number> {
    const failed = await closing.closeAll();
    for (const { name, error } of failed) log.error({ err: error }, notClosed(name));
    log.info({}, "stopped");
    return failed.length === 0 ? 0 : 1;
  }
}

function refuseToStart(io: Io, what: string, problems: readonly string[]): number {
  const heading = `latchkey does not start: ${problems.length === 1 ? "one thing is" : `${problems.length} things are`} wrong with the ${what}.`;
  io.complain([heading, ...problems.map((problem) => `  - ${problem}`)].join("\n"));
  return 1;
}

/** The first signal begins the end, the second ends it at once. */
function catchSignals() {
  const first = Promise.withResolvers<string>();
  const second = Promise.withResolvers<void>();
  let caught = 0;
  const onSignal = (signal: string) => {
    caught++;
    if (caught === 1) first.resolve(signal);
    else second.resolve();
  };
  const names = ["SIGTERM", "SIGINT"] as const;
  for (const name of names) process.on(name, onSignal);
  return {
    first: first.promise,
    second: second.promise,
    release: () => {
      for (const name of names) process.off(name, onSignal);
    },
  };
}

function waitSeconds(seconds: number): Promise<void> {
  return new Promise((resolve) => {
    setTimeout(resolve, seconds * 1000).unref();
  });
}
