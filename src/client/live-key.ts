import type { LatchkeyClient } from "./client.ts";
import { LatchkeyProblem } from "./problem.ts";
import type { IssuedKey } from "./types.ts";

/** What must be kept of a key: enough to go on after a restart, in the middle of a refresh too. */
export interface KeptKey {
  readonly api_key: string;
  readonly refresh_after: string;
  readonly expires_at: string;
  /** Of a refresh whose answer has not come: the next try must carry the same one. */
  readonly pendingIdempotencyKey?: string;
}

export interface LiveKeyOptions {
  readonly client: Pick<LatchkeyClient, "refresh">;
  readonly key: KeptKey;
  /** Called before a refresh is sent, and with its outcome; the next step waits for it. */
  readonly keep?: (key: KeptKey) => void | Promise<void>;
  readonly nowMs?: () => number;
}

/** Seconds after a refresh that failed, during which the old key is given without another try. */
const RETRY_AFTER_SECONDS = 30;

/**
 * A key that refreshes itself. `current()` gives one that is good now: from `refresh_after` on it refreshes first,
 * once, however many ask, with an `Idempotency-Key` that survives a lost answer. While a refresh fails it gives the
 * old key as long as that is good, and rejects after.
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
