import type { Closing } from "./closing.ts";
import type { Decision } from "./core/decision.ts";
import type { Policy } from "./core/policy.ts";
import type { AuditStore } from "./core/ports.ts";
import type { AuthRequest } from "./core/request.ts";
import { headerLines } from "./core/request.ts";
import type { CheckFacts } from "./envoy/check.ts";
import { everyTurn, sayingOnce } from "./every-turn.ts";
import { OUTAGES } from "./fault-words.ts";
import { randomText } from "./random.ts";
import type { Settings } from "./settings.ts";
import { openAuditFile } from "./telemetry/audit-file.ts";
import type { AuditLog } from "./telemetry/audit-log.ts";
import { createAuditLog } from "./telemetry/audit-log.ts";
import type { Log } from "./telemetry/log.ts";
import type { Metrics } from "./telemetry/metrics.ts";

const WRITE_EVERY_MS = 200;
const CHECKPOINT_EVERY_MS = 60_000;
const SWEEP_EVERY_MS = 600_000;
const PORTION = 200;

export interface AuditParts {
  readonly settings: Settings;
  readonly key: string;
  readonly store: AuditStore;
  readonly log: Log;
  readonly closing: Closing;
  readonly metrics: Metrics;
  /** As far as trusted hops tell. */
  readonly clientAddress: (request: Pick<AuthRequest, "headers" | "peerAddress">) => string;
}

/** What an instance writes down for those who must account for it. */
export interface Audit {
  /** Notes a decision, as the policy says; costs it next to nothing. */
  decided(decision: Decision, facts: CheckFacts, policy: Policy): void;
  /** The file has been put aside. */
  reopen(): void;
}

/** Opens the audit log, and brings the store's events into it from now on. */
export function openAudit(parts: AuditParts): Audit {
  const { settings, key, store, log, closing, metrics, clientAddress } = parts;
  const path = settings.AUDIT_FILE;
  const file = path === "off" ? undefined : openAuditFile(path, key, Date.now);
  if (file !== undefined) closing.later("the audit file", file.close);
  const lines = createAuditLog({
    key,
    file,
    print: (line) => process.stdout.write(`${line}\n`),
    newRandom: randomText,
    nowMs: Date.now,
    observe: metrics.auditLines,
    dropped: metrics.auditDropped,
  });
  const write = async () => {
    lines.flush();
    await writeEvents(lines, store);
  };
  closing.later("what waits for the audit log", write);
  closing.later("writing the audit log", everyTurn(WRITE_EVERY_MS, ...sayingOnce(write, log, OUTAGES.audit)));
  const checkpoint = async () => log.info({ checkpoint: lines.state() }, "audit checkpoint");
  closing.later(
    "audit checkpoints",
    everyTurn(CHECKPOINT_EVERY_MS, checkpoint, () => undefined),
  );
  const sweep = () => store.sweep(Date.now() - settings.AUDIT_RETENTION * 1000);
  closing.later(
    "forgetting old audit events",
    everyTurn(SWEEP_EVERY_MS, sweep, () => undefined),
  );
  return {
    reopen: () => file?.reopen(),
    decided(decision, facts, policy) {
      const { requests, sample } = policy.audit;
      if (requests === "off" || (requests === "refusals" && decision.verdict === "allow")) return;
      if (sample < 1 && Math.random() >= sample) return;
      lines.request(() => requestFields(decision, facts, clientAddress));
    },
  };
}

/** Events are done when they are in the log: a crash in between writes them twice, under one event id. */
async function writeEvents(lines: AuditLog, store: AuditStore): Promise<void> {
  for (;;) {
    const events = await store.claim(PORTION);
    lines.events(events.map(({ event }) => event));
    await store.done(events.map(({ cursor }) => cursor));
    if (events.length < PORTION) return;
  }
}

/** Enough to decide the request anew under another policy; never a key, and no query. */
function requestFields(
  decision: Decision,
  { decisionId, mode, request, unread }: CheckFacts,
  clientAddress: AuditParts["clientAddress"],
) {
  const { principal, route } = decision;
  const seen = request ?? unread;
  return {
    decision_id: decisionId,
    verdict: decision.verdict,
    reason: decision.reason,
    mode,
    route: route?.label,
    cost: route?.cost,
    key_id: principal?.keyId,
    family: principal?.family,
    owner: principal?.owner,
    role: principal?.role,
    scopes: principal?.scopes,
    ...(request && { path: clientsWord(request.path.path) }),
    ...(unread && { raw_path: clientsWord(unread.rawPath) }),
    ...(seen && {
      method: clientsWord(seen.method, 64),
      host: clientsWord(seen.host, 256),
      scheme: seen.scheme,
      address: clientAddress(seen),
      request_id: clientsWord(headerLines(seen, "x-request-id")[0] ?? "", 128),
    }),
  };
}

const KEY = /eyJ[\w-]+\.[\w-]+\.[\w-]+|lk1_[A-Za-z0-9]{38}/g;

/** What a client chose: it cannot fill the log, and a key that it put where none belongs is none any more. */
function clientsWord(text: string, maxLength = 2048): string {
  return text.slice(0, maxLength).replace(KEY, "[a key]");
}
