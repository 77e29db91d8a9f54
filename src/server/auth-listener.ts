import type { ForwardAuthOptions, ForwardAuthServer } from "../forward-auth/server.ts";
import { startForwardAuthServer } from "../forward-auth/server.ts";
import { callFailed } from "../telemetry/fault-messages.ts";
import { openTls } from "./listener-tls.ts";
import type { Runtime } from "./runtime.ts";

export interface AuthListenerDeps extends Pick<ForwardAuthOptions, "check" | "isDraining"> {
  /** How long open calls may take at the close. */
  readonly graceMs: () => number;
}

/** Opens the forward-auth listener, if the settings have one. Rejects if it cannot listen. */
export async function openForwardAuth(
  runtime: Runtime,
  { graceMs, ...deps }: AuthListenerDeps,
): Promise<ForwardAuthServer | undefined> {
  const { settings, shutdown, log, metrics } = runtime;
  const listen = settings.AUTH_LISTEN;
  if (listen === undefined) return undefined;
  const name = "the forward-auth listener";
  const server = await startForwardAuthServer({
    ...deps,
    listen,
    onAnswer: metrics.forwardAuthAnswer,
    onFault: (error) => log.error({ err: error }, callFailed(name)),
    ...openTls("AUTH", runtime),
  });
  shutdown.defer(name, () => server.close(graceMs()));
  return server;
}
