import type { RedisFaultKind } from "./redis-error.ts";
import { toRedisUnavailable } from "./redis-error.ts";

/** Called at the end of each command with its name, or the name of the script. `fault` is set if the command failed. */
export type CommandObserver = (command: string, elapsedMs: number, fault?: RedisFaultKind) => void;

/** Reports how long the call took. A failure rejects with `RedisUnavailable`. */
export async function observed<Reply>(
  observe: CommandObserver | undefined,
  name: string,
  call: () => Promise<Reply>,
): Promise<Reply> {
  const startedMs = performance.now();
  try {
    const reply = await call();
    observe?.(name, performance.now() - startedMs);
    return reply;
  } catch (error) {
    const unavailable = toRedisUnavailable(error);
    observe?.(name, performance.now() - startedMs, unavailable.kind);
    throw unavailable;
  }
}
