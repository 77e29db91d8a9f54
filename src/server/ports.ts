import type { SecretStore } from "../config/secrets.ts";
import type { Settings } from "../config/settings.ts";
import type { AuditStore } from "../core/audit/ports.ts";
import type { KeyStore } from "../core/keys/ports.ts";
import type { MigrationState } from "../core/legacy/migration.ts";
import type { BucketAdmin, DescriptorBuckets, LimitStore, QuotaAdmin } from "../core/limits/ports.ts";
import type { Policy } from "../core/policy/policy.ts";
import type { QuotaThreshold } from "../core/quotas/quota-exchange.ts";
import type { FeedEntry } from "../core/revocation/feed-entry.ts";
import type { InstanceView } from "../core/revocation/instance-view.ts";
import type { UsageStore } from "../core/usage/ports.ts";
import type { InstanceFacts, InstanceHeartbeat, SharedSettings } from "../redis/kid-exchange.ts";
import type { Metrics } from "../telemetry/metrics/metrics.ts";
import type { Channel } from "./channel.ts";
import type { Runtime } from "./runtime.ts";

/** One kind of store, as the setting `STORE` names it. */
export interface StoreDriver {
  /** Rejects if the store cannot be opened. */
  open(options: StoreOptions): Promise<Stores>;
  /** Opens the store's secrets alone, for a command without an instance. Rejects if the store does not respond. */
  openSecrets(settings: Settings): Promise<{ readonly secrets: SecretStore; close(): Promise<void> }>;
}

export interface StoreOptions extends Omit<Runtime, "metrics"> {
  readonly metrics: Pick<Metrics, "store">;
  readonly policy: () => Policy;
  /** The store loads all revocations and overrides into it and keeps it up to date. */
  readonly view: InstanceView;
  readonly events: StoreEvents;
  /** Uses what is in DATA_DIR although the registry that was there before is lost. */
  readonly acceptEmptyRegistry?: boolean;
}

/** What a store reports while an instance runs. */
export interface StoreEvents {
  /** Changes of V1 keys by other instances. */
  readonly legacyEntry: Channel<LegacyEntry>;
  /** Entries may have been missed. A rejection is retried. */
  readonly gap: Channel<void>;
  /** The store may have lost its last writes: it is another primary, or lacks Redis keys. */
  readonly loss: Channel<void>;
  /** The stored migration phase, each second; undefined if the store has lost it. */
  readonly phase: Channel<MigrationState | undefined>;
  /** A subject has used so much of a quota. Once per quota and window, on one instance. */
  readonly threshold: Channel<QuotaThreshold>;
}

export type LegacyEntry = Extract<FeedEntry, { kind: "phase" | "legacy" }>;

/** Where an instance keeps keys, tokens and generated secrets. */
export interface Stores {
  readonly keys: KeyStore;
  /** Buckets, and the counters of quotas. */
  readonly buckets: LimitStore;
  /** Buckets of Envoy's Rate Limit Service. They have a maximum of their own, so that no flood of descriptors reaches keys. */
  readonly descriptorBuckets: DescriptorBuckets;
  readonly bucketAdmin: BucketAdmin;
  readonly quotaAdmin: QuotaAdmin;
  readonly secrets: SecretStore;
  readonly audit: AuditStore;
  readonly usage: UsageStore;
  readonly fleet: Fleet;
  /** Whether the embedded database is still where the next start looks for it. Absent with Redis. */
  readonly isInPlace?: () => boolean;
  /** Undefined for the embedded store. */
  readonly place: () => StorePlace | undefined;
  /** Changes that would be entered again if the store lost them. */
  readonly rememberedChanges: () => number;
  /** Call when the start is complete: from then on each command has its own deadline. */
  onStarted(): void;
}

/** What an instance knows about the other instances of its fleet. */
export interface Fleet {
  /** Milliseconds since the revocation feed was last received; 0 without other instances. */
  stalenessMs(): number;
  /** The store may have lost data. Compares it with what is known here, and writes back what is missing. */
  suspectLoss(): void;
  /** Starts to compare the shared settings with the other instances, and this machine's clock with the store's. */
  compare(own: Comparison): Promise<void>;
  /** Whether the shared settings belong to another fleet. Such an instance changes nothing in the store. */
  differsFromFleet(): boolean;
  /** Milliseconds that this machine's clock is ahead of the store's; negative: behind. */
  clockAheadMs(): number;
  /** The instances of the last heartbeat, this one first. Empty before the first heartbeat, and without other instances. */
  instances(): readonly InstanceHeartbeat[];
}

/** How an instance reaches its store. */
export interface StorePlace {
  readonly topology: string;
  /** Without credentials. */
  readonly primary: string;
  /** Moves to another primary since the start. */
  readonly failovers: number;
  /** Milliseconds since 1970 of the last one. */
  readonly lastFailoverMs?: number;
}

/** What an instance compares with the others. */
export interface Comparison {
  readonly kids: () => readonly string[];
  readonly settings: SharedSettings;
  readonly facts: () => InstanceFacts;
  /** Called when the instance differed before and now belongs to the fleet. */
  readonly onJoin: () => void;
}
