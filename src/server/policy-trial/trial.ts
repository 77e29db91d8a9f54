import type { PolicyTrial, TrialFacts, TrialOutcome } from "../../api/admin/policy-check-route.ts";
import type { CheckedPolicy } from "../../api/admin/policy-check-schemas.ts";
import { errorMessage } from "../../core/error-message.ts";
import type { PolicySource } from "../../policy/file.ts";
import { messageOf, withThread } from "../../policy/thread.ts";

// The file beside this one, in src/ and in dist/.
const THREAD = new URL(import.meta.url.replace(/trial(\.[jt]s)$/, "trial-thread$1"));

/** A policy of 10,000 routes takes a few seconds. */
const MAX_TRIAL_MS = 30_000;
/** Each holds a body of at most 2 MiB. */
const MAX_WAITING = 2;

/** What the thread of a trial works with. */
export interface TrialData extends TrialFacts {
  readonly body: string;
  /** Everything but the text of the policy. */
  readonly source: PolicySource;
  /** `AUDIT_FILE`; undefined if it is off. */
  readonly auditFile: string | undefined;
}

export interface PolicyTrialOptions {
  readonly source: PolicySource;
  readonly auditFile: string | undefined;
  readonly maxMs?: number;
}

/**
 * Runs one trial at a time, each in a thread of its own. The thread ends with it, whatever the policy makes it do. A few further
 * trials wait.
 */
export function createPolicyTrial({
  source,
  auditFile,
  maxMs = MAX_TRIAL_MS,
}: PolicyTrialOptions): PolicyTrial {
  let pending = 0;
  let last: Promise<unknown> = Promise.resolve();
  const runNow = async (data: TrialData): Promise<TrialOutcome> => {
    try {
      return await withThread<TrialOutcome>(THREAD, data, maxMs, messageOf);
    } catch (error) {
      return { kind: "done", text: JSON.stringify(failedTrial(errorMessage(error))) };
    } finally {
      pending--;
    }
  };
  return {
    async run(body, facts) {
      if (pending > MAX_WAITING) return { kind: "busy" };
      pending++;
      const trial = last.then(() => runNow({ ...facts, body, source, auditFile }));
      last = trial;
      return trial;
    },
  };
}

function failedTrial(why: string): CheckedPolicy {
  return {
    ok: false,
    problems: [{ line: 1, detail: `the policy cannot be checked: ${why}` }],
    warnings: [],
    summary: null,
    lacking_plans: [],
    cases: null,
    replay: null,
  };
}
