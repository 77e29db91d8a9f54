import { useCallback, useEffect, useRef, useState } from "preact/hooks";
import type { AuditExportFilter } from "../../../client/audit-calls.ts";
import type { AuditEvents, AuditQuery } from "../../../client/types.ts";
import { useClient, useSessions } from "../../data/context.ts";

export type AuditEvent = AuditEvents["events"][number];

export interface EventList {
  /** Newest first; undefined before the first page. */
  readonly events: readonly AuditEvent[] | undefined;
  /** How many of them came while following, in the last round. */
  readonly fresh: number;
  /** Whether earlier events may match. */
  readonly hasEarlier: boolean;
  readonly isLoading: boolean;
  readonly problem: unknown;
  /** When the newest page arrived, in milliseconds since 1970. */
  readonly loadedMs: number | undefined;
  loadEarlier(): void;
  reload(): void;
}

interface Loaded {
  readonly events: readonly AuditEvent[];
  readonly newest: string | undefined;
  readonly earlier: string | undefined;
  readonly fresh: number;
}

const PAGE_SIZE = 100;
const FOLLOW_PAGE_SIZE = 500;
const FOLLOW_EVERY_MS = 2000;
/** Rows of the page: a browser with more of them gets slow. */
const MAX_ROWS = 2000;

/** The events that match, page by page, and those that come while the page follows. */
export function useEvents(filter: AuditExportFilter, isFollowing: boolean): EventList {
  const client = useClient();
  const [loaded, setLoaded] = useState<Loaded | undefined>(undefined);
  const { state, run, forget } = usePages();
  const read = useCallback(
    (page: AuditQuery) => client.audit({ ...filter, order: "newest", ...page }),
    [client, filter],
  );
  const reload = useCallback(() => {
    forget();
    run(read({ limit: PAGE_SIZE }), (page) => setLoaded(firstPage(page)));
  }, [read, run, forget]);
  useEffect(() => {
    setLoaded(undefined);
    reload();
    return forget;
  }, [reload, forget]);
  const loadEarlier = () => {
    const before = loaded?.earlier;
    if (before === undefined || state.isLoading) return;
    run(read({ limit: PAGE_SIZE, before }), (page) =>
      setLoaded((known) => known && withEarlier(known, page)),
    );
  };
  const newest = loaded?.newest ?? "oldest";
  const follow = useCallback(
    () =>
      run(read({ limit: FOLLOW_PAGE_SIZE, after: newest }), (page) =>
        setLoaded((known) => known && withLater(known, page)),
      ),
    [read, run, newest],
  );
  useTimer(isFollowing && loaded !== undefined && !state.isLoading, follow);
  return {
    events: loaded?.events,
    fresh: loaded?.fresh ?? 0,
    hasEarlier: loaded?.earlier !== undefined && loaded.events.length < MAX_ROWS,
    ...state,
    loadEarlier,
    reload,
  };
}

type PageState = Pick<EventList, "isLoading" | "problem" | "loadedMs">;

/** Loads pages one after the other. After `forget`, the response to an earlier call changes nothing. */
function usePages() {
  const sessions = useSessions();
  const generation = useRef(0);
  const [state, setState] = useState<PageState>({ isLoading: true, problem: undefined, loadedMs: undefined });
  const run = useCallback(
    (call: Promise<AuditEvents>, merge: (page: AuditEvents) => void): void => {
      const own = generation.current;
      setState((before) => ({ ...before, isLoading: true }));
      call.then(
        (page) => {
          if (own !== generation.current) return;
          merge(page);
          setState({ isLoading: false, problem: undefined, loadedMs: Date.now() });
        },
        (problem: unknown) => {
          if (own !== generation.current) return;
          sessions.onProblem(problem);
          setState((before) => ({ ...before, isLoading: false, problem }));
        },
      );
    },
    [sessions],
  );
  const forget = useCallback(() => void generation.current++, []);
  return { state, run, forget };
}

/** Calls `follow` after a while, and when the page becomes visible. */
function useTimer(isActive: boolean, follow: () => void): void {
  useEffect(() => {
    if (!isActive) return undefined;
    const followIfVisible = () => {
      if (document.visibilityState === "visible") follow();
    };
    const timer = setTimeout(followIfVisible, FOLLOW_EVERY_MS);
    document.addEventListener("visibilitychange", followIfVisible);
    return () => {
      clearTimeout(timer);
      document.removeEventListener("visibilitychange", followIfVisible);
    };
  }, [isActive, follow]);
}

function firstPage({ events, next_cursor, previous_cursor }: AuditEvents): Loaded {
  return { events, newest: next_cursor ?? undefined, earlier: previous_cursor ?? undefined, fresh: 0 };
}

function withEarlier(known: Loaded, { events, previous_cursor }: AuditEvents): Loaded {
  return { ...known, events: [...known.events, ...events], earlier: previous_cursor ?? undefined };
}

/** Rows that no longer fit are reached again with the last row's cursor. */
function withLater(known: Loaded, { events, next_cursor }: AuditEvents): Loaded {
  const all = [...events, ...known.events];
  const kept = all.slice(0, MAX_ROWS);
  return {
    events: kept,
    newest: next_cursor ?? known.newest,
    earlier: all.length > kept.length ? kept.at(-1)?.cursor : known.earlier,
    fresh: events.length,
  };
}
