import type {
  ReferenceCall,
  ReferenceConnection,
  ReferenceConnectionOptions,
} from "../../grpc/reference-connection.ts";
import type { CompareCall } from "./call-comparison.ts";
import { COMPARISONS, methodOf } from "./call-comparison.ts";
import { createCallPairs } from "./call-pairs.ts";
import type { AnsweredCall, Comparison, Result } from "./messages.ts";
import { createPingAckFilter } from "./ping-acks.ts";

/** Sweeps for which a closed connection is kept, so that what has arrived is read. */
const SWEEPS_TO_CLOSE = 2;
/** More than the streams that a client may open, and that it may have reset. */
const MAX_UNMATCHED = 8192;

export interface CopiedConnectionDeps {
  readonly compare: CompareCall;
  readonly report: (comparison: Comparison) => void;
  /** Serves the copied bytes: `openReferenceConnection`. */
  readonly open: (options: ReferenceConnectionOptions) => ReferenceConnection;
}

/** One connection of a client whose bytes both servers receive. */
export interface CopiedConnection {
  write(bytes: Uint8Array<ArrayBuffer>): void;
  /** Our own server has answered a call. */
  answered(call: AnsweredCall): void;
  /** Ends the connection after what has arrived. */
  close(): void;
  /** Ends the connection at once, without judging it. */
  drop(): void;
  /** Judges what has waited too long. Called once a second. */
  sweep(): void;
  /** Nothing is left to compare. */
  isFinished(): boolean;
}

/** What is known of the connection so far. */
interface State {
  /** Calls of the other server that ended before their message was complete. */
  cancelled: number;
  /** Set once the connection is closed. */
  sweepsToEnd: number | undefined;
  /** The other server has ended the connection by itself. */
  isEnded: boolean;
  isFinished: boolean;
}

export function createCopiedConnection({ compare, report, open }: CopiedConnectionDeps): CopiedConnection {
  const state: State = { cancelled: 0, sweepsToEnd: undefined, isEnded: false, isFinished: false };
  const pairs = createCallPairs<AnsweredCall, ReferenceCall>();
  const withoutPingAcks = createPingAckFilter();
  const reference = open({
    paths: Object.keys(COMPARISONS),
    onCall(theirs) {
      if (state.isFinished) return;
      const ours = pairs.pairTheirs(keyOf(theirs), theirs);
      if (ours !== undefined) match(ours, theirs);
      else if (pairs.size() > MAX_UNMATCHED) finish();
    },
    ...eventsInto(state),
  });
  const finish = (judged?: AnsweredCall) => {
    state.isFinished = true;
    const left = pairs.takeAll().flatMap(({ ours }) => ours ?? []);
    for (const ours of left) if (ours !== judged) report(uncompared("skipped", ours, []));
    reference.end();
  };
  const match = (ours: AnsweredCall, theirs: ReferenceCall) => {
    report(compare(ours));
    theirs.reply(ours.response);
  };
  return {
    write: (bytes) => reference.write(withoutPingAcks(Buffer.from(bytes.buffer))),
    answered(ours) {
      if (state.isFinished) return report(uncompared("skipped", ours, []));
      const theirs = pairs.pairOurs(keyOf(ours), ours);
      if (theirs !== undefined) return match(ours, theirs);
      if (!state.isEnded && pairs.size() <= MAX_UNMATCHED) return;
      // Our own server still serves the connection that the other one has closed, or does not read.
      report(uncompared("request_differs", ours, ["connection"]));
      finish(ours);
    },
    close() {
      state.sweepsToEnd ??= SWEEPS_TO_CLOSE;
    },
    drop: () => finish(),
    sweep() {
      for (const call of pairs.takeLate()) report(judge(call, state));
      if (state.sweepsToEnd === undefined || state.sweepsToEnd-- > 0) return;
      reference.end();
      if (pairs.size() === 0) finish();
    },
    isFinished: () => state.isFinished,
  };
}

function eventsInto(state: State): Pick<ReferenceConnectionOptions, "onCancelled" | "onEnded"> {
  return {
    onCancelled() {
      state.cancelled++;
    },
    onEnded() {
      state.isEnded = true;
    },
  };
}

function keyOf({ path, message }: AnsweredCall | ReferenceCall): string {
  return `${path} ${Buffer.from(message.buffer, message.byteOffset, message.byteLength).toString("latin1")}`;
}

/** Judges a call that only one server has received. */
function judge(
  { ours, theirs }: { readonly ours?: AnsweredCall; readonly theirs?: ReferenceCall },
  state: State,
): Comparison {
  theirs?.reply(new Uint8Array(0));
  const isCancelled = ours !== undefined && state.cancelled > 0;
  // The client has reset the call at once: our server had read it already, and the other one had not.
  if (isCancelled) state.cancelled--;
  return isCancelled
    ? uncompared("skipped", ours, [])
    : uncompared("request_differs", ours ?? theirs, ["message"]);
}

export function uncompared(
  result: Result,
  call: AnsweredCall | ReferenceCall | undefined,
  fields: readonly string[],
): Comparison {
  return { result, method: methodOf(call?.path ?? ""), fields };
}
