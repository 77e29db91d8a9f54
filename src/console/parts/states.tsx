import type { ComponentChildren } from "preact";
import type { Scope } from "../data/context.ts";
import { formatSeconds } from "../data/format.ts";
import { problemText } from "../data/problem-text.ts";
import type { CallState } from "../data/use-call.ts";
import { useNow } from "../data/use-now.ts";
import { Button } from "./button.tsx";
import { Notice } from "./notice.tsx";

/** @param what completes "Loading …" */
export function Loading({ what }: { readonly what: string }) {
  return (
    <p class="state" role="status">
      Loading {what}…
    </p>
  );
}

/** Says that there is nothing yet, and what to do about it. */
export function Empty({ children }: { readonly children: ComponentChildren }) {
  return <div class="state">{children}</div>;
}

/** @param what completes "There is no such …" */
export function Missing({ what }: { readonly what: string }) {
  return (
    <div class="state">
      <h1>Not found</h1>
      <p>There is no such {what}.</p>
    </div>
  );
}

/** Says which scope the session lacks. */
export function Denied({ scope }: { readonly scope: Scope }) {
  return (
    <div class="state">
      <p>
        This session does not have the scope <code>{scope}</code>. Sign in with a credential that has it.
      </p>
    </div>
  );
}

/** The sentence of a problem with its details, where the action was. */
export function ProblemNotice({ problem }: { readonly problem: unknown }) {
  const { sentence, details, requestId } = problemText(problem);
  return (
    <Notice tone="bad">
      <p>{sentence}</p>
      {details.length > 0 && (
        <ul>
          {details.map((detail) => (
            <li key={detail}>{detail}</li>
          ))}
        </ul>
      )}
      {requestId !== undefined && (
        <p class="hint">
          Call <code>{requestId}</code>
        </p>
      )}
    </Notice>
  );
}

export interface ErrorStateProps {
  readonly problem: unknown;
  onRetry(): void;
}

/** Instead of what could not be loaded. */
export function ErrorState({ problem, onRetry }: ErrorStateProps) {
  return (
    <div class="stack">
      <ProblemNotice problem={problem} />
      <div>
        <Button onClick={onRetry}>Try again</Button>
      </div>
    </div>
  );
}

export interface CallViewProps<T> {
  readonly call: CallState<T>;
  /** Completes "Loading …". */
  readonly what: string;
  readonly children: (value: T) => ComponentChildren;
}

/** What a call has returned: loading, failed, or the value. A value that could not be loaded again shows its age. */
export function CallView<T>({ call, what, children }: CallViewProps<T>) {
  const { value, problem, loadedMs } = call;
  if (value === undefined)
    return problem === undefined ? (
      <Loading what={what} />
    ) : (
      <ErrorState problem={problem} onRetry={call.reload} />
    );
  return (
    <>
      {problem !== undefined && loadedMs !== undefined && (
        <Stale problem={problem} sinceMs={loadedMs} onRetry={call.reload} />
      )}
      {children(value)}
    </>
  );
}

export interface StaleProps extends ErrorStateProps {
  /** When the shown value was loaded, in milliseconds since 1970. */
  readonly sinceMs: number;
}

/** Says that the shown value is old, how old, and why. */
export function Stale({ problem, sinceMs, onRetry }: StaleProps) {
  const age = formatSeconds((useNow() - sinceMs) / 1000);
  return (
    <div class="notice warn stale">
      <p>
        <strong>
          This is <span class="number">{age}</span> old.
        </strong>{" "}
        {problemText(problem).sentence}
      </p>
      <Button onClick={onRetry}>Try again</Button>
    </div>
  );
}
