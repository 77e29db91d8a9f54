import type { QuotaReply, QuotaStep } from "../core/quotas/quota-step.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";
import { StoreUnavailable } from "../core/store-unavailable.ts";
import { withTimeout } from "../core/timeout.ts";
import type { CounterStep } from "./quota-store.ts";

type TakeSteps = (steps: readonly CounterStep[]) => Promise<readonly QuotaReply[]>;

/** Other calls to the store wait behind one transaction. */
const MAX_STEPS = 500;
/** After a longer transaction the counters count as unavailable. A disk that hangs must not collect Checks without bound. */
const WAIT_MS = 1000;

interface WaitingStep extends CounterStep {
  readonly resolve: (reply: QuotaReply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The counters as rows of SQLite. The steps that arrive during a transaction share the next one, because each transaction waits for
 * the disk. While a transaction takes too long, all steps reject. It may still be committed.
 */
export function createQuotaStore(takeSteps: TakeSteps): QuotaStore {
  let waiting: WaitingStep[] = [];
  let isRunning = false;
  let isLate = false;
  const takeInTime = async (steps: readonly WaitingStep[]): Promise<void> => {
    const taken = takeAll(takeSteps, steps);
    isLate = await withTimeout(
      taken.then(() => false),
      WAIT_MS,
      () => true,
    );
    if (!isLate) return;
    rejectAll([...steps, ...waiting], unavailable());
    waiting = [];
    await taken;
    isLate = false;
  };
  const run = async (): Promise<void> => {
    // The steps of Checks that arrived together.
    await Promise.resolve();
    while (waiting.length > 0) {
      const steps = waiting.slice(0, MAX_STEPS);
      waiting = waiting.slice(MAX_STEPS);
      await takeInTime(steps);
    }
    isRunning = false;
  };
  return {
    step(counterId: string, step: QuotaStep) {
      if (isLate) return Promise.reject(unavailable());
      const { promise, resolve, reject } = Promise.withResolvers<QuotaReply>();
      waiting.push({ counterId, step, resolve, reject });
      if (!isRunning) {
        isRunning = true;
        void run();
      }
      return promise;
    },
  };
}

function unavailable(): StoreUnavailable {
  return new StoreUnavailable("the embedded store did not respond in time", { cause: undefined });
}

function rejectAll(steps: readonly WaitingStep[], error: unknown): void {
  for (const { reject } of steps) reject(error);
}

async function takeAll(takeSteps: TakeSteps, steps: readonly WaitingStep[]): Promise<void> {
  try {
    const replies = await takeSteps(steps.map(({ counterId, step }) => ({ counterId, step })));
    for (const [index, { resolve, reject }] of steps.entries()) {
      const reply = replies[index];
      if (reply === undefined) reject(new Error("the store did not answer a step"));
      else resolve(reply);
    }
  } catch (error) {
    rejectAll(steps, error);
  }
}
