import type { ComparedKind, CopiedKind } from "../../core/copy/copy.ts";
import type { EscapedKey } from "../../core/copy/escaped-keys.ts";
import { formatTable } from "../table.ts";

/** The result of a copy or of a comparison. */
export interface CopyReport {
  /** Absent for a comparison. */
  readonly copied?: readonly CopiedKind[];
  readonly compared: readonly ComparedKind[];
  readonly escaped: readonly EscapedKey[];
}

/**
 * Whether the target has everything that the source has, and no key has escaped a revocation. After a copy, what Checks have
 * counted since is not missed.
 */
export function isComplete(report: CopyReport): boolean {
  return hasAll(report) && report.escaped.length === 0;
}

function hasAll({ copied, compared }: CopyReport): boolean {
  const isMissed = ({ missing, countsChecks }: ComparedKind) =>
    missing > 0 && !(copied !== undefined && countsChecks);
  return !compared.some(isMissed) && (copied ?? []).every(({ conflicts }) => conflicts.length === 0);
}

export function formatReport(report: CopyReport): string {
  const { copied, compared } = report;
  const headings = [
    "",
    "source",
    "target",
    ...(copied ? ["written"] : []),
    "digest of the source",
    "digest of the target",
    "",
  ];
  const rows = compared.map((kind, at) => [
    kind.name,
    String(kind.source.rows),
    String(kind.target.rows),
    ...(copied ? [String(copied[at]?.written ?? 0)] : []),
    kind.source.digest,
    kind.target.digest,
    verdictOf(kind),
  ]);
  return [
    formatTable(headings, rows),
    "",
    ...conflictLines(copied ?? []),
    ...escapeLines(report),
    summaryOf(report),
  ].join("\n");
}

function verdictOf({ source, target, missing }: ComparedKind): string {
  if (missing > 0) return `${missing} missing in the target`;
  return source.digest === target.digest ? "equal" : "the target has more, or newer ones";
}

function conflictLines(copied: readonly CopiedKind[]): readonly string[] {
  return copied.flatMap(({ conflicts }) =>
    conflicts.map(({ keyId, isRevoked }) =>
      isRevoked
        ? `${keyId} is revoked in the source, but was not copied: the same V1 key has another key id in the target, and may be valid there; revoke that one`
        : `${keyId} was not copied: another key of the target is the same V1 key; revoke one of them`,
    ),
  );
}

/** A revocation in the target ends them: it includes every key that was issued until then. */
function escapeLines({ escaped }: CopyReport): readonly string[] {
  return escaped.map(({ keyId, cutOff: { scope, subject } }) => {
    const revoked = scope === "all" ? "all keys" : `the ${scope} ${subject}`;
    return `${keyId} is valid in the target: it was refreshed there after the source had revoked ${revoked}; revoke ${revoked} again, in the target`;
  });
}

function summaryOf(report: CopyReport): string {
  if (hasAll(report))
    return report.compared.every(({ missing }) => missing === 0)
      ? "The target has everything that the source has."
      : "The target has everything that the source has, except for what Checks have counted meanwhile: run the same command again when all instances have moved.";
  return report.copied === undefined
    ? "The target lacks a part of the source: run the copy without --verify."
    : "The target lacks a part of the source, because the source changed meanwhile: run the same command again.";
}
