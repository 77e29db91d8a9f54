import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { Database } from "./database.ts";
import type { RevocationReader } from "./revocation-reader.ts";

/** What the store's thread does for the thread that decides. */
export interface ThreadStores {
  readonly keys: Omit<KeyStore, "revocations">;
  readonly revocations: RevocationReader;
  readonly audit: AuditStore;
  readonly database: Pick<Database, "close" | "checkPlace"> & {
    /** As {@link wasOpenLately}. */
    readonly wasOpenLately: (nowMs: number) => boolean;
  };
}

/** What the thread is started with. */
export interface ThreadOptions {
  readonly dataDir: string;
  /** How long a record stays after its key's end, so that "expired" can be told from "unknown". */
  readonly recordRetentionSeconds: number;
  /** Goes on with what is there, though a registry that was there before is lost. */
  readonly acceptEmptyRegistry: boolean;
}

/** One call: its answer bears its number. */
export interface StoreCall {
  readonly id: number;
  readonly store: keyof ThreadStores;
  readonly call: string;
  readonly args: readonly unknown[];
  /** The store's clock, milliseconds, when it was asked. */
  readonly nowMs: number;
}

/** Number 0 says whether the database is open. */
export type StoreAnswer =
  | { readonly id: number; readonly value: unknown }
  /** The copy of an error keeps its name, message and stack; its code stands beside it. */
  | { readonly id: number; readonly error: unknown; readonly code?: string };
