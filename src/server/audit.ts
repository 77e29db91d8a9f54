import { accessFields, isAccountable } from "../audit/access.ts";
import type { AuditFields } from "../audit/chain.ts";
import { chargeFields, isAuditedCharge } from "../audit/charge.ts";
import type { AuditLog } from "../audit/log.ts";
import type { ClientAddress } from "../audit/request.ts";
import { requestFields } from "../audit/request.ts";
import { thresholdFields } from "../audit/threshold.ts";
import type { Verification } from "../audit/verification.ts";
import type { AuditStore, CheckFacts, CompletedCall } from "../core/audit/ports.ts";
import type { SettledCharge } from "../core/charges/charge-receiver.ts";
import { addressGroup } from "../core/decision/client-address.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { Policy, RateLimit } from "../core/policy/policy.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { logTransitions } from "../telemetry/outage-log.ts";
import { OUTAGES } from "../telemetry/outage-messages.ts";
import type { AuditOutputDeps } from "./audit-output.ts";
import { openAuditLines } from "./audit-output.ts";
import type { StoreEvents } from "./ports.ts";
import { repeat } from "./repeat.ts";
import type { Runtime } from "./runtime.ts";

const WRITE_EVERY_MS = 200;
const CHECKPOINT_EVERY_MS = 60_000;
const SWEEP_EVERY_MS = 600_000;
const PORTION = 200;
const WARN_EVERY_MS = 3_600_000;
/** Keys with a recent warning. The oldest warning is evicted first. */
const MAX_WARNED = 10_000;

/** Lines about denials that one address may cause. */
const DENIAL_LINES: RateLimit = {
  name: "audit-lines",
  per: "address",
  leased: false,
  capacity: 1000,
  refillPerSecond: 10,
};
/** Addresses whose lines are counted. The least recently used one is evicted first. */
const MAX_ADDRESSES = 10_000;

export interface AuditDeps extends AuditOutputDeps {
  readonly store: AuditStore;
  /** As far as the trusted hops report it. */
  readonly clientAddress: ClientAddress;
  readonly events: Pick<StoreEvents, "threshold">;
}

/** What an instance records for auditors. */
export interface Audit {
  /** Records a decision if the policy asks for it. Costs a decision next to nothing. */
  onDecision(decision: Decision, facts: CheckFacts, policy: Policy): void;
  /** Records a call that was denied to its caller, or by which an operator changed something. */
  onCompletedCall(call: CompletedCall): void;
  /** Records a charge that was not accepted. */
  onCharge(settled: SettledCharge): void;
  /** Verifies the log of this instance. */
  readonly verification: Verification;
}

/** Opens the audit log, and moves the store's events into it from now on. */
export async function openAudit(runtime: Runtime, deps: AuditDeps): Promise<Audit> {
  const { log: lines, dropFiles, verification } = await openAuditLines(runtime, deps);
  keepCheckpoints(runtime, deps, lines);
  const writeEvents = createEventWriter(lines, deps.store);
  const write = async () => {
    await lines.flush();
    await writeEvents();
    await dropFiles();
  };
  runtime.shutdown.defer("the audit queue", write);
  const stopWrites = repeat(WRITE_EVERY_MS, ...logTransitions(write, runtime.log, OUTAGES.audit));
  runtime.shutdown.defer("the writes of the audit log", stopWrites);
  sweepEvents(runtime, deps.store);
  deps.events.threshold.subscribe((threshold) => lines.request("quota", () => thresholdFields(threshold)));
  return { ...recordOf(lines, deps.clientAddress), verification };
}

/** Checkpoints go to the output and not to the log, so that the log level does not decide whether a truncated audit log can be detected. */
function keepCheckpoints(
  { shutdown }: Pick<Runtime, "shutdown">,
  { output }: Pick<AuditDeps, "output">,
  lines: AuditLog,
): void {
  const write = async () =>
    output.write(`${JSON.stringify({ time: new Date().toISOString(), checkpoint: lines.state() })}\n`);
  shutdown.defer("the last audit checkpoint", write);
  const stop = repeat(CHECKPOINT_EVERY_MS, write, () => undefined);
  shutdown.defer("audit checkpoints", stop);
}

function sweepEvents(
  { settings, shutdown, clock }: Pick<Runtime, "settings" | "shutdown" | "clock">,
  store: AuditStore,
): void {
  const sweep = async () => {
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await store.sweep(beforeMs - settings.AUDIT_RETENTION * 1000);
  };
  const stop = repeat(SWEEP_EVERY_MS, sweep, () => undefined);
  shutdown.defer("the deletion of old audit events", stop);
}

function recordOf(lines: AuditLog, clientAddress: ClientAddress): Omit<Audit, "verification"> {
  const warningOf = createWarnings(() => performance.now());
  const recordDenial = createDenialRecorder(lines);
  return {
    onDecision(decision, facts, policy) {
      if (policy.audit.requests === "off") return;
      const warning = warningOf(decision);
      if (warning === undefined && !isWanted(decision, policy.audit)) return;
      const fields = () => ({ ...requestFields(decision, facts, clientAddress), warning });
      const request = facts.request ?? facts.unread;
      if (decision.verdict === "allow") lines.request("request", fields);
      else recordDenial("request", request === undefined ? "" : clientAddress(request), fields);
    },
    onCompletedCall(call) {
      if (!isAccountable(call)) return;
      // A successful call is an operator's: it always leaves its line.
      if (call.status < 400) lines.request("access", () => accessFields(call));
      else recordDenial("access", call.address, () => accessFields(call));
    },
    onCharge(settled) {
      // The connection is the proxy's, whatever client it serves. Each kind of rejection has its own budget.
      if (isAuditedCharge(settled)) recordDenial("charge", settled.result, () => chargeFields(settled));
    },
  };
}

/** Repeated denials must not fill a volume: lines beyond an address's limit are only counted. An IPv6 /64 counts as one address. */
export function createDenialRecorder(lines: Pick<AuditLog, "request" | "throttle">) {
  const budgets = createBucketStore({ maxBuckets: MAX_ADDRESSES });
  return (kind: "request" | "access" | "charge", address: string, fields: () => AuditFields): void => {
    const demand = { bucketId: addressGroup(address), limit: DENIAL_LINES };
    const taken = budgets.take([demand], 1, performance.now());
    if (taken instanceof Promise || taken.ok) lines.request(kind, fields);
    else lines.throttle();
  };
}

function isWanted({ verdict }: Decision, { requests, sample }: Policy["audit"]): boolean {
  return (requests === "all" || verdict === "deny") && (sample === 1 || Math.random() < sample);
}

/** Reports the use of a deprecated V1 key once an hour per key, because it may be used very often. */
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

/**
 * Moves events from the store into the log, and marks them as done. A crash in between writes them twice, under one event id.
 * If marking fails, the store returns them again, and they are not written again.
 */
export function createEventWriter(lines: AuditLog, store: AuditStore): () => Promise<void> {
  const written = new Set<string>();
  return async () => {
    for (;;) {
      const events = await store.claim(PORTION);
      const fresh = events.filter(({ cursor }) => !written.has(cursor));
      await lines.events(fresh.map(({ event }) => event));
      for (const { cursor } of fresh) written.add(cursor);
      await store.done(events.map(({ cursor }) => cursor));
      written.clear();
      if (events.length < PORTION) return;
    }
  };
}
