import type { Body, Conversation, Expand, Field, Plan, Request } from "./conversation.ts";
import { copiesWithin } from "./conversation.ts";

/** The bytes of requests by HTTP/1.0 or 1.1, one after the other without waiting (RFC 9112 §9.3.2). */
export function http1Plan({ version, requests, copies }: Conversation, expand: Expand): Plan {
  const once = requests.flatMap((request) => [
    headOf(request, version, expand),
    ...bodyOf(request.body, expand),
  ]);
  const times = copiesWithin(once, copies);
  return {
    writes: Array.from({ length: times }, () => once).flat(),
    responses: requests.length * times,
    isComplete: requests.every(({ body }) => !body || (body.lie === 0 && body.framing !== "both")),
  };
}

function headOf(
  { method, target, authority, fields, body }: Request,
  version: string,
  expand: Expand,
): Buffer {
  const lines = [
    `${method} ${expand(target)} HTTP/${version}`,
    ...(authority === undefined ? [] : [`host: ${authority}`]),
    ...framingLines(body, expand),
    ...fields.map((field) => line(field, expand)),
  ];
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function line([name, value]: Field, expand: Expand): string {
  return `${expand(name)}: ${expand(value)}`;
}

function framingLines(body: Body | undefined, expand: Expand): string[] {
  if (!body || body.framing === "none") return [];
  const length = body.pieces.reduce((sum, piece) => sum + expand(piece).length, body.lie);
  return [
    ...(body.framing === "chunked" ? [] : [`content-length: ${length}`]),
    ...(body.framing === "length" ? [] : ["transfer-encoding: chunked"]),
  ];
}

function bodyOf(body: Body | undefined, expand: Expand): Buffer[] {
  if (!body) return [];
  const pieces = body.pieces.map((piece) => Buffer.from(expand(piece), "latin1"));
  if (body.framing === "length" || body.framing === "none") return pieces;
  const chunks = pieces
    .filter((piece) => piece.length > 0)
    .map((piece) =>
      Buffer.concat([Buffer.from(`${piece.length.toString(16)}\r\n`), piece, Buffer.from("\r\n")]),
    );
  const trailers = body.trailers.map((field) => `${line(field, expand)}\r\n`).join("");
  return [...chunks, Buffer.from(`0\r\n${trailers}\r\n`, "latin1")];
}

const HEAD_END = Buffer.from("\r\n\r\n");

/** Counts the responses in what Envoy sends by HTTP/1. */
export function http1Counter(methods: readonly string[]): (chunk: Buffer) => number {
  let rest = Buffer.alloc(0);
  let count = 0;
  return (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    for (
      let end = responseEnd(rest, methods[count]);
      end !== undefined;
      end = responseEnd(rest, methods[count])
    ) {
      if (!isInterim(rest)) count++;
      rest = rest.subarray(end);
    }
    return count;
  };
}

/** `100 Continue` is followed by the response proper; 101 is the last one on its connection. */
function isInterim(response: Buffer): boolean {
  return /^HTTP\/1\.[01] 1(?!01)/.test(response.toString("latin1", 0, 12));
}

/** The end of the first response, or undefined while it is incomplete. */
function responseEnd(bytes: Buffer, method: string | undefined): number | undefined {
  const headEnd = bytes.indexOf(HEAD_END);
  if (headEnd < 0) return undefined;
  const bodyAt = headEnd + HEAD_END.length;
  const head = bytes.toString("latin1", 0, headEnd);
  if (method === "HEAD" || /^HTTP\/1\.[01] (1|204|304)/.test(head)) return bodyAt;
  if (/\r\ntransfer-encoding: *chunked/i.test(head)) {
    const last = bytes.indexOf("\r\n0\r\n\r\n", headEnd + 2);
    return last < 0 ? undefined : last + "\r\n0\r\n\r\n".length;
  }
  const length = /\r\ncontent-length: *(\d+)/i.exec(head)?.[1];
  // Without either header it ends with the connection.
  if (length === undefined) return undefined;
  return bodyAt + Number(length) <= bytes.length ? bodyAt + Number(length) : undefined;
}
