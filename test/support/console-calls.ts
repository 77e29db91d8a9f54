import type { RawAnswer } from "./raw-request.ts";
import { sendRaw } from "./raw-request.ts";

/** A session as a browser keeps it, for calls without a browser. */
export interface BrowserSession {
  /** `name=value`. */
  readonly cookie: string;
  readonly setCookie: string;
  readonly proof: string;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ConsoleCall {
  readonly method?: string;
  readonly path?: string;
  readonly body?: object;
  /** Instead of, or beside, the headers of a page's own call. */
  readonly headers?: Readonly<Record<string, string>>;
  /** Headers that are not sent. */
  readonly without?: readonly string[];
}

const SESSION = "/api/console/session";

/** Sends a call as a page of the console at `address` (`host:port`) does. */
export function callAsPage(
  address: string,
  session: Pick<BrowserSession, "cookie" | "proof"> | undefined,
  { method = "GET", path = SESSION, body, headers = {}, without = [] }: ConsoleCall = {},
): Promise<RawAnswer> {
  const all: Record<string, string> = {
    host: address,
    origin: `http://${address}`,
    ...(session && { cookie: session.cookie, "x-latchkey-console": session.proof }),
    ...(body && { "content-type": "application/json" }),
    ...headers,
  };
  for (const name of without) delete all[name];
  return sendRaw(Number(address.split(":").at(-1)), {
    method,
    path,
    headers: all,
    ...(body && { body: JSON.stringify(body) }),
  });
}

/** Signs in, and returns the answer as it is. */
export function postSignIn(
  address: string,
  by: { readonly credential: string } | { readonly link: string },
  call: ConsoleCall = {},
): Promise<RawAnswer> {
  return callAsPage(address, undefined, { method: "POST", body: by, ...call });
}

/** Signs in. Throws if it is denied. */
export async function openSession(address: string, credential: string): Promise<BrowserSession> {
  return sessionOf(await postSignIn(address, { credential }));
}

export function sessionOf(answer: RawAnswer): BrowserSession {
  const [setCookie = ""] = [answer.headers["set-cookie"] ?? []].flat();
  if (answer.status !== 201) throw new Error(`the sign-in was denied: ${answer.body}`);
  const body: { readonly proof: string } = JSON.parse(answer.body);
  return { cookie: setCookie.split(";", 1)[0] ?? "", setCookie, proof: body.proof, body: { ...body } };
}

/** The reason of a problem, such as `session-ended`, or the status if there is none. */
export function reasonOf({ status, body }: RawAnswer): string {
  const match = /"type":"\/problems\/([a-z-]+)"/.exec(body);
  return match?.[1] ?? String(status);
}
