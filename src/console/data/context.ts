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

/** Takes the problems of calls, because one of them may say that the session has ended. */
export interface ProblemSink {
  onProblem(problem: unknown): void;
}

/** For a page that is not the console. */
export const Problems = createContext<ProblemSink | undefined>(undefined);

export function useProblems(): ProblemSink {
  const own = useContext(Problems);
  const context = useContext(Console);
  const sink = own ?? context?.sessions;
  if (sink === undefined) throw new Error("the component is outside a page");
  return sink;
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
