import type { ServerHttp2Session } from "node:http2";
import { constants } from "node:http2";

/** A connection that answers no ping for so long is dead, or never spoke HTTP/2. */
const PING_EVERY_MS = 30_000;
/** Callers hear that the door closes before it does: a round trip, or this when one is slow. */
const NOTICE_WITHIN_MS = 100;
/** "Every stream so far and whatever is on its way" (RFC 9113 §6.8). */
const LAST_STREAM = 2 ** 31 - 1;

/** The connections of a server. */
export interface Sessions {
  add(session: ServerHttp2Session): void;
  /**
   * Tells callers to go elsewhere, while calls that are on their way are still served; resolves when they have heard it.
   * Only for connections with calls: after this word nghttp2 reads nothing more of one that has none.
   */
  announceEnd(busy: ReadonlySet<unknown>): Promise<void>;
  /** Takes no new call; each connection closes with its last one. */
  end(): void;
  destroy(): void;
}

export function createSessions(): Sessions {
  const silent = new Map<ServerHttp2Session, boolean>();
  const heard = (session: ServerHttp2Session) => {
    if (silent.has(session)) silent.set(session, false);
  };
  const each = (act: (session: ServerHttp2Session) => void) => {
    for (const session of silent.keys()) if (!session.destroyed) act(session);
  };
  const pings = setInterval(() => {
    for (const [session, isSilent] of silent) {
      silent.set(session, true);
      if (isSilent || !ping(session, () => heard(session))) session.destroy();
    }
  }, PING_EVERY_MS);
  pings.unref();
  return {
    add(session) {
      silent.set(session, false);
      session.on("close", () => silent.delete(session));
      // What went wrong on a connection ends it; its calls are the caller's to repeat.
      session.on("error", () => undefined);
    },
    async announceEnd(busy) {
      clearInterval(pings);
      const told: Promise<void>[] = [];
      each((session) => {
        if (!busy.has(session)) return;
        session.goaway(constants.NGHTTP2_NO_ERROR, LAST_STREAM);
        told.push(roundTrip(session));
      });
      await Promise.all(told);
    },
    end: () => each((session) => session.close()),
    destroy: () => each((session) => session.destroy()),
  };
}

function roundTrip(session: ServerHttp2Session): Promise<void> {
  return new Promise((resolve) => {
    const late = setTimeout(resolve, NOTICE_WITHIN_MS);
    const done = () => {
      clearTimeout(late);
      resolve();
    };
    session.once("close", done);
    if (!ping(session, done)) done();
  });
}

/** False when no further ping may be under way. */
function ping(session: ServerHttp2Session, answered: () => void): boolean {
  return !session.destroyed && session.ping(answered);
}
