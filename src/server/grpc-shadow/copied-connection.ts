import type {
  ReferenceCall,
  ReferenceConnection,
  ReferenceConnectionOptions,
} from "../../grpc/reference-connection.ts";
import { MAX_PULL_BYTES } from "../../grpc/reference-connection.ts";
import type { ByteFeed } from "./byte-feed.ts";
import { createByteFeed } from "./byte-feed.ts";
import type { CompareCall } from "./call-comparison.ts";
import { COMPARISONS, methodOf } from "./call-comparison.ts";
import type { CallPairs } from "./call-pairs.ts";
import { createCallPairs, SWEEPS_TO_MATCH } from "./call-pairs.ts";
import { createClientFrames } from "./client-frames.ts";
import type { AnsweredCall, Comparison, Result } from "./messages.ts";

/** Sweeps for which a closed connection is kept after its last bytes are taken. */
const SWEEPS_TO_CLOSE = 2;
/** More than the streams that a client may open, and that it may have reset. */
const MAX_UNMATCHED = 8192;

export interface CopiedConnectionDeps {
  readonly compare: CompareCall;
  readonly report: (comparison: Comparison) => void;
  /** Called with the cost of bytes that need no memory any more. */
  readonly onTaken: (cost: number) => void;
  /** Serves the copied bytes: `openReferenceConnection`. */
  readonly open: (options: ReferenceConnectionOptions) => ReferenceConnection;
}

/** One connection of a client whose bytes both servers receive. */
export interface CopiedConnection {
  write(bytes: Uint8Array<ArrayBuffer>, cost: number): void;
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

type Pairs = CallPairs<AnsweredCall, ReferenceCall>;

/** The state of the connection so far. */
interface State {
  /** Calls that the client has reset, or that have ended at the other server before their message was complete. */
  cancelled: number;
  /** Sweeps without an unmatched call. */
  idleSweeps: number;
  /** Set once the connection is closed. */
  sweepsToEnd: number | undefined;
  /** The other server has ended the connection by itself. */
  isEnded: boolean;
  isFinished: boolean;
}

interface Parts extends Pick<CopiedConnectionDeps, "compare" | "report"> {
  readonly state: State;
  readonly pairs: Pairs;
  readonly feed: ByteFeed;
  readonly end: () => void;
}

export function createCopiedConnection(deps: CopiedConnectionDeps): CopiedConnection {
  const state: State = {
    cancelled: 0,
    idleSweeps: 0,
    sweepsToEnd: undefined,
    isEnded: false,
    isFinished: false,
  };
  const feed = createByteFeed(MAX_PULL_BYTES, deps.onTaken);
  const parts: Parts = { ...deps, state, feed, pairs: createCallPairs(), end: () => reference.end() };
  const events = eventsInto(state, feed);
  const withoutPingAcks = createClientFrames(events.onCancelled);
  const reference = deps.open({
    pull: feed.pull,
    paths: Object.keys(COMPARISONS),
    onCall: (theirs) => onTheirs(parts, theirs),
    ...events,
  });
  return {
    write(bytes, cost) {
      feed.add(withoutPingAcks(Buffer.from(bytes.buffer)), cost);
      if (state.isEnded || state.isFinished) feed.clear();
      else reference.wake();
    },
    answered: (ours) => onOurs(parts, ours),
    close() {
      state.sweepsToEnd ??= SWEEPS_TO_CLOSE;
    },
    drop: () => finish(parts),
    sweep() {
      judgeLate(parts);
      forgetCancelled(parts);
      if (!isOver(state, feed)) return;
      reference.end();
      if (parts.pairs.size() === 0) finish(parts);
    },
    isFinished: () => state.isFinished,
  };
}

function onTheirs(parts: Parts, theirs: ReferenceCall): void {
  const { state, pairs } = parts;
  if (state.isFinished) return;
  const ours = pairs.pairTheirs(keyOf(theirs), theirs);
  if (ours !== undefined) match(parts, ours, theirs);
  else if (pairs.size() > MAX_UNMATCHED) finish(parts);
}

function onOurs(parts: Parts, ours: AnsweredCall): void {
  const { state, pairs, feed, report } = parts;
  if (state.isFinished) {
    report(uncompared("skipped", ours, []));
    return;
  }
  const theirs = pairs.pairOurs(keyOf(ours), ours, feed.added());
  if (theirs !== undefined) match(parts, ours, theirs);
  else if (isBroken(parts)) {
    report(uncompared("request_differs", ours, ["connection"]));
    finish(parts, ours);
  } else if (pairs.size() > MAX_UNMATCHED) finish(parts);
}

function match({ compare, report }: Parts, ours: AnsweredCall, theirs: ReferenceCall): void {
  report(compare(ours));
  theirs.reply(ours.response);
}

/** @param judged a call that is counted already */
function finish({ state, pairs, feed, report, end }: Parts, judged?: AnsweredCall): void {
  state.isFinished = true;
  const left = pairs.takeAll().flatMap(({ ours }) => ours ?? []);
  for (const ours of left) if (ours !== judged) report(uncompared("skipped", ours, []));
  feed.clear();
  end();
}

/** Our own server still serves a connection that the other one has closed, or from which it delivers nothing. */
function isBroken({ state, pairs, feed }: Parts): boolean {
  return (
    state.isEnded || (pairs.size() > MAX_UNMATCHED && pairs.undelivered(feed.taken()) > MAX_UNMATCHED / 2)
  );
}

function eventsInto(
  state: State,
  feed: ByteFeed,
): Pick<ReferenceConnectionOptions, "onCancelled" | "onEnded"> {
  return {
    onCancelled() {
      state.cancelled++;
    },
    onEnded() {
      state.isEnded = true;
      feed.clear();
    },
  };
}

/** Judges the calls that have waited too long. If the other server has closed the connection, that is one difference. */
function judgeLate(parts: Parts): void {
  const { state, pairs, feed, report } = parts;
  for (const call of pairs.takeLate(feed.taken())) {
    if (call.ours !== undefined && state.isEnded && !state.isFinished) {
      report(uncompared("request_differs", call.ours, ["connection"]));
      finish(parts);
    } else report(state.isFinished ? uncompared("skipped", call.ours, []) : judge(call, state));
  }
}

/** No decision takes that long, so every cancelled call that our server had read has been judged. */
function forgetCancelled({ state, pairs }: Parts): void {
  state.idleSweeps = pairs.size() === 0 ? state.idleSweeps + 1 : 0;
  if (state.idleSweeps > SWEEPS_TO_MATCH) state.cancelled = 0;
}

/** Counts a sweep of a closed connection. True if everything that arrived has been read. */
function isOver(state: State, feed: ByteFeed): boolean {
  if (state.sweepsToEnd === undefined || feed.taken() < feed.added()) return false;
  return state.sweepsToEnd-- <= 0;
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
