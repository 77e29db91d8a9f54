import type { LeaseHolder } from "../../src/core/limits/lease-holder.ts";
import {
  availableTokens,
  createLeaseHolder,
  returnAllLeases,
  spendTokens,
} from "../../src/core/limits/lease-holder.ts";
import {
  beginLeaseRequest,
  completeLeaseRequest,
  failLeaseRequest,
  settlementOf,
  takeSettlements,
} from "../../src/core/limits/lease-request.ts";
import type {
  LeasedBucket,
  LeaseReply,
  LeaseRequest,
  Settlement,
} from "../../src/core/limits/leased-bucket.ts";
import { fullLeasedBucket, leaseStep } from "../../src/core/limits/leased-bucket.ts";

/** The bounds of `test/model/lease.pml`. A tick is half the life of a lease, and refills one token. */
const CAPACITY = 2;
const TICK_MS = 500;
const LIMIT = { capacity: CAPACITY, refillPerSecond: 1000 / TICK_MS, leased: true };
const START_US = 1_000_000_000;

interface Message {
  readonly settlements: readonly Settlement[];
  readonly request?: LeaseRequest;
}

/** Removes one condition of the protocol from the TypeScript code. */
export interface Sabotage {
  readonly beforeStep?: (bucket: LeasedBucket, nowUs: number) => void;
  readonly settlements?: (settlements: readonly Settlement[]) => readonly Settlement[];
  readonly step?: typeof leaseStep;
  readonly afterReply?: (holder: LeaseHolder, nowMs: number) => void;
}

export interface Replay {
  readonly admitted: number;
  /** Requests that found no token on their instance. */
  readonly denied: number;
  /** Requests that were admitted beyond C + r·T. */
  readonly excess: number;
}

/** Replays the events of an execution of `lease.pml` on two real lease holders and one real leased bucket. */
export function replayLeases(events: readonly string[], sabotage: Sabotage = {}): Replay {
  const step = sabotage.step ?? leaseStep;
  const bucket = fullLeasedBucket(LIMIT, START_US);
  const holders = [createLeaseHolder(LIMIT, 0), createLeaseHolder(LIMIT, 0)];
  const requests: Message[][] = [[], []];
  const replies: LeaseReply[][] = [[], []];
  let [nowMs, skewUs, leaseCount] = [0, 0, 0];
  // The bucket of the promise: it has a token for each admitted request.
  let reference = CAPACITY;
  let [admitted, denied, excess] = [0, 0, 0];
  const holderOf = (i: number): LeaseHolder => {
    const holder = holders[i];
    if (holder === undefined) throw new RangeError(`there is no instance ${i}`);
    return holder;
  };
  const perform: Record<string, (i: number) => void> = {
    send(i) {
      const holder = holderOf(i);
      holder.waiting = CAPACITY;
      requests[i]?.push(beginLeaseRequest(holder, 1, `${i}.${++leaseCount}`, nowMs));
    },
    return(i) {
      requests[i]?.push({
        settlements: takeSettlements(holderOf(i)).map((ended) => settlementOf(ended, nowMs)),
      });
    },
    execute(i) {
      const { settlements = [], request } = requests[i]?.shift() ?? {};
      const nowUs = START_US + nowMs * 1000 + skewUs;
      sabotage.beforeStep?.(bucket, nowUs);
      const reply = step(bucket, LIMIT, sabotage.settlements?.(settlements) ?? settlements, request, nowUs);
      if (request !== undefined) replies[i]?.push(reply);
    },
    receive(i) {
      const reply = replies[i]?.shift();
      if (reply === undefined) throw new Error("no reply is on its way");
      completeLeaseRequest(holderOf(i), reply, nowMs);
      sabotage.afterReply?.(holderOf(i), nowMs);
    },
    ignore: (i) => void replies[i]?.shift(),
    fail: (i) => failLeaseRequest(holderOf(i)),
    end: (i) => returnAllLeases(holderOf(i)),
    spend(i) {
      if (availableTokens(holderOf(i), nowMs) < 1) {
        denied++;
        return;
      }
      spendTokens(holderOf(i), 1, nowMs);
      admitted++;
      if (reference >= 1) reference--;
      else excess++;
    },
    tick() {
      nowMs += TICK_MS;
      reference = Math.min(CAPACITY, reference + 1);
    },
    backward: () => {
      skewUs -= 2 * TICK_MS * 1000;
    },
  };
  for (const event of events) {
    const [name = "", instance = "0"] = event.split(" ");
    const run = perform[name];
    if (run === undefined) throw new Error(`the event ${event} cannot be replayed`);
    run(Number(instance));
  }
  return { admitted, denied, excess };
}
