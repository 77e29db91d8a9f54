import type { CheckResponse } from "../../ext-authz/messages.ts";
import type { GrpcShadowResult } from "../../telemetry/metrics/instance-meter.ts";

/** What the deciding thread sends to the thread of the shadow, in the order in which it happened. */
export type ShadowEvent =
  | { readonly kind: "opened"; readonly connection: number }
  | { readonly kind: "bytes"; readonly connection: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly kind: "answered"; readonly connection: number; readonly call: AnsweredCall }
  /** By the client, or by our own server. */
  | { readonly kind: "closed"; readonly connection: number }
  /** Its bytes are not copied any more, so it cannot be judged. */
  | { readonly kind: "dropped"; readonly connection: number };

/** A call that our own server has received and answered. */
export interface AnsweredCall {
  readonly path: string;
  readonly message: Uint8Array<ArrayBuffer>;
  readonly response: Uint8Array<ArrayBuffer>;
  /** What `response` must say. Absent for a call that is not a Check, and for a response without a decision. */
  readonly expected?: CheckResponse;
}

/**
 * `request_differs`: the two servers did not receive the same message, or the two decoders did not read the same fields.
 * `response_differs`: our response does not say what the other encoder says. `skipped`: not compared. `failed`: the shadow itself failed.
 */
export type Result = GrpcShadowResult;

export interface Comparison {
  readonly result: Result;
  /** The last part of its path. */
  readonly method: string;
  /** Names of the fields that differ, never a value. */
  readonly fields: readonly string[];
}

/** What the thread sends back after a batch of events, and when a comparison is late. */
export interface ShadowReport {
  /** Bytes of events that are processed. */
  readonly bytes: number;
  readonly counts: Readonly<Record<Result, number>>;
  /** One of the differences, if there are any. */
  readonly difference?: Comparison;
  /** Connections of which the thread needs nothing more. */
  readonly finished: readonly number[];
}

/** What an event counts against the queue. */
export function bytesOf(event: ShadowEvent): number {
  if (event.kind === "bytes") return event.bytes.length + EVENT_BYTES;
  if (event.kind !== "answered") return 0;
  const { message, response } = event.call;
  return message.length + response.length + EVENT_BYTES;
}

/** Roughly what an event needs beside its buffers. */
const EVENT_BYTES = 1024;
