import { once } from "node:events";
import { Agent, get } from "node:http";
import type { ClientHttp2Session } from "node:http2";
import { connect } from "node:http2";
import { setTimeout as sleep } from "node:timers/promises";
import type { IssuedKey } from "../support/keys.ts";

type Headers = Readonly<Record<string, string>>;

const TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
/**
 * What a client may send beside a valid key and must still be served: trace headers, odd values and long
 * values.
 */
const BESIDE_THE_KEY: readonly Headers[] = [
  {},
  { traceparent: TRACEPARENT, tracestate: "vendor=1 \t" },
  { traceparent: TRACEPARENT, tracestate: `vendor=${"v".repeat(17_000)}` },
  { "x-tenant": " caf\xe9 ", "user-agent": "\t" },
  { traceparent: TRACEPARENT, tracestate: `vendor=${"v".repeat(40_000)}` },
];

/**
 * Clients with valid keys, at every listener, alternating HTTP/1.1 and HTTP/2, from the address of the
 * attackers.
 */
export interface HonestClients {
  /** How often each has been served. */
  rounds(): number;
  /** Resolves when the current round has ended; no client sends until `resume`. */
  pause(): Promise<void>;
  resume(): void;
  /** Resolves when every client has sent a request since this call and has its response. */
  nextRound(): Promise<void>;
  /** The failures since the last call. */
  takeComplaints(): string[];
  stop(): Promise<void>;
}

/** They leave the machine to the fuzzer between rounds. */
const BETWEEN_ROUNDS_MS = 10;

export function startHonestClients(
  ports: ReadonlyMap<string, number>,
  keys: readonly [first: IssuedKey, second: IssuedKey],
): HonestClients {
  const agent = new Agent({ keepAlive: true });
  const sessions = new Map<number, ClientHttp2Session>();
  let [rounds, isOver] = [0, false];
  let complaints: string[] = [];
  const ask = async (listener: string, version: string, key: IssuedKey, served: Promise<string>) => {
    const what = await served.catch((error: unknown) => `failed: ${String(error)}`);
    if (what !== `200 ${key.key_id}`)
      complaints.push(`${listener}: a valid key by HTTP/${version} got ${what} (round ${rounds})`);
  };
  const round = async () => {
    await Promise.all(
      Array.from(ports, ([listener, port]) =>
        rounds % 2 === 0
          ? ask(listener, "1.1", keys[0], byHttp1(agent, port, headersOf(keys[0], rounds)))
          : ask(listener, "2", keys[1], byHttp2(sessions, port, headersOf(keys[1], rounds))),
      ),
    );
    rounds++;
  };
  let [paused, current] = [false, Promise.resolve()];
  const work = (async () => {
    while (!isOver) {
      current = paused ? Promise.resolve() : round();
      await current;
      await sleep(BETWEEN_ROUNDS_MS);
    }
  })();
  return {
    rounds: () => rounds,
    async pause() {
      paused = true;
      await current;
    },
    resume() {
      paused = false;
    },
    async nextRound() {
      // The current round may have begun before.
      const wanted = rounds + 3;
      while (rounds < wanted) await sleep(BETWEEN_ROUNDS_MS);
    },
    takeComplaints() {
      const taken = complaints;
      complaints = [];
      return taken;
    },
    async stop() {
      isOver = true;
      await work;
      agent.destroy();
      for (const session of sessions.values()) session.destroy();
    },
  };
}

function headersOf({ api_key }: IssuedKey, round: number): Headers {
  return { ...BESIDE_THE_KEY[round % BESIDE_THE_KEY.length], authorization: `Bearer ${api_key}` };
}

/** The status, and the key id that the upstream got. */
async function byHttp1(agent: Agent, port: number, headers: Headers): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  get({ agent, host: "127.0.0.1", port, path: "/a/honest", headers }, (response) => {
    response.on("error", reject).resume();
    response.on("end", () => resolve(`${response.statusCode} ${response.headers["x-seen-key-id"]}`));
  }).on("error", reject);
  return promise;
}

async function byHttp2(
  sessions: Map<number, ClientHttp2Session>,
  port: number,
  headers: Headers,
): Promise<string> {
  let session = sessions.get(port);
  if (session === undefined || session.closed || session.destroyed) {
    session = connect(`http://127.0.0.1:${port}`).on("error", () => undefined);
    sessions.set(port, session);
  }
  const stream = session.request({ ":path": "/a/honest", ...headers });
  let seen = "no response";
  stream.on("response", (received) => {
    seen = `${received[":status"]} ${received["x-seen-key-id"]}`;
  });
  stream.resume().end();
  await once(stream, "close");
  return seen;
}
