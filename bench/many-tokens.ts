import { once } from "node:events";
import type { Socket } from "node:net";
import { connect } from "node:net";
import { CHECK_PATH } from "../src/ext-authz/method.ts";
import {
  encodeFrame,
  encodeUint32s,
  FLAG,
  FRAME,
  FRAME_HEAD_BYTES,
  INITIAL_WINDOW_BYTES,
  MAX_WINDOW_BYTES,
  PREFACE,
  SETTING,
  settingsPayload,
} from "../src/http2/frames.ts";

const IN_FLIGHT = 100;
/** A method of a listener. */
export interface Method {
  readonly path: string;
  /** The first bytes of an allow, after the head of its message. */
  readonly allowed: Buffer;
}

/** `status.code` 0. */
const CHECK: Method = { path: CHECK_PATH, allowed: Buffer.from([0x0a, 0x02, 0x08, 0x00]) };
const MESSAGE_HEAD_BYTES = 5;

/** The state of one connection. */
interface Sending {
  readonly socket: Socket;
  readonly heads: ReturnType<typeof headsOf>;
  readonly allowed: Buffer;
  readonly messages: readonly Buffer[];
  readonly requests: number;
  /** Send window of the connection in bytes. */
  window: number;
  sent: number;
  ended: number;
  /** The number of responses other than an allow, by reason. */
  readonly denied: Map<string, number>;
  readonly bodies: Map<number, Buffer>;
}

/**
 * The head of the first call, and that of every further one: like Envoy and h2load, the client names fields of the static table by
 * their index, and of the dynamic table after the first call (RFC 7541).
 */
function headsOf(path: string): { readonly first: Buffer; readonly further: Buffer } {
  // `:method: POST` and `:scheme: http`, then the names `:authority`, `:path` and `content-type`.
  const known = Buffer.of(0x83, 0x86);
  const first = [
    [Buffer.of(0x41), "latchkey"],
    [Buffer.of(0x44), path],
    [Buffer.of(0x5f), "application/grpc"],
    [Buffer.concat([Buffer.of(0x40), textOf("te")]), "trailers"],
  ] as const;
  return {
    first: Buffer.concat([known, ...first.flatMap(([name, value]) => [name, textOf(value)])]),
    further: Buffer.concat([known, Buffer.of(0xc1, 0xc0, 0xbf, 0xbe)]),
  };
}

/** A string of less than 127 bytes without Huffman coding. */
function textOf(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length), Buffer.from(text, "latin1")]);
}

/**
 * Makes calls with the given messages in turn, 100 at a time on one connection, because h2load can send only one message.
 * Writes HTTP/2 frames itself, because Node's client would be slower than the measured server. Rejects unless every
 * response is an allow.
 */
export async function sendCalls(
  grpc: string,
  messages: readonly Buffer[],
  requests: number,
  { path, allowed }: Method = CHECK,
): Promise<{ readonly seconds: number }> {
  const colon = grpc.lastIndexOf(":");
  const socket = connect({ host: grpc.slice(0, colon), port: Number(grpc.slice(colon + 1)), noDelay: true });
  const sending: Sending = {
    socket,
    heads: headsOf(path),
    allowed,
    messages,
    requests,
    window: INITIAL_WINDOW_BYTES,
    sent: 0,
    ended: 0,
    denied: new Map(),
    bodies: new Map(),
  };
  await once(socket, "connect");
  const largestWindow = settingsPayload([[SETTING.INITIAL_WINDOW_SIZE, MAX_WINDOW_BYTES]]);
  const windowUpdate = encodeFrame(
    FRAME.WINDOW_UPDATE,
    0,
    0,
    encodeUint32s(MAX_WINDOW_BYTES - INITIAL_WINDOW_BYTES),
  );
  socket.write(Buffer.concat([PREFACE, encodeFrame(FRAME.SETTINGS, 0, 0, largestWindow), windowUpdate]));
  const start = performance.now();
  await sendAll(sending);
  const seconds = (performance.now() - start) / 1000;
  socket.destroy();
  const { denied } = sending;
  if (denied.size > 0)
    throw new Error(`of ${requests} Checks at ${grpc} were not allowed: ${JSON.stringify([...denied])}`);
  return { seconds };
}

/** Resolves when every Check has its response. */
function sendAll(sending: Sending): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  const { socket } = sending;
  let rest = Buffer.alloc(0);
  socket.on("data", (chunk) => {
    rest = Buffer.concat([rest, chunk]);
    let at = 0;
    while (rest.length >= at + FRAME_HEAD_BYTES) {
      const end = at + FRAME_HEAD_BYTES + rest.readUIntBE(at, 3);
      if (rest.length < end) break;
      onFrame(sending, rest.subarray(at, end));
      at = end;
    }
    rest = rest.subarray(at);
    if (sending.ended === sending.requests) resolve();
    else fillWindow(sending);
  });
  socket.on("error", reject);
  socket.on("close", () => reject(new Error(`the connection ended after ${sending.ended} responses`)));
  fillWindow(sending);
  return promise;
}

/** Sends Checks up to the limit of concurrent streams and the send window. */
function fillWindow(sending: Sending): void {
  const { messages, socket } = sending;
  const frames: Buffer[] = [];
  while (sending.sent < sending.requests && sending.sent - sending.ended < IN_FLIGHT) {
    const message = messages[sending.sent % messages.length] ?? Buffer.alloc(0);
    if (message.length > sending.window) break;
    sending.window -= message.length;
    const head = sending.sent === 0 ? sending.heads.first : sending.heads.further;
    const streamId = 2 * sending.sent + 1;
    sending.sent++;
    frames.push(
      encodeFrame(FRAME.HEADERS, FLAG.END_HEADERS, streamId, head),
      encodeFrame(FRAME.DATA, FLAG.END_STREAM, streamId, message),
    );
  }
  if (frames.length > 0) socket.write(Buffer.concat(frames));
}

function onFrame(sending: Sending, frame: Buffer): void {
  const [type, flags, streamId] = [frame[3] ?? 0, frame[4] ?? 0, frame.readUInt32BE(5)];
  const payload = frame.subarray(FRAME_HEAD_BYTES);
  const isAck = (flags & FLAG.ACK) !== 0;
  if (type === FRAME.SETTINGS && !isAck)
    sending.socket.write(encodeFrame(FRAME.SETTINGS, FLAG.ACK, 0, encodeUint32s()));
  if (type === FRAME.PING && !isAck) sending.socket.write(encodeFrame(FRAME.PING, FLAG.ACK, 0, payload));
  if (type === FRAME.WINDOW_UPDATE && streamId === 0) sending.window += payload.readUInt32BE(0);
  if (type === FRAME.DATA) sending.bodies.set(streamId, payload);
  const isEnd = type === FRAME.RST_STREAM || (type <= FRAME.HEADERS && (flags & FLAG.END_STREAM) !== 0);
  if (isEnd) countResponse(sending, streamId);
}

function countResponse(sending: Sending, streamId: number): void {
  const { bodies, denied, allowed } = sending;
  sending.ended++;
  const body = bodies.get(streamId) ?? Buffer.alloc(0);
  bodies.delete(streamId);
  const message = body.subarray(MESSAGE_HEAD_BYTES);
  if (message.subarray(0, allowed.length).equals(allowed)) return;
  const reason = /[a-z]+_[a-z_]+|internal/.exec(message.toString("latin1"))?.[0] ?? "no response";
  denied.set(reason, (denied.get(reason) ?? 0) + 1);
}
