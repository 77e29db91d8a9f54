import type { Decision } from "../core/decision/decision.ts";
import { setTimeoutAfterReads } from "../core/timeout.ts";

/**
 * Maximum number of Checks that wait for a store. It includes Checks whose client has disconnected: Envoy resets their streams,
 * and may open as many new ones. Above the limit a Check is denied (`internal`) without further work.
 */
export const MAX_PENDING_CHECKS = 32 * 1024;

/** How a Check responds. One of these functions is called, once. None of them throws. */
export interface Responses<Response> {
  readonly decided: (decision: Decision) => Response;
  readonly failed: (error: unknown) => Response;
  readonly late: () => Response;
}

export interface PendingChecks {
  isFull(): boolean;
  /** Resolves when the decision settles, or after `waitMs` milliseconds. A decision counts as pending until it settles. */
  respondWithin<Response>(
    decision: Promise<Decision>,
    waitMs: number,
    responses: Responses<Response>,
  ): Promise<Response>;
}

export function createPendingChecks(): PendingChecks {
  let pending = 0;
  return {
    isFull: () => pending >= MAX_PENDING_CHECKS,
    respondWithin(decision, waitMs, responses) {
      pending++;
      // With `withTimeout`, `then` and `catch` each Check would create three more promises.
      return new Promise((resolve) => {
        let isOpen = true;
        const timer = setTimeoutAfterReads(() => {
          if (!isOpen) return;
          isOpen = false;
          resolve(responses.late());
        }, waitMs);
        const isInTime = () => {
          pending--;
          clearTimeout(timer);
          const wasOpen = isOpen;
          isOpen = false;
          return wasOpen;
        };
        decision.then(
          (decided) => {
            if (isInTime()) resolve(responses.decided(decided));
          },
          (error: unknown) => {
            if (isInTime()) resolve(responses.failed(error));
          },
        );
      });
    },
  };
}
