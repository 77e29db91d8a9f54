import { createContext } from "preact";
import { useContext } from "preact/hooks";
import type { LatchkeyClient } from "../../client/client.ts";
import type { ConsoleSession } from "../../client/types.ts";
import type { ConsoleSessions } from "./session.ts";

/** What every page works with. */
export interface ConsoleContext {
  readonly sessions: ConsoleSessions;
  readonly session: ConsoleSession;
}

export const Console = createContext<ConsoleContext | undefined>(undefined);

function useConsole(): ConsoleContext {
  const context = useContext(Console);
  if (context === undefined) throw new Error("the component is outside the console");
  return context;
}

/** The client of the signed-in person. */
export function useClient(): LatchkeyClient {
  return useConsole().sessions.client;
}

export function useSessions(): ConsoleSessions {
  return useConsole().sessions;
}

/** The person's name and scopes. */
export function useSession(): ConsoleSession {
  return useConsole().session;
}

export type Scope = ConsoleSession["scopes"][number];

/** The first of these scopes that the person lacks; undefined if it has all of them. */
export function useMissingScope(...needed: readonly Scope[]): Scope | undefined {
  const { scopes } = useConsole().session;
  return needed.find((scope) => !scopes.includes(scope));
}
