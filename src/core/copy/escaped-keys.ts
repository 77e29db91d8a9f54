import type { KeyRecord } from "../keys/key-record.ts";
import type { CutOff } from "../revocation/revocation.ts";
import { createRevocationView } from "../revocation/revocation-view.ts";
import type { CopiedStore, KeyRow } from "./ports.ts";

/** A key of the target that comes from a revoked key of the source. */
export interface EscapedKey {
  readonly keyId: string;
  /** The cut-off that has revoked the key from which it was refreshed. */
  readonly cutOff: Pick<CutOff, "scope" | "subject">;
}

export interface EscapeDeps {
  readonly source: CopiedStore;
  readonly target: CopiedStore;
  readonly nowSeconds: number;
}

/**
 * A cut-off of the source ends only keys with an earlier date. The holder of such a key may have refreshed it in the target before
 * the cut-off was copied, and the successor is dated later. Finds these successors, and theirs, while they are valid.
 */
export async function findEscapedKeys(deps: EscapeDeps): Promise<readonly EscapedKey[]> {
  const cutOffs: ({ readonly kind: "cutoff" } & CutOff)[] = [];
  for await (const page of deps.source.rows.cutOffs.pages()) cutOffs.push(...page);
  if (cutOffs.length === 0) return [];
  const view = createRevocationView();
  view.apply(cutOffs);
  const escaped = new Map<string, EscapedKey>();
  for await (const rows of deps.target.rows.keys.pages()) {
    const ended = rows.filter(
      ({ record }) => successorOf(record) !== undefined && record.issuedAt < view.cutOffBefore(record),
    );
    for await (const successors of generations(deps, ended))
      for (const record of await validOnes(deps, successors)) {
        const cutOff = cutOffs.find((one) => isOf(one, record) && one.before === view.cutOffBefore(record));
        if (cutOff !== undefined) escaped.set(record.keyId, { keyId: record.keyId, cutOff });
      }
  }
  return [...escaped.values()];
}

function isOf({ scope, subject }: CutOff, { role, owner, family }: KeyRecord): boolean {
  return scope === "all" || subject === (scope === "role" ? role : (owner ?? family));
}

/** The successors, then those of the successors, and so on: a key that was refreshed again may have expired. */
async function* generations(deps: EscapeDeps, rows: readonly KeyRow[]) {
  const seen = new Set<string>();
  let present = await successorsOnlyIn(deps, rows);
  while (present.length > 0) {
    yield present;
    for (const { record } of present) seen.add(record.keyId);
    const next = await successorsIn(deps.target, present);
    present = next.filter(({ record }) => !seen.has(record.keyId));
  }
}

/** The successors of which the source knows nothing: it has revoked the key before it was refreshed. */
async function successorsOnlyIn({ source, target }: EscapeDeps, rows: readonly KeyRow[]) {
  if (rows.length === 0) return [];
  const known = await source.rows.keys.find(rows);
  const refreshed = rows.filter(({ record }, at) => successorOf(known[at]?.record) !== successorOf(record));
  return successorsIn(target, refreshed);
}

async function successorsIn({ rows: { keys } }: CopiedStore, rows: readonly KeyRow[]) {
  const successors = rows.flatMap(({ record }) => {
    const keyId = successorOf(record);
    return keyId === undefined ? [] : [{ record: { ...record, keyId } }];
  });
  return (await keys.find(successors)).filter((row) => row !== undefined);
}

/** The key for which a key was refreshed, rotated, or exchanged. */
function successorOf(record: KeyRecord | undefined): string | undefined {
  return record?.successor?.keyId ?? record?.legacy?.successorId;
}

/** The keys that the target does not deny. */
async function validOnes({ target, nowSeconds }: EscapeDeps, rows: readonly KeyRow[]) {
  const view = createRevocationView();
  const cutOffsOf = ({ role, owner, family }: KeyRecord) =>
    (
      [
        ["all", ""],
        ["role", role],
        ["owner", owner ?? family],
      ] as const
    ).map(([scope, subject]) => ({ kind: "cutoff", scope, subject, before: 0, until: 0 }) as const);
  const records = rows.map(({ record }) => record);
  const [cutOffs, families] = await Promise.all([
    target.rows.cutOffs.find(records.flatMap(cutOffsOf)),
    target.rows.families.find(records.map(({ family }) => ({ kind: "family", family, until: 0 }))),
  ]);
  view.apply([...cutOffs, ...families].filter((row) => row !== undefined));
  return records.filter(
    (record) =>
      record.revokedAt === undefined &&
      record.expiresAt > nowSeconds &&
      view.endReason(record, nowSeconds * 1000) === undefined,
  );
}
