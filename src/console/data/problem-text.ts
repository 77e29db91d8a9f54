import { LatchkeyProblem, LatchkeyUnreachable } from "../../client/problem.ts";
import { SignInRejected } from "./sign-in-text.ts";

/** What a problem says to a person. */
export interface ProblemText {
  readonly sentence: string;
  readonly details: readonly string[];
  /** The id of the call, with which an operator finds its audit lines. */
  readonly requestId?: string | undefined;
}

export function problemText(problem: unknown): ProblemText {
  if (problem instanceof LatchkeyProblem) {
    const wait = problem.retryAfterSeconds;
    const details = [
      ...(problem.detail?.split("\n") ?? []),
      ...problem.errors.map(({ pointer, detail }) => `${pointer.replace(/^#\/?/, "") || "body"} ${detail}`),
      ...(wait === undefined ? [] : [`Try again in ${wait} s.`]),
    ];
    return { sentence: problem.message, details, requestId: problem.requestId };
  }
  if (problem instanceof LatchkeyUnreachable)
    return {
      sentence: "Latchkey does not respond. Check the connection, and try again.",
      details: [],
    };
  if (problem instanceof SignInRejected) return { sentence: problem.message, details: [] };
  const message = problem instanceof Error ? problem.message : String(problem);
  return { sentence: "The console failed.", details: [message] };
}
