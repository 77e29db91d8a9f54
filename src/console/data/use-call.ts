import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import { useSessions } from "./context.ts";

/** The state of a call. The last value stays while the call is repeated, and when it fails. */
export interface CallState<T> {
  readonly value: T | undefined;
  /** Of the last call; undefined after a success. */
  readonly problem: unknown;
  readonly isLoading: boolean;
  /** When the value arrived, in milliseconds since 1970. */
  readonly loadedMs: number | undefined;
  /** Repeats the call. */
  reload(): void;
}

type Result<T> = Omit<CallState<T>, "reload">;

const NOTHING = { value: undefined, problem: undefined, isLoading: true, loadedMs: undefined } as const;

/**
 * Makes a call that reads, and repeats it.
 * @param call makes the call. It must change only with what it reads: wrap it in `useCallback`
 * @param everyMs repeats the call this long after its end, while the page is visible
 */
export function useCall<T>(call: () => Promise<T>, everyMs?: number): CallState<T> {
  const sessions = useSessions();
  const [state, setState] = useState<Result<T>>(NOTHING);
  /** The number of the last call, so that an earlier one that ends later changes nothing. */
  const last = useRef(0);
  const run = useCallback(() => {
    const own = ++last.current;
    setState((before) => ({ ...before, isLoading: true }));
    const end = (result: Partial<Result<T>>) => {
      if (own === last.current) setState((before) => ({ ...before, isLoading: false, ...result }));
    };
    call().then(
      (value) => end({ value, problem: undefined, loadedMs: Date.now() }),
      (problem: unknown) => {
        sessions.onProblem(problem);
        end({ problem });
      },
    );
  }, [call, sessions]);
  useEffect(() => {
    setState(NOTHING);
    run();
    return () => void last.current++;
  }, [run]);
  const { isLoading } = state;
  useEffect(() => {
    if (everyMs === undefined || isLoading) return undefined;
    const runIfVisible = () => {
      if (document.visibilityState === "visible") run();
    };
    const timer = setTimeout(runIfVisible, everyMs);
    document.addEventListener("visibilitychange", runIfVisible);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", runIfVisible);
    };
  }, [everyMs, isLoading, run]);
  return { ...state, reload: run };
}
