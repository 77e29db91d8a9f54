import { LatchkeyProblem, LatchkeyUnreachable } from "./problem.ts";

export interface TransportOptions {
  readonly url: string;
  readonly token?: string;
  readonly timeoutMs?: number;
  /** Further headers of each call without a token of its own. */
  readonly headers?: () => Readonly<Record<string, string>>;
}

export interface Request {
  readonly method: "GET" | "POST" | "PUT" | "PATCH" | "DELETE";
  readonly path: string;
  readonly query?: object;
  readonly body?: object;
  /** A body of NDJSON. */
  readonly lines?: string;
  readonly form?: Readonly<Record<string, string>>;
  /** Instead of the client's own token. */
  readonly token?: string;
  readonly idempotencyKey?: string | undefined;
  /** Instead of the timeout. */
  readonly signal?: AbortSignal;
}

const DEFAULT_TIMEOUT_MS = 10_000;

/** Throws a TypeError if the URL is unusable. Its message never quotes the URL. */
export function createTransport(options: TransportOptions) {
  const problem = urlProblem(options.url);
  if (problem !== undefined) throw new TypeError(`the url ${problem}`);
  const open = async (request: Request): Promise<Response> => {
    const response = await send(options, request);
    if (response.ok) return response;
    const text = await response.text();
    throw new LatchkeyProblem(response.status, parseProblem(text), response.headers);
  };
  const call = async (request: Request): Promise<string> => (await open(request)).text();
  return {
    /** A call whose response body is read as it arrives. Its signal ends the call. */
    open,
    /** A call without a response body. */
    call: async (request: Request): Promise<void> => void (await call(request)),
    /** A call with a response body. Its type is generated from the schema of the server. */
    json: async <T>(request: Request): Promise<T> => {
      const text = await call(request);
      try {
        return JSON.parse(text);
      } catch {
        throw new LatchkeyUnreachable(
          `${new URL(options.url).origin} sent a response that is not from Latchkey`,
        );
      }
    },
  };
}

/** Why the URL is unusable; undefined if it is usable. A user or a password in it would appear in messages and logs. */
export function urlProblem(text: string): string | undefined {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol))
    return "must be a URL such as http://127.0.0.1:8000";
  if (url.username !== "" || url.password !== "") return "must not contain a user or a password";
  return url.search !== "" || url.hash !== "" ? "must not have a query or a fragment" : undefined;
}

/** Why a header cannot carry this credential (RFC 9110 §5.5), without quoting it; undefined if it can. */
export function tokenProblem(token: string | undefined): string | undefined {
  return token === undefined || /^[\x21-\x7e]+$/.test(token)
    ? undefined
    : "must be one credential: printable ASCII characters without spaces or line breaks";
}

/** Encodes a name as one segment of a path. Throws a TypeError for dot segments (RFC 3986 §5.2.4) and empty names. */
export function pathSegment(name: string): string {
  if (/^\.{0,2}$/.test(name)) throw new TypeError("a name must not be empty, . or ..");
  return encodeURIComponent(name);
}

async function send(options: TransportOptions, request: Request): Promise<Response> {
  const url = new URL(options.url.replace(/\/+$/, "") + request.path);
  for (const [name, value] of Object.entries(request.query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  const headers = headersOf(options, request);
  try {
    return await fetch(url, {
      method: request.method,
      headers,
      body: request.form
        ? new URLSearchParams(request.form)
        : request.body
          ? JSON.stringify(request.body)
          : (request.lines ?? null),
      redirect: "error",
      signal: request.signal ?? AbortSignal.timeout(options.timeoutMs ?? DEFAULT_TIMEOUT_MS),
    });
  } catch (error) {
    throw new LatchkeyUnreachable(`${url.origin} does not respond`, { cause: error });
  }
}

function headersOf(options: TransportOptions, request: Request): Record<string, string> {
  const token = request.token ?? options.token;
  for (const [name, value] of [
    ["token", token],
    ["Idempotency-Key", request.idempotencyKey],
  ] as const) {
    const problem = tokenProblem(value);
    if (problem !== undefined) throw new TypeError(`the ${name} ${problem}`);
  }
  return {
    ...(token === undefined && options.headers?.()),
    accept: "application/json",
    ...(request.lines !== undefined && { "content-type": "application/x-ndjson" }),
    ...(request.body && { "content-type": "application/json" }),
    ...(token !== undefined && { authorization: `Bearer ${token}` }),
    ...(request.idempotencyKey !== undefined && { "idempotency-key": request.idempotencyKey }),
  };
}

/** A response that is not a problem document comes from a proxy in front of Latchkey. */
function parseProblem(text: string): Record<string, unknown> {
  try {
    const body: unknown = JSON.parse(text);
    return typeof body === "object" && body !== null ? { ...body } : {};
  } catch {
    return {};
  }
}
