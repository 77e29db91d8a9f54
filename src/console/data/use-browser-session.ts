import { useEffect, useState } from "preact/hooks";
import type { BrowserSession, BrowserSessionState } from "./browser-session.ts";

/** What a person does. Calls that a page repeats by itself do not keep a session open. */
const ACTIONS = ["keydown", "pointerdown"] as const;

/** Follows the session, and reports what the person does. */
export function useBrowserSession<Session>(
  sessions: Pick<BrowserSession<Session>, "state" | "subscribe" | "onAction">,
): BrowserSessionState<Session> {
  const [state, setState] = useState(sessions.state);
  useEffect(() => {
    const update = () => setState(sessions.state());
    const onAction = () => sessions.onAction();
    update();
    for (const type of ACTIONS) addEventListener(type, onAction, { passive: true });
    const unsubscribe = sessions.subscribe(update);
    return () => {
      unsubscribe();
      for (const type of ACTIONS) removeEventListener(type, onAction);
    };
  }, [sessions]);
  return state;
}
