import type { Stream } from "../../../src/http2/server.ts";

/** What the handler of a request does. */
export interface Plan {
  readonly receives: "whole body" | "pieces" | "nothing";
  readonly responds: "at its head" | "at its end" | "later";
  readonly response: Answer;
}

export interface Answer {
  readonly form: "unary" | "pieces" | "head only" | "reset";
  readonly bytes: number;
}

/** A stream as both sides must see it (RFC 9113 §5.1). It was opened by a request, or the server has reset it at once. */
export interface ModelStream {
  readonly id: number;
  readonly plan: Plan | undefined;
  /** An invalid request gets a response instead of a reset. */
  readonly isTolerant: boolean;
  /** END_STREAM of the client. */
  requestEnded: boolean;
  /** END_STREAM of the server. */
  responseEnded: boolean;
  resetBy: "client" | "server" | undefined;
  /** The server must send this reset in the current step. */
  dueReset: number | undefined;
  /** Bytes of DATA that the server may send. */
  sendWindow: number;
  /** Bytes of DATA that the client may send. */
  receiveWindow: number;
  /** Bytes that its content-length still announces. */
  remaining: number | undefined;
  deadlineMs: number;
  /** The handler's side: its stream, once `onRequest` was called. */
  stream: Stream | undefined;
  received: number;
  /** The handler frees the bytes that it keeps, and takes more. */
  consume: (() => void) | undefined;
  /** The bytes that the handler keeps. */
  keptBytes: () => number;
  /** The body contradicts its content-length. */
  isContradictory: boolean;
  bodies: number;
  closes: number;
  /** Bytes that the handler has written, and those of them that the client has received. */
  written: number;
  taken: number;
  headWritten: boolean;
  headTaken: boolean;
  trailersWritten: boolean;
  /** Called when the client has taken all that was written. */
  next: (() => void) | undefined;
}

export function newStream(
  id: number,
  initial: Partial<Pick<ModelStream, "plan" | "isTolerant" | "sendWindow" | "remaining" | "deadlineMs">>,
): ModelStream {
  return {
    id,
    plan: undefined,
    isTolerant: false,
    requestEnded: false,
    responseEnded: false,
    resetBy: undefined,
    dueReset: undefined,
    sendWindow: 0,
    receiveWindow: 65_535,
    remaining: undefined,
    deadlineMs: 0,
    ...initial,
    stream: undefined,
    received: 0,
    consume: undefined,
    keptBytes: () => 0,
    isContradictory: false,
    bodies: 0,
    closes: 0,
    written: 0,
    taken: 0,
    headWritten: false,
    headTaken: false,
    trailersWritten: false,
    next: undefined,
  };
}

export function isLive({ resetBy, requestEnded, responseEnded }: ModelStream): boolean {
  return resetBy === undefined && !(requestEnded && responseEnded);
}

/** The server must reset the stream, unless it is closed. */
export function expectReset(stream: ModelStream, code: number): void {
  if (!isLive(stream)) return;
  stream.resetBy = "server";
  stream.dueReset = code;
}

/** A connection as both sides must see it. */
export interface ModelConnection {
  readonly streams: Map<number, ModelStream>;
  /** Those that were opened, and whose end is not checked yet. */
  readonly open: Set<ModelStream>;
  /** Those that the server must reset although it has not opened them. */
  readonly unopened: Set<ModelStream>;
  /** The highest stream id that the client has used. */
  highest: number;
  /** The last stream id that a handler has seen. */
  lastProcessed: number;
  acknowledged: boolean;
  isDraining: boolean;
  /** The error that the server must report in the current step. */
  dueError: number | undefined;
  /** The server has ended the connection. */
  isOver: boolean;
  initialWindow: number;
  sendWindow: number;
  receiveWindow: number;
  /** Windows of SETTINGS that the server has not acknowledged. */
  readonly sentSettings: (number | undefined)[];
  settingsTokens: number;
  resetTokens: number;
}

export function newConnection(): ModelConnection {
  return {
    streams: new Map(),
    open: new Set(),
    unopened: new Set(),
    highest: 0,
    lastProcessed: 0,
    acknowledged: false,
    isDraining: false,
    dueError: undefined,
    isOver: false,
    initialWindow: 65_535,
    sendWindow: 65_535,
    receiveWindow: 65_535,
    sentSettings: [],
    settingsTokens: 100,
    resetTokens: 2000,
  };
}

export function liveStreams({ open }: ModelConnection): ModelStream[] {
  return [...open].filter(isLive);
}

const PERIOD = 256;
const PATTERN = Buffer.from(Array.from({ length: 2 ** 20 }, (_, at) => at % PERIOD));

/** The bytes of a body from this place on. Each stream has other bytes. */
export function contentOf(id: number, from: number, length: number): Buffer {
  const start = (7 * id + from) % PERIOD;
  return PATTERN.subarray(start, start + length);
}
