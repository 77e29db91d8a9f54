import type { QuotaReply, QuotaStep } from "../core/quotas/quota-step.ts";
import type { QuotaStore } from "../core/quotas/quota-store.ts";
import type { CounterStep } from "./quota-store.ts";

type TakeSteps = (steps: readonly CounterStep[]) => Promise<readonly QuotaReply[]>;

/** Other calls to the store wait behind one transaction. */
const MAX_STEPS = 500;

interface WaitingStep extends CounterStep {
  readonly resolve: (reply: QuotaReply) => void;
  readonly reject: (error: unknown) => void;
}

/**
 * The counters as rows of SQLite. The steps that arrive during a transaction share the next one, because each transaction waits for
 * the disk.
 */
export function createQuotaStore(takeSteps: TakeSteps): QuotaStore {
  let waiting: WaitingStep[] = [];
  let isRunning = false;
  const run = async (): Promise<void> => {
    // The steps of Checks that arrived together.
    await Promise.resolve();
    while (waiting.length > 0) {
      const steps = waiting.slice(0, MAX_STEPS);
      waiting = waiting.slice(MAX_STEPS);
      await takeAll(takeSteps, steps);
    }
    isRunning = false;
  };
  return {
    step(counterId: string, step: QuotaStep) {
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

async function takeAll(takeSteps: TakeSteps, steps: readonly WaitingStep[]): Promise<void> {
  try {
    const replies = await takeSteps(steps.map(({ counterId, step }) => ({ counterId, step })));
    for (const [index, { resolve, reject }] of steps.entries()) {
      const reply = replies[index];
      if (reply === undefined) reject(new Error("the store did not answer a step"));
      else resolve(reply);
    }
  } catch (error) {
    for (const { reject } of steps) reject(error);
  }
}
