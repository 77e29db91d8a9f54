import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { UsageStore } from "../core/usage/ports.ts";
import type { UsageRetention } from "../core/usage/usage-time.ts";
import type { Database } from "./database.ts";
import type { ViewReader } from "./view-reader.ts";

/** The stores in the store's thread. */
export interface ThreadStores {
  readonly keys: Omit<KeyStore, "viewEntries">;
  readonly view: ViewReader;
  readonly audit: AuditStore;
  readonly usage: UsageStore;
  readonly database: Pick<Database, "close" | "checkPlace"> & {
    /** As {@link wasOpenRecently}. */
    readonly wasOpenRecently: (nowMs: number) => boolean;
  };
}

/** The options of the store's thread. */
export interface ThreadOptions {
  readonly dataDir: string;
  /** How long a record stays after its key's end, so that an expired key is not reported as unknown. */
  readonly recordRetentionSeconds: number;
  /** Identifies this process in the numbers of its postings. */
  readonly instanceId: string;
  readonly usageRetention: UsageRetention;
  /** Accepts the present contents although an earlier registry is lost. */
  readonly acceptEmptyRegistry: boolean;
}

/** One call. Its response has the same id. */
export interface StoreCall {
  readonly id: number;
  readonly store: keyof ThreadStores;
  readonly call: string;
  readonly args: readonly unknown[];
  /** The store's clock in milliseconds at the time of the call. */
  readonly nowMs: number;
}

/** The response to a call. Id 0 reports whether the database was opened. */
export type StoreResponse =
  | { readonly id: number; readonly value: unknown }
  /** The thread's copy of an error keeps name, message and stack, but not its code. */
  | { readonly id: number; readonly error: unknown; readonly code?: string };
