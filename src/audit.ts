import type { AnsweredCall } from "./api/answered-call.ts";
import { accessFields, isAccountable } from "./audit-access.ts";
import type { ClientAddress } from "./audit-request.ts";
import { requestFields } from "./audit-request.ts";
import type { Closing } from "./closing.ts";
import type { Clock } from "./core/clock.ts";
import type { Decision } from "./core/decision.ts";
import type { Policy } from "./core/policy.ts";
import type { AuditStore } from "./core/ports.ts";
import { lockForProcess } from "./embedded/process-lock.ts";
import type { CheckFacts } from "./envoy/check.ts";
import { everyTurn, sayingOnce } from "./every-turn.ts";
import { OUTAGES } from "./fault-words.ts";
import { randomText } from "./random.ts";
import type { Settings } from "./settings.ts";
import { openAuditFile } from "./telemetry/audit-file.ts";
import type { AuditLog } from "./telemetry/audit-log.ts";
import { createAuditLog } from "./telemetry/audit-log.ts";
import { printLines } from "./telemetry/audit-print.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

const WRITE_EVERY_MS = 200;
const CHECKPOINT_EVERY_MS = 60_000;
const SWEEP_EVERY_MS = 600_000;
const PORTION = 200;
const WARN_EVERY_MS = 3_600_000;
/** Whoever was warned of longest ago is forgotten first. */
const MAX_WARNED = 10_000;

export interface AuditParts {
  readonly settings: Settings;
  readonly key: string;
  readonly store: AuditStore;
  readonly log: Log;
  readonly closing: Closing;
  readonly metrics: Metrics;
  readonly clock: Pick<Clock, "forgetBeforeMs">;
  /** Which of several processes this is. */
  readonly worker?: { readonly index: number };
  /** As far as trusted hops tell. */
  readonly clientAddress: ClientAddress;
}

/** What an instance writes down for those who must account for it. */
export interface Audit {
  /** Notes a decision, as the policy says; costs it next to nothing. */
  decided(decision: Decision, facts: CheckFacts, policy: Policy): void;
  /** Notes a call that was refused for who made it, or by which an operator changed something. */
  answered(call: AnsweredCall): void;
}

/** Opens the audit log, and brings the store's events into it from now on. */
export async function openAudit(parts: AuditParts): Promise<Audit> {
  const { settings, store, log, closing, clientAddress, clock } = parts;
  const lines = await openLines(parts);
  const write = async () => {
    await lines.flush();
    await writeEvents(lines, store);
  };
  // Not by the log: its level must not decide whether a cut tail can be found.
  const checkpoint = () =>
    printLines([`${JSON.stringify({ time: new Date().toISOString(), checkpoint: lines.state() })}`]);
  closing.later("the last audit checkpoint", checkpoint);
  closing.later("what waits for the audit log", write);
  closing.later("writing the audit log", everyTurn(WRITE_EVERY_MS, ...sayingOnce(write, log, OUTAGES.audit)));
  closing.later(
    "audit checkpoints",
    everyTurn(CHECKPOINT_EVERY_MS, checkpoint, () => undefined),
  );
  const sweep = async () => {
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await store.sweep(beforeMs - settings.AUDIT_RETENTION * 1000);
  };
  closing.later(
    "forgetting old audit events",
    everyTurn(SWEEP_EVERY_MS, sweep, () => undefined),
  );
  const warningOf = createWarnings(() => performance.now());
  return {
    decided(decision, facts, policy) {
      if (policy.audit.requests === "off") return;
      const warning = warningOf(decision);
      if (warning === undefined && !isWanted(decision, policy.audit)) return;
      lines.request("request", () => ({ ...requestFields(decision, facts, clientAddress), warning }));
    },
    answered(call) {
      if (isAccountable(call)) lines.request("access", () => accessFields(call));
    },
  };
}

async function openLines({ settings, key, closing, metrics, worker }: AuditParts) {
  const path = settings.AUDIT_FILE;
  const chain = chainOf(path, worker?.index);
  const options = { path, chain, claim: lockForProcess, key, nowMs: Date.now };
  const file = path === "off" ? undefined : await openAuditFile(options);
  if (file !== undefined) closing.later("the audit file", file.close);
  return createAuditLog({
    key,
    file,
    print: printLines,
    newRandom: randomText,
    nowMs: Date.now,
    observe: metrics.auditLines,
    dropped: metrics.auditDropped,
  });
}

function isWanted({ verdict }: Decision, { requests, sample }: Policy["audit"]): boolean {
  return (requests === "all" || verdict === "deny") && (sample === 1 || Math.random() < sample);
}

/** That a V1 key is still used although those are deprecated: once an hour for each, for it may be used very often. */
export function createWarnings(monotonicMs: () => number): (decision: Decision) => string | undefined {
  const warned = new Map<string, number>();
  return ({ principal, notice }) => {
    if (principal === undefined || notice?.deprecatedAt === undefined) return undefined;
    const { keyId } = principal;
    const nowMs = monotonicMs();
    if (nowMs - (warned.get(keyId) ?? Number.NEGATIVE_INFINITY) < WARN_EVERY_MS) return undefined;
    warned.delete(keyId);
    warned.set(keyId, nowMs);
    if (warned.size > MAX_WARNED) warned.delete(warned.keys().next().value ?? "");
    return "legacy_key_deprecated";
  };
}

/** Each of several workers that write one file has a chain of its own. */
function chainOf(path: string, worker = 1): string {
  return worker === 1 ? path : `${path}.worker-${worker}`;
}

/** Events are done when they are in the log: a crash in between writes them twice, under one event id. */
async function writeEvents(lines: AuditLog, store: AuditStore): Promise<void> {
  for (;;) {
    const events = await store.claim(PORTION);
    await lines.events(events.map(({ event }) => event));
    await store.done(events.map(({ cursor }) => cursor));
    if (events.length < PORTION) return;
  }
}
