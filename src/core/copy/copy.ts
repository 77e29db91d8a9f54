import type { ComparedSide, Digest } from "./digest.ts";
import { createDigest } from "./digest.ts";
import type { CopyConflict, Kind } from "./kinds.ts";
import { forEachKind } from "./kinds.ts";
import type { CopiedStore, PutOutcome, RowChange, RowStore } from "./ports.ts";

/** The sides of a copy. */
export interface CopyDeps {
  readonly source: CopiedStore;
  readonly target: CopiedStore;
  /** How long a record stays after its key's end. A record that is due for removal is not copied. */
  readonly recordRetentionSeconds: number;
  /** The time of the run: both sides leave out the same rows. */
  readonly nowSeconds: number;
  readonly sha256Hex: (text: string) => string;
  /** Called after each page: `done` of `total` rows, if their number is known. */
  readonly onProgress: (name: string, done: number, total: number | undefined) => void;
  /** Checked after each page. */
  readonly isInterrupted: () => boolean;
}

export interface CopiedKind {
  readonly name: string;
  readonly read: number;
  readonly written: number;
  /** The first rows that were not written, because another key of the target has the hash of a V1 key. */
  readonly conflicts: readonly CopyConflict[];
}

export interface ComparedKind {
  readonly name: string;
  readonly source: ComparedSide;
  readonly target: ComparedSide;
  /** Rows of the source that the target lacks, or of which it has an older version. */
  readonly missing: number;
  /** Whether Checks change the rows, so that some may be missing as soon as they were copied. */
  readonly countsChecks: boolean;
}

/** The copy stopped between two pages. The same copy continues it. */
export class CopyInterrupted extends Error {
  override readonly name = "CopyInterrupted";
}

/** Copies everything that the target lacks. Running it again copies what changed, and nothing else. */
export async function copyAll(deps: CopyDeps): Promise<readonly CopiedKind[]> {
  const { source, target } = deps;
  // The dates come first: a key that is copied later must not be older than what the target has forgotten.
  await target.begin({ id: (await source.id()) ?? "", dates: await source.dates() });
  return forEachKind((kind) => copyKind(kind, deps));
}

/** Compares both sides and writes nothing. */
export function compareAll(deps: CopyDeps): Promise<readonly ComparedKind[]> {
  return forEachKind((kind) => compareKind(kind, deps));
}

/** Another writer of the target must not come first so often. */
const ATTEMPTS = 8;
const MAX_CONFLICTS = 20;

async function copyKind<Row>(kind: Kind<Row>, deps: CopyDeps): Promise<CopiedKind> {
  let read = 0;
  let written = 0;
  const conflicts: CopyConflict[] = [];
  const to = kind.of(deps.target);
  for await (const rows of pagesOf(kind, deps, deps.source)) {
    const outcomes = await putRows(kind, to, rows);
    read += rows.length;
    for (const { row, outcome } of outcomes) {
      if (outcome === "written") written++;
      else if (kind.conflictOf && conflicts.length < MAX_CONFLICTS) conflicts.push(kind.conflictOf(row));
    }
  }
  return { name: kind.name, read, written, conflicts };
}

/** Reads, merges and writes until no other change of the target comes in between. */
async function putRows<Row>(kind: Kind<Row>, to: RowStore<Row>, rows: readonly Row[]) {
  const ended: { readonly row: Row; readonly outcome: PutOutcome }[] = [];
  let pending = rows;
  for (let attempt = 0; pending.length > 0; attempt++) {
    if (attempt === ATTEMPTS)
      throw new Error(`the ${kind.name} of the target changed during eight attempts in a row`);
    const stored = await to.find(pending);
    const changes = pending.flatMap((source, at) => {
      const row = kind.merge(source, stored[at]);
      return row === undefined
        ? []
        : [{ source, change: { row, replaced: stored[at] } satisfies RowChange<Row> }];
    });
    const outcomes = changes.length === 0 ? [] : await to.put(changes.map(({ change }) => change));
    const isChanged = (at: number) => outcomes[at] === "changed";
    for (const [at, { source }] of changes.entries())
      if (!isChanged(at)) ended.push({ row: source, outcome: outcomes[at] ?? "written" });
    pending = changes.filter((_, at) => isChanged(at)).map(({ source }) => source);
  }
  return ended;
}

async function compareKind<Row>(kind: Kind<Row>, deps: CopyDeps): Promise<ComparedKind> {
  const lacks = kind.lacks ?? ((source, stored) => kind.merge(source, stored) !== undefined);
  const [ofSource, ofTarget] = [createDigest(deps.sha256Hex), createDigest(deps.sha256Hex)];
  const to = kind.of(deps.target);
  let missing = 0;
  for await (const rows of pagesOf(kind, deps, deps.source)) {
    addAll(kind, ofSource, rows);
    const stored = await to.find(rows);
    missing += rows.filter((row, at) => lacks(row, stored[at])).length;
  }
  for await (const rows of pagesOf(kind, deps, deps.target)) addAll(kind, ofTarget, rows);
  const { name, countsChecks = false } = kind;
  return { name, source: ofSource.sum(), target: ofTarget.sum(), missing, countsChecks };
}

function addAll<Row>({ textOf }: Kind<Row>, digest: Digest, rows: readonly Row[]): void {
  for (const row of rows) digest.add(textOf(row));
}

/** The rows that have an effect. */
async function* pagesOf<Row>({ name, of, endOf }: Kind<Row>, deps: CopyDeps, store: CopiedStore) {
  const { recordRetentionSeconds, nowSeconds, onProgress, isInterrupted } = deps;
  const from = of(store);
  const { uses = () => true } = of(deps.target);
  const counts = (row: Row) =>
    uses(row) && (endOf === undefined || endOf(row, recordRetentionSeconds) > nowSeconds);
  const total = await from.count();
  let done = 0;
  onProgress(name, done, total);
  for await (const page of from.pages()) {
    yield page.filter(counts);
    done += page.length;
    onProgress(name, done, total);
    if (isInterrupted()) throw new CopyInterrupted(`${done} of the ${name} were read`);
  }
}
