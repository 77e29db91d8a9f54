import { accessFields, isAccountable } from "../audit/access.ts";
import type { AuditFields } from "../audit/chain.ts";
import type { AuditLog } from "../audit/log.ts";
import type { ClientAddress } from "../audit/request.ts";
import { requestFields } from "../audit/request.ts";
import type { AuditStore, CheckFacts, CompletedCall } from "../core/audit/ports.ts";
import type { Decision } from "../core/decision/decision.ts";
import type { Policy, RateLimit } from "../core/policy/policy.ts";
import { createBucketStore } from "../memory/bucket-store.ts";
import { OUTAGES } from "../telemetry/fault-messages.ts";
import type { Log } from "../telemetry/log.ts";
import type { AuditOutputDeps } from "./audit-output.ts";
import { openAuditLines } from "./audit-output.ts";
import { logTransitions, repeat } from "./repeat.ts";

const WRITE_EVERY_MS = 200;
const CHECKPOINT_EVERY_MS = 60_000;
const SWEEP_EVERY_MS = 600_000;
const PORTION = 200;
const WARN_EVERY_MS = 3_600_000;
/** Whoever was warned of longest ago is forgotten first. */
const MAX_WARNED = 10_000;

/** Lines about refusals that one address may leave: so many at once, and so many a second. */
const REFUSALS_OF_AN_ADDRESS: RateLimit = {
  name: "audit-lines",
  per: "address",
  leased: false,
  capacity: 1000,
  refillPerSecond: 10,
};
/** The address heard of longest ago is forgotten first. */
const MAX_LINED = 10_000;

export interface AuditDeps extends AuditOutputDeps {
  readonly store: AuditStore;
  readonly log: Log;
  /** As far as trusted hops tell. */
  readonly clientAddress: ClientAddress;
}

/** What an instance writes down for those who must account for it. */
export interface Audit {
  /** Notes a decision, as the policy says; costs it next to nothing. */
  decided(decision: Decision, facts: CheckFacts, policy: Policy): void;
  /** Notes a call that was refused for who made it, or by which an operator changed something. */
  answered(call: CompletedCall): void;
}

/** Opens the audit log, and brings the store's events into it from now on. */
export async function openAudit(parts: AuditDeps): Promise<Audit> {
  const { settings, store, log, closing, clientAddress, output, clock } = parts;
  const { log: lines, dropFiles } = await openAuditLines(parts);
  const writeEvents = createEventWriter(lines, store);
  const write = async () => {
    await lines.flush();
    await writeEvents();
    await dropFiles();
  };
  // Not by the log: its level must not decide whether a cut tail can be found.
  const checkpoint = async () =>
    output.write(`${JSON.stringify({ time: new Date().toISOString(), checkpoint: lines.state() })}\n`);
  closing.defer("the last audit checkpoint", checkpoint);
  closing.defer("what waits for the audit log", write);
  const writing = repeat(WRITE_EVERY_MS, ...logTransitions(write, log, OUTAGES.audit));
  closing.defer("writing the audit log", writing);
  closing.defer(
    "audit checkpoints",
    repeat(CHECKPOINT_EVERY_MS, checkpoint, () => undefined),
  );
  const sweep = async () => {
    const beforeMs = clock.forgetBeforeMs();
    if (beforeMs !== undefined) await store.sweep(beforeMs - settings.AUDIT_RETENTION * 1000);
  };
  closing.defer(
    "forgetting old audit events",
    repeat(SWEEP_EVERY_MS, sweep, () => undefined),
  );
  const warningOf = createWarnings(() => performance.now());
  const refusal = createRefusals(lines);
  return {
    decided(decision, facts, policy) {
      if (policy.audit.requests === "off") return;
      const warning = warningOf(decision);
      if (warning === undefined && !isWanted(decision, policy.audit)) return;
      const fields = () => ({ ...requestFields(decision, facts, clientAddress), warning });
      const seen = facts.request ?? facts.unread;
      if (decision.verdict === "allow") lines.request("request", fields);
      else refusal("request", seen === undefined ? "" : clientAddress(seen), fields);
    },
    answered(call) {
      if (!isAccountable(call)) return;
      // What an operator has done is no stranger's: it always leaves its line.
      if (call.status < 400) lines.request("access", () => accessFields(call));
      else refusal("access", call.address, () => accessFields(call));
    },
  };
}

/** Whoever is refused time after time fills no volume: lines beyond the bound of an address are counted. */
function createRefusals(lines: AuditLog) {
  const mayLeaveLine = createBucketStore({ maxBuckets: MAX_LINED });
  return (kind: "request" | "access", address: string, fields: () => AuditFields): void => {
    const demand = { bucketId: address, limit: REFUSALS_OF_AN_ADDRESS };
    const taken = mayLeaveLine.take([demand], 1, performance.now());
    if (taken instanceof Promise || taken.ok) lines.request(kind, fields);
    else lines.throttle();
  };
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

/**
 * Events are done when they are in the log: a crash in between writes them twice, under one event id. A store that cannot
 * be told that they are done gives them again; they are not written again.
 */
export function createEventWriter(lines: AuditLog, store: AuditStore): () => Promise<void> {
  const owing = new Set<string>();
  return async () => {
    for (;;) {
      const events = await store.claim(PORTION);
      const fresh = events.filter(({ cursor }) => !owing.has(cursor));
      await lines.events(fresh.map(({ event }) => event));
      for (const { cursor } of fresh) owing.add(cursor);
      await store.done(events.map(({ cursor }) => cursor));
      owing.clear();
      if (events.length < PORTION) return;
    }
  };
}
