import type { LatchkeyClient } from "./client.ts";
import { LatchkeyProblem } from "./problem.ts";
import type { IssuedKey } from "./types.ts";

/** The state to store for a key, so that a restarted process can continue, even in the middle of a refresh. */
export interface KeptKey {
  readonly api_key: string;
  readonly refresh_after: string;
  readonly expires_at: string;
  /** Set while a refresh has no response yet. The next attempt must send the same value. */
  readonly pendingIdempotencyKey?: string;
}

export interface LiveKeyOptions {
  readonly client: Pick<LatchkeyClient, "refresh">;
  readonly key: KeptKey;
  /** Stores the key. Called before a refresh is sent and with its result; the next step waits for it. */
  readonly keep?: (key: KeptKey) => void | Promise<void>;
  readonly nowMs?: () => number;
}

/** Seconds after a failed refresh during which the old key is returned without another attempt. */
const RETRY_AFTER_SECONDS = 30;

/**
 * A key that refreshes itself. `current()` returns a valid key. From `refresh_after` on it refreshes first: once for all
 * concurrent callers, with an `Idempotency-Key` that makes a lost response harmless. If the refresh fails, it returns the
 * old key until that expires, and rejects afterwards.
 */
export function createLiveKey(options: LiveKeyOptions): { current(): Promise<string> } {
  const nowMs = options.nowMs ?? Date.now;
  let key = options.key;
  let refreshing: Promise<void> | undefined;
  let notBeforeMs = 0;

  const refresh = async (): Promise<void> => {
    const idempotencyKey = key.pendingIdempotencyKey ?? crypto.randomUUID();
    key = { ...key, pendingIdempotencyKey: idempotencyKey };
    await options.keep?.(key);
    const { api_key, refresh_after, expires_at }: IssuedKey = await options.client.refresh(key.api_key, {
      idempotencyKey,
    });
    key = { api_key, refresh_after, expires_at };
    await options.keep?.(key);
  };

  const refreshOrWait = async (): Promise<void> => {
    try {
      await refresh();
    } catch (error) {
      const waitSeconds =
        (error instanceof LatchkeyProblem && error.retryAfterSeconds) || RETRY_AFTER_SECONDS;
      notBeforeMs = nowMs() + waitSeconds * 1000;
      if (nowMs() >= Date.parse(key.expires_at)) throw error;
    } finally {
      refreshing = undefined;
    }
  };

  return {
    async current() {
      const now = nowMs();
      const expired = now >= Date.parse(key.expires_at);
      if (now >= Date.parse(key.refresh_after) && (now >= notBeforeMs || expired)) {
        refreshing ??= refreshOrWait();
        await refreshing;
      }
      return key.api_key;
    },
  };
}
