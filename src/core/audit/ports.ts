import type { AuthRequest, UnparsedRequest } from "../decision/request.ts";
import type { Mode } from "../policy/policy.ts";
import type { AuditEvent } from "./audit-event.ts";

/** A stored event of the registry. */
export interface StoredEvent {
  /** Its position. Opaque. */
  readonly cursor: string;
  readonly event: AuditEvent;
  /**
   * Milliseconds at which this store wrote it; absent if unknown. A copied event can be much older. No event before it was
   * written later.
   */
  readonly writtenMs?: number;
}

/** The events of the registry. The store holds the original, and the audit log is written from it. */
export interface AuditStore {
  /** Events that this instance must write to its log. An event is returned again until it is `done`. */
  claim(limit: number): Promise<readonly StoredEvent[]>;
  done(cursors: readonly string[]): Promise<void>;
  /**
   * The newest events, the newest before a cursor, those after a cursor, or the oldest; oldest first. Throws RangeError on an
   * invalid cursor.
   */
  read(query: {
    readonly after?: string;
    readonly before?: string;
    readonly fromOldest?: true;
    readonly limit: number;
  }): Promise<readonly StoredEvent[]>;
  /** Removes logged events that are older than this time (milliseconds). */
  sweep(beforeMs: number): Promise<void>;
}

/** What the audit log and the traces record of a Check beside its decision. */
export interface CheckFacts {
  readonly decisionId: string;
  /** The call that asked for it, named by OpenTelemetry's conventions. It contains nothing that a client chooses. */
  readonly operation: string;
  readonly elapsedNs: bigint;
  /** With `shadow` Envoy let the request through, whatever the decision was. */
  readonly mode: Mode;
  /** Undefined if the request could not be parsed. */
  readonly request: AuthRequest | undefined;
  /** The fields of a request that could not be parsed. */
  readonly unread: UnparsedRequest | undefined;
}

/** One call of the HTTP API, after its response was sent. */
export interface CompletedCall {
  readonly method: string;
  /** The path of its endpoint, with `{name}` for each parameter; absent if no endpoint matched. */
  readonly route?: string;
  readonly status: number;
  readonly elapsedMs: number;
  readonly requestId: string;
  /** The caller, as far as it was authenticated: `admin:…`, `key:…` or `anonymous`. */
  readonly actor: string;
  readonly address: string;
  /** The key id in the path, if it has the form of one. */
  readonly keyId?: string;
  /** The name of the problem in the response. */
  readonly problem?: string;
  /** The lines of its `traceparent` header. */
  readonly traceparent: readonly string[];
}
