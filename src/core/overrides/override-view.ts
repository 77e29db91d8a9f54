import type { PackedRows } from "../revocation/packed-rows.ts";
import { createPackedRows } from "../revocation/packed-rows.ts";
import type { OverrideContent, OverrideSubject, StoredOverride } from "./override.ts";
import { forgetAt } from "./override.ts";
import { encodeOverride } from "./override-codec.ts";
import { createOverrideContents } from "./override-contents.ts";

/** Finds what applies to a key, in memory. */
export interface OverrideFinder {
  /** The content that is in force at a time; undefined without one. Allocates nothing. */
  find(scope: OverrideSubject["scope"], subject: string, nowMs: number): OverrideContent | undefined;
  /** NumericDate at which that content expires; `Infinity` if it does not. */
  expiryOf(scope: OverrideSubject["scope"], subject: string): number;
  /** Changes with every change of an override. */
  generation(): number;
}

/** For decisions without overrides. */
export const NO_OVERRIDES: OverrideFinder = {
  find: () => undefined,
  expiryOf: () => Number.POSITIVE_INFINITY,
  generation: () => 0,
};

/** All overrides, in memory, so that a Check reads no record. */
export interface OverrideView extends OverrideFinder {
  /** Applies an override in any order and any number of times. Of one subject, the highest version counts. */
  apply(override: StoredOverride): void;
  /** Whether applying the override would change nothing. */
  includes(override: StoredOverride): boolean;
  /** The known entry of a subject, which may have expired or be cleared. */
  entryOf(of: OverrideSubject): StoredOverride | undefined;
  entries(): Iterable<StoredOverride>;
  delete(of: OverrideSubject): void;
  clear(): void;
  /** The number of entries, including the expired and cleared ones. */
  size(): number;
}

/** Columns of a row. */
const VERSION = 0;
const EXPIRES_AT = 1;
const CONTENT = 2;

export function createOverrideView(): OverrideView {
  const rows = { family: createPackedRows(3), owner: createPackedRows(3) };
  const contents = createOverrideContents();
  let generation = 0;
  const read = (scope: OverrideSubject["scope"], subject: string, place: number): StoredOverride => {
    const expiresAt = rows[scope].number(place, EXPIRES_AT);
    const content = contents.get(rows[scope].number(place, CONTENT));
    return {
      kind: "override",
      scope,
      subject,
      version: rows[scope].number(place, VERSION),
      ...(expiresAt === 0 ? {} : { expiresAt }),
      ...(content === undefined ? {} : { content }),
    };
  };
  const entryOf = ({ scope, subject }: OverrideSubject) => {
    const place = rows[scope].placeOf(subject);
    return place === -1 ? undefined : read(scope, subject, place);
  };
  const removeContent = ({ scope, subject }: OverrideSubject) => {
    const place = rows[scope].placeOf(subject);
    if (place !== -1) contents.remove(rows[scope].number(place, CONTENT));
    generation++;
  };
  function* entries() {
    for (const scope of ["family", "owner"] as const)
      for (const [subject, place] of rows[scope].entries()) yield read(scope, subject, place);
  }
  return {
    find: (scope, subject, nowMs) => {
      const place = rows[scope].placeOf(subject);
      if (place === -1) return undefined;
      const expiresAt = rows[scope].number(place, EXPIRES_AT);
      if (expiresAt !== 0 && nowMs >= expiresAt * 1000) return undefined;
      return contents.get(rows[scope].number(place, CONTENT));
    },
    expiryOf: (scope, subject) => expiryIn(rows[scope], subject),
    generation: () => generation,
    apply(override) {
      const { scope, subject, version, expiresAt = 0, content } = override;
      if (!replaces(override, entryOf(override))) return;
      removeContent(override);
      rows[scope].set(subject, [version, expiresAt, content === undefined ? 0 : contents.add(content)]);
    },
    includes: (override) => !replaces(override, entryOf(override)),
    entryOf,
    entries,
    delete(of) {
      removeContent(of);
      rows[of.scope].delete(of.subject);
    },
    clear() {
      for (const entry of entries()) removeContent(entry);
      rows.family.clear();
      rows.owner.clear();
    },
    size: () => rows.family.size() + rows.owner.size(),
  };
}

function expiryIn(rows: PackedRows, subject: string): number {
  const place = rows.placeOf(subject);
  const expiresAt = place === -1 ? 0 : rows.number(place, EXPIRES_AT);
  return expiresAt === 0 ? Number.POSITIVE_INFINITY : expiresAt;
}

/**
 * Whether an override replaces the known one. Two primaries can give one version to different contents; then the texts decide,
 * so that all instances choose the same.
 */
function replaces(override: StoredOverride, known: StoredOverride | undefined): boolean {
  if (known === undefined || override.version !== known.version)
    return known === undefined || override.version > known.version;
  return encodeOverride(override) > encodeOverride(known);
}

/** Whether nothing needs an entry after a time (NumericDate). */
export function isForgettable(override: StoredOverride, before: number): boolean {
  return forgetAt(override) <= before;
}
