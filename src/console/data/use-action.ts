import { useCallback, useState } from "preact/hooks";
import { useSessions } from "./context.ts";

/** The state of a call that changes something. */
export interface Action<Input extends readonly unknown[], T> {
  readonly isRunning: boolean;
  /** Of the last run; undefined after a success. */
  readonly problem: unknown;
  /** Resolves with undefined if the call fails; then `problem` says why. */
  run(...input: Input): Promise<T | undefined>;
  /** Forgets the problem. */
  reset(): void;
}

/** Runs a call on the person's demand. A second run during the first one does nothing. */
export function useAction<Input extends readonly unknown[], T>(
  call: (...input: Input) => Promise<T>,
): Action<Input, T> {
  const sessions = useSessions();
  const [isRunning, setRunning] = useState(false);
  const [problem, setProblem] = useState<unknown>(undefined);
  const run = async (...input: Input) => {
    if (isRunning) return undefined;
    setRunning(true);
    setProblem(undefined);
    try {
      return await call(...input);
    } catch (failure) {
      sessions.onProblem(failure);
      setProblem(failure);
      return undefined;
    } finally {
      setRunning(false);
    }
  };
  const reset = useCallback(() => setProblem(undefined), []);
  return { isRunning, problem, run, reset };
}
