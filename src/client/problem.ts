/** A problem response of the key API (RFC 9457). It never contains a key or a token. */
export class LatchkeyProblem extends Error {
  override readonly name = "LatchkeyProblem";
  readonly status: number;
  /** The last part of the problem's type, such as `refresh-too-early`. */
  readonly reason: string;
  readonly detail?: string;
  /** The errors of single fields, each with a JSON Pointer. */
  readonly errors: readonly { readonly pointer: string; readonly detail: string }[];
  /** Seconds to wait before the next attempt, if the response has Retry-After. */
  readonly retryAfterSeconds?: number;
  /** The id of the call, which its audit lines have too. Absent if a proxy has responded. */
  readonly requestId?: string;
  /** Further members of the problem, such as `refresh_after`. */
  readonly members: Readonly<Record<string, unknown>>;

  constructor(status: number, body: Readonly<Record<string, unknown>>, headers: Pick<Headers, "get">) {
    const { type, title, detail, errors, status: _, ...members } = body;
    super(typeof title === "string" ? title : `HTTP status ${status}`);
    this.status = status;
    this.reason = typeof type === "string" ? (type.split("/").at(-1) ?? type) : `http-${status}`;
    if (typeof detail === "string") this.detail = detail;
    this.errors = Array.isArray(errors) ? errors.filter(isFieldError) : [];
    const seconds = Number(headers.get("retry-after") ?? Number.NaN);
    if (Number.isFinite(seconds)) this.retryAfterSeconds = seconds;
    const requestId = headers.get("x-request-id");
    if (requestId !== null) this.requestId = requestId;
    this.members = members;
  }
}

/** No response of Latchkey arrived. The call may or may not have taken effect. */
export class LatchkeyUnreachable extends Error {
  override readonly name = "LatchkeyUnreachable";
}

function isFieldError(value: unknown): value is { readonly pointer: string; readonly detail: string } {
  return typeof value === "object" && value !== null && "pointer" in value && "detail" in value;
}
