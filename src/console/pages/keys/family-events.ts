import type { AuditEvents, Key } from "../../../client/types.ts";
import type { Tone } from "../../parts/notice.tsx";

export type AuditLine = AuditEvents["events"][number];

/** One step in the life of a family. */
export interface FamilyEvent {
  readonly id: string;
  /** RFC 3339. */
  readonly at: string;
  readonly tone: Tone;
  readonly title: string;
  readonly keyId: string | null;
  /** Who did it; null if the audit events that were read do not say. */
  readonly actor: string | null;
}

/** Audit events that the records do not show, with their titles. */
const BESIDE_RECORDS: Readonly<Record<string, readonly [title: string, tone: Tone]>> = {
  key_disabled: ["Disabled", "warn"],
  key_enabled: ["Enabled", "good"],
  key_changed: ["Changed", "neutral"],
  family_revoked: ["Family revoked", "bad"],
  limits_set: ["Override set", "neutral"],
  limits_cleared: ["Override cleared", "neutral"],
  write_lost: ["A change was lost", "bad"],
};

/** The events that start a family, by what the timeline calls them. */
const STARTED_BY: Readonly<Record<string, string>> = {
  key_registered: "Registered",
  legacy_key_registered: "V1 key registered",
};

/** The events that make a successor. They have the id of its predecessor. */
const CONTINUED_BY: Readonly<Record<string, string>> = {
  key_refreshed: "Refreshed",
  key_rotated: "Rotated",
};

/**
 * The steps of a family, newest first. Records date them, and audit events say who did them; without audit events the steps
 * that only these show are missing.
 */
export function familyEvents(keys: readonly Key[], audit: readonly AuditLine[]): readonly FamilyEvent[] {
  const done = audit.filter(({ outcome }) => outcome === "done");
  const predecessors = new Map(
    keys.flatMap(({ key_id, superseded_by }) => (superseded_by === null ? [] : [[superseded_by, key_id]])),
  );
  const events = [
    ...keys.map((key) => issueOf(key, predecessors.get(key.key_id), done)),
    ...keys.flatMap((key) => revocationOf(key, done) ?? []),
    ...done.flatMap(besideRecords),
    ...audit.filter(({ outcome }) => outcome !== "done").map(deniedOf),
  ];
  return events.sort((a, b) => Date.parse(b.at) - Date.parse(a.at));
}

function issueOf(key: Key, predecessor: string | undefined, done: readonly AuditLine[]): FamilyEvent {
  const titles = predecessor === undefined ? STARTED_BY : CONTINUED_BY;
  const of = predecessor ?? key.key_id;
  const by = done.find(({ event, key_id: keyId }) => Object.hasOwn(titles, event) && keyId === of);
  return {
    id: `issued ${key.key_id}`,
    at: key.issued_at,
    tone: "good",
    title: (by && titles[by.event]) ?? unknownIssue(key, predecessor),
    keyId: key.key_id,
    actor: by?.actor ?? null,
  };
}

/** The title if no audit event says how the key was made. V2 keys of a V1 key have its family, but are no successors. */
function unknownIssue({ legacy, family }: Key, predecessor: string | undefined): string {
  if (legacy) return "V1 key added";
  if (predecessor !== undefined) return "Renewed";
  return /_v1[A-Za-z0-9]{22}$/.test(family) ? "Exchanged for a V2 key" : "Registered";
}

function revocationOf(key: Key, done: readonly AuditLine[]): FamilyEvent | undefined {
  if (key.revoked_at === null) return undefined;
  const by = done.find(({ event, key_id: keyId }) => event === "key_revoked" && keyId === key.key_id);
  return {
    id: `revoked ${key.key_id}`,
    at: key.revoked_at,
    tone: "bad",
    title: "Revoked",
    keyId: key.key_id,
    actor: by?.actor ?? null,
  };
}

function besideRecords(line: AuditLine): readonly FamilyEvent[] {
  const [title, tone] = BESIDE_RECORDS[line.event] ?? [];
  return title === undefined || tone === undefined ? [] : [lineOf(line, title, tone)];
}

function deniedOf(line: AuditLine): FamilyEvent {
  const isReuse = line.reason === "already_refreshed";
  return lineOf(line, isReuse ? "Second refresh denied" : `Denied: ${line.reason ?? line.event}`, "warn");
}

function lineOf(
  { event_id: id, time, key_id: keyId, actor }: AuditLine,
  title: string,
  tone: Tone,
): FamilyEvent {
  return { id, at: time, tone, title, keyId, actor };
}
