import type { IncomingMessage, Server, ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { formatHostPort } from "../config/host-port.ts";
import { errorMessage } from "../core/error-message.ts";
import type { MaybePromise } from "../core/maybe-promise.ts";
import type { NodeServerOptions } from "../http1/node-server.ts";
import { createNodeServer } from "../http1/node-server.ts";
import type { Answer } from "./answer.ts";
import { toAnswer } from "./answer.ts";
import type { ForwardCheck } from "./forward-check.ts";
import type { RequestForm } from "./request-form.ts";
import { parseCallTarget } from "./request-form.ts";
import { createUnreadAnswers } from "./unread-answers.ts";
import { answerUnreadable, discardBody } from "./unusual-calls.ts";

/** A client's headers, and those that a proxy adds. Beyond it Node responds 431. */
const MAX_HEADER_BYTES = 128 * 1024;

/** The label `none` is for a call that could not be read, or to a URL that this listener does not have. */
export type CallLabel = RequestForm | "none";

export interface ForwardAuthServer {
  /** `host:port`. */
  readonly address: string;
  /** Accepts no new call. Resolves when the open calls are complete, or have been cut off after `graceMs`. */
  close(graceMs: number): Promise<void>;
}

export interface ForwardAuthOptions extends NodeServerOptions {
  readonly listen: { readonly host: string; readonly port: number };
  readonly check: ForwardCheck;
  /** Called for every response. */
  readonly onAnswer: (form: CallLabel, status: number) => void;
  /** Called for every exception; the proxy gets a denial. */
  readonly onFault: (error: unknown) => void;
}

/** Opens the listener to which proxies send their forward-auth calls. Rejects if it cannot listen. */
export async function startForwardAuthServer(options: ForwardAuthOptions): Promise<ForwardAuthServer> {
  const limits = { maxHeaderBytes: MAX_HEADER_BYTES, ignoresExpect: true };
  const server = createNodeServer(createHandler(options), { ...options, ...limits });
  answerUnreadable(server, (status) => options.onAnswer("none", status));
  await listen(server, options.listen);
  return { address: addressOf(server), close: (graceMs) => close(server, graceMs) };
}

function createHandler({ check, onAnswer, onFault }: ForwardAuthOptions) {
  const unread = createUnreadAnswers();
  return (request: IncomingMessage, response: ServerResponse): void => {
    const target = parseCallTarget(request.url ?? "");
    const send = (answer: Answer) => {
      onAnswer(target?.form ?? "none", answer.status);
      unread.send(response, answer);
    };
    const fail = (error: unknown) => {
      onFault(error);
      request.socket.destroy();
    };
    try {
      discardBody(request, response);
      const { method = "", rawHeaders, socket } = request;
      const call = { method, target, rawHeaders, peerAddress: socket.remoteAddress ?? "" };
      whenDecided(check(call, Number.POSITIVE_INFINITY), (decided) => send(toAnswer(decided, target)), fail);
    } catch (error) {
      fail(error);
    }
  };
}

function whenDecided<T>(value: MaybePromise<T>, then: (value: T) => void, fail: (error: unknown) => void) {
  if (value instanceof Promise) value.then(then).catch(fail);
  else then(value);
}

function listen(server: Server, { host, port }: ForwardAuthOptions["listen"]): Promise<void> {
  const { promise, resolve, reject } = Promise.withResolvers<void>();
  server.once("error", (error) =>
    reject(new Error(`the forward-auth listener cannot listen on ${host}:${port}: ${errorMessage(error)}`)),
  );
  server.listen({ host, port }, resolve);
  return promise;
}

function addressOf(server: Server): string {
  // A listener with a host and a port has an address object.
  const { address: host, port } = server.address() as AddressInfo;
  return formatHostPort({ host, port });
}

async function close(server: Server, graceMs: number): Promise<void> {
  const closed = new Promise<void>((resolve) => server.close(() => resolve()));
  server.closeIdleConnections();
  const timer = setTimeout(() => server.closeAllConnections(), graceMs);
  await closed;
  clearTimeout(timer);
}
