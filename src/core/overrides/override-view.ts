import { createPackedRows } from "../revocation/packed-rows.ts";
import type { OverrideSubject, StoredOverride } from "./override.ts";
import { isInForce } from "./override.ts";
import { encodeOverride } from "./override-codec.ts";
import type { OverrideContents } from "./override-contents.ts";
import { createOverrideContents } from "./override-contents.ts";

type Scope = OverrideSubject["scope"];

/** Finds what applies to a key, in memory. */
export interface OverrideFinder {
  /** The override that applies at a time; undefined if the subject has no override, or one that has expired or was cleared. */
  inForce(scope: Scope, subject: string, nowMs: number): StoredOverride | undefined;
  /** Changes with every change of an override. */
  generation(): number;
}

/** For decisions without overrides. */
export const NO_OVERRIDES: OverrideFinder = {
  inForce: () => undefined,
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

export function createOverrideView(): OverrideView {
  const contents = createOverrideContents();
  const table = { family: createTable("family", contents), owner: createTable("owner", contents) };
  let generation = 0;
  const entryOf = ({ scope, subject }: OverrideSubject) => table[scope].get(subject);
  function* entries() {
    yield* table.family.entries();
    yield* table.owner.entries();
  }
  const remove = ({ scope, subject }: OverrideSubject) => {
    table[scope].delete(subject);
    generation++;
  };
  return {
    inForce(scope, subject, nowMs) {
      const override = table[scope].get(subject);
      return override !== undefined && isInForce(override, nowMs) ? override : undefined;
    },
    generation: () => generation,
    apply(override) {
      if (!replaces(override, entryOf(override))) return;
      table[override.scope].set(override);
      generation++;
    },
    includes: (override) => !replaces(override, entryOf(override)),
    entryOf,
    entries,
    delete: remove,
    clear() {
      for (const entry of [...entries()]) remove(entry);
    },
    size: () => table.family.size() + table.owner.size(),
  };
}

/** Columns of a row. */
const VERSION = 0;
const EXPIRES_AT = 1;
const CONTENT = 2;
const NOTE = 3;
const COLUMNS = 4;

/** The overrides of families, or those of owners. */
function createTable(scope: Scope, contents: OverrideContents) {
  const rows = createPackedRows(COLUMNS);
  const read = (subject: string, place: number): StoredOverride => {
    const expiresAt = rows.number(place, EXPIRES_AT);
    const content = contents.get(rows.number(place, CONTENT), rows.number(place, NOTE));
    return {
      kind: "override",
      scope,
      subject,
      version: rows.number(place, VERSION),
      ...(expiresAt === 0 ? {} : { expiresAt }),
      ...(content === undefined ? {} : { content }),
    };
  };
  const removeContent = (subject: string) => {
    const place = rows.placeOf(subject);
    if (place !== -1) contents.remove(rows.number(place, CONTENT), rows.number(place, NOTE));
  };
  return {
    get(subject: string): StoredOverride | undefined {
      const place = rows.placeOf(subject);
      return place === -1 ? undefined : read(subject, place);
    },
    set({ subject, version, expiresAt = 0, content }: StoredOverride): void {
      removeContent(subject);
      const places = content === undefined ? [0, 0] : contents.add(content);
      rows.set(subject, [version, expiresAt, ...places]);
    },
    delete(subject: string): void {
      removeContent(subject);
      rows.delete(subject);
    },
    *entries(): Iterable<StoredOverride> {
      for (const [subject, place] of rows.entries()) yield read(subject, place);
    },
    size: rows.size,
  };
}

/**
 * Whether an override replaces the known one. Two primaries can give one version to different contents; then the texts decide,
 * so that all instances choose the same.
 */
function replaces(override: StoredOverride, known: StoredOverride | undefined): boolean {
  if (known === undefined) return true;
  if (override.version !== known.version) return override.version > known.version;
  return encodeOverride(override) > encodeOverride(known);
}
