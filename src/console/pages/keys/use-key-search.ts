import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { Key } from "../../../client/types.ts";
import { useClient, useSessions } from "../../data/context.ts";
import type { Search } from "./key-search.ts";
import { filterOf } from "./key-search.ts";

/** How many more keys one run looks for. */
const STEP = 100;

interface Found {
  readonly keys: readonly Key[];
  /** Records that the server has read. */
  readonly examined: number;
  /** Undefined: nothing was read yet. Null: nothing more follows. */
  readonly cursor: string | null | undefined;
}

/** A search that runs page by page, and shows what it has found so far. */
export interface KeySearch extends Found {
  readonly isRunning: boolean;
  readonly problem: unknown;
  /** Looks for more keys, or continues after a problem. */
  more(): void;
  /** Ends the run. What was found stays. */
  stop(): void;
  /** Searches again from the start. */
  restart(): void;
}

const NOTHING: Found = { keys: [], examined: 0, cursor: undefined };

export function useKeySearch(search: Search): KeySearch {
  const client = useClient();
  const sessions = useSessions();
  const [found, setFound] = useState<Found>(NOTHING);
  const [isRunning, setRunning] = useState(true);
  const [problem, setProblem] = useState<unknown>(undefined);
  /** The number of the present run. An earlier run changes nothing any more. */
  const run = useRef(0);
  const text = JSON.stringify(filterOf(search));
  const read = useCallback(
    async (from: Found) => {
      const own = ++run.current;
      setRunning(true);
      setProblem(undefined);
      let now = from;
      try {
        do {
          const limit = from.keys.length + STEP - now.keys.length;
          const cursor = now.cursor ?? undefined;
          const page = await client.keys.list({ ...JSON.parse(text), limit, ...(cursor && { cursor }) });
          if (own !== run.current) return;
          now = {
            keys: [...now.keys, ...page.keys],
            examined: now.examined + page.examined,
            cursor: page.next_cursor,
          };
          setFound(now);
        } while (now.cursor !== null && now.keys.length < from.keys.length + STEP);
      } catch (failure) {
        sessions.onProblem(failure);
        if (own === run.current) setProblem(failure);
      }
      if (own === run.current) setRunning(false);
    },
    [client, sessions, text],
  );
  useEffect(() => {
    setFound(NOTHING);
    void read(NOTHING);
    return () => void run.current++;
  }, [read]);
  const restart = () => void read(NOTHING);
  const stop = () => {
    run.current++;
    setRunning(false);
  };
  return { ...found, isRunning, problem, more: () => void read(found), stop, restart };
}
