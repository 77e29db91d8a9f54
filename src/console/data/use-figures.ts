import { useCallback, useEffect, useState } from "preact/hooks";
import type { Figures } from "../../client/types.ts";
import { useClient, useSessions } from "./context.ts";

/** One point of the chart. */
export interface RatePoint {
  /** Seconds since 1970. */
  readonly at: number;
  readonly allowed: number;
  readonly denied: number;
}

export interface LiveFigures {
  /** The last ones, also while the stream is lost. */
  readonly figures: Figures | undefined;
  /** Oldest first, while the page was open. */
  readonly history: readonly RatePoint[];
  /** Why there is no stream at the moment. */
  readonly problem: unknown;
  /** When the last figures arrived, in milliseconds since 1970. */
  readonly receivedMs: number | undefined;
  retry(): void;
}

type State = Omit<LiveFigures, "retry">;

/** Ten minutes at one event every two seconds. */
const MAX_POINTS = 300;
const MAX_POINT_SECONDS = 10;
const RETRY_MS = 3000;

const NOTHING: State = { figures: undefined, history: [], problem: undefined, receivedMs: undefined };

/** Follows the figures of the instance while the page is visible, and connects again after a failure. */
export function useFigures(): LiveFigures {
  const client = useClient();
  const sessions = useSessions();
  const [state, setState] = useState(NOTHING);
  const [attempt, setAttempt] = useState(0);
  const retry = useCallback(() => setAttempt((before) => before + 1), []);
  // Each attempt opens another stream.
  useEffect(() => {
    const abort = new AbortController();
    let timer: number | undefined;
    const follow = async () => {
      try {
        for await (const figures of client.figures(abort.signal))
          setState((before) => withFigures(before, figures));
      } catch (problem) {
        if (abort.signal.aborted) return;
        sessions.onProblem(problem);
        setState((before) => ({ ...before, problem }));
      }
      if (!abort.signal.aborted) timer = setTimeout(retry, RETRY_MS);
    };
    const onVisibility = () => {
      if (document.visibilityState === "visible") retry();
      else abort.abort();
    };
    document.addEventListener("visibilitychange", onVisibility);
    if (document.visibilityState === "visible") void follow();
    return () => {
      abort.abort();
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", onVisibility);
    };
  }, [client, sessions, attempt, retry]);
  return { ...state, retry };
}

function withFigures({ history }: State, figures: Figures): State {
  const { allowed, denied } = ratesOf(figures);
  const point = { at: Date.parse(figures.at) / 1000, allowed, denied };
  // The first figures of a stream can be the average of hours.
  const points = figures.seconds > MAX_POINT_SECONDS ? [] : [point];
  return {
    figures,
    history: [...history, ...points].slice(-MAX_POINTS),
    problem: undefined,
    receivedMs: Date.now(),
  };
}

/** Requests per second that went on, and that were denied. Shadow mode denies nothing. */
export function ratesOf({ decisions }: Pick<Figures, "decisions">): Omit<RatePoint, "at"> {
  const sum = { allowed: 0, denied: 0 };
  for (const { verdict, mode, per_second } of decisions)
    sum[verdict === "allow" || mode === "shadow" ? "allowed" : "denied"] += per_second;
  return sum;
}
