import { createHash } from "node:crypto";
import { join } from "node:path";
import type { CopyDeps } from "../../core/copy/copy.ts";
import { CopyInterrupted, compareAll, copyAll } from "../../core/copy/copy.ts";
import { findEscapedKeys } from "../../core/copy/escaped-keys.ts";
import { findObstacle } from "../../core/copy/obstacles.ts";
import { errorMessage } from "../../core/error-message.ts";
import { EXIT } from "../exit-codes.ts";
import type { Io } from "../io.ts";
import { progressBar } from "../progress.ts";
import { catchSignals } from "../signals.ts";
import type { CopyReport } from "./report.ts";
import { formatReport, isComplete } from "./report.ts";
import type { Side } from "./sides.ts";
import { openSide, UnusableSide } from "./sides.ts";

export interface CopyOptions {
  readonly from?: string;
  readonly to?: string;
  readonly verify?: true;
  readonly merge?: true;
  readonly json?: true;
}

const CONTINUES = "Nothing is lost: run the same command again, and it continues.";

const NOT_REPLICATED =
  "fewer replicas of the target than its REDIS_WAIT_REPLICAS have the copy, so a failover can lose a part of it: check the replicas, and run the same command again.";

/** Copies one store into another one, or compares them. Resolves with the exit code. */
export async function copyStore(io: Io, options: CopyOptions): Promise<number> {
  const opened: Side[] = [];
  const signals = catchSignals();
  let isInterrupted = false;
  void signals.first.then(() => {
    isInterrupted = true;
  });
  void signals.second.then(() => process.exit(EXIT.failed));
  try {
    const source = await openSide("source", options.from, io.environment);
    opened.push(source);
    const target = await openSide("target", options.to, io.environment);
    opened.push(target);
    const obstacle = await findObstacle({
      source: source.store,
      target: target.store,
      mayMerge: options.merge === true || options.verify === true,
    });
    if (obstacle !== undefined) {
      io.printError(`latchkey: ${obstacle}`);
      return EXIT.failed;
    }
    const progress = createProgress(io);
    const report = await run({ source, target }, options, progress.show, () => isInterrupted).finally(
      progress.end,
    );
    io.print(options.json ? JSON.stringify(report) : formatReport(report));
    if (options.verify) return isComplete(report) ? EXIT.done : EXIT.failed;
    await printSecretHint(io, source, options);
    // After the comparison: what the target had then is confirmed.
    if (!(await target.store.confirm())) {
      io.printError(`latchkey: ${NOT_REPLICATED}`);
      return EXIT.failed;
    }
    return isComplete(report) ? EXIT.done : EXIT.failed;
  } catch (error) {
    return printProblem(io, error, opened);
  } finally {
    signals.release();
    for (const { store } of opened) await store.close();
  }
}

async function run(
  { source, target }: Readonly<Record<"source" | "target", Side>>,
  { verify }: CopyOptions,
  onProgress: CopyDeps["onProgress"],
  isInterrupted: () => boolean,
): Promise<CopyReport> {
  const deps: CopyDeps = {
    source: source.store,
    target: target.store,
    recordRetentionSeconds: target.recordRetentionSeconds,
    nowSeconds: Math.floor((await target.store.nowMs()) / 1000),
    sha256Hex: (text) => createHash("sha256").update(text).digest("hex"),
    onProgress,
    isInterrupted,
  };
  const copied = verify ? undefined : await copyAll(deps);
  const compared = await compareAll(deps);
  return { ...(copied && { copied }), compared, escaped: await findEscapedKeys(deps) };
}

function createProgress(io: Io) {
  let shown: { readonly name: string; readonly bar: ReturnType<typeof progressBar> } | undefined;
  return {
    show(name: string, done: number, total: number | undefined) {
      if (total === undefined) return;
      if (shown?.name !== name || done === 0) {
        shown?.bar.end();
        shown = { name, bar: progressBar(io, total, name) };
      }
      if (total > 0) shown.bar.show(done, done);
    },
    end: () => shown?.bar.end(),
  };
}

/** With Redis the settings name the signing secret, so a generated one must become a setting. */
async function printSecretHint(io: Io, source: Side, { from = "", to = "" }: CopyOptions): Promise<void> {
  if (!to.includes("://") || from.includes("://")) return;
  for await (const secrets of source.store.rows.secrets.pages()) {
    if (!secrets.some(({ name }) => name === "jwt_secret")) continue;
    const file = join(from || io.environment["DATA_DIR"] || "data", "jwt_secret");
    io.printError(
      `The source has a generated JWT_SECRET. If its keys are signed with it, set JWT_SECRET_FILE=${file} on every instance of the target.`,
    );
  }
}

function printProblem(io: Io, error: unknown, opened: readonly Side[]): number {
  if (error instanceof UnusableSide) {
    io.printError(`latchkey: ${error.message}`);
    return error.isUsage ? EXIT.usageError : EXIT.failed;
  }
  // An error of Redis does not say which side it is from.
  const [latest] = opened.toSorted((one, other) => other.lastFaultMs() - one.lastFaultMs());
  const what =
    error instanceof CopyInterrupted ? "interrupted" : (latest?.describe(error) ?? errorMessage(error));
  io.printError(`latchkey: ${what}. ${CONTINUES}`);
  return EXIT.failed;
}
