import type { PartState } from "../api/ops/ops-routes.ts";
import { revocationsAreStale } from "../core/decision/judge-credential.ts";
import type { Policy } from "../core/policy/policy.ts";
import { CLOCK_NOT_READY_MS } from "./fleet.ts";
import type { Stores } from "./ports.ts";

/** What `/readyz` reports of each component. The instance is ready when every component is ready. */
export type ComponentStates = Readonly<
  Record<"instance" | "revocations" | "secrets" | "clock", PartState> & { store?: PartState }
>;

/** Before the store has responded. */
const UNKNOWN_FLEET = { revocations: "not_ready", secrets: "not_ready", clock: "not_ready" } as const;
export const STARTING: ComponentStates = { instance: "starting", ...UNKNOWN_FLEET };

export function isReady(states: Readonly<Record<string, PartState>>): boolean {
  return Object.values(states).every((state) => state === "ready");
}

type OpenedStores = Pick<Stores, "fleet" | "isInPlace" | "place">;

/** Readiness for `/readyz` and for gRPC health, from the start to the drain. */
export interface Readiness {
  states(): ComponentStates;
  /** The server that holds the registry; undefined with the embedded store, and before Redis has responded. */
  server(): { readonly topology: string; readonly address: string } | undefined;
  isReady(): boolean;
  isDraining(): boolean;
  /** The start waits for the store. */
  onWaiting(): void;
  /** The store has responded. */
  onStores(stores: OpenedStores): void;
  /** The gRPC listener is open. `isReachable` is false while callers cannot find it. */
  onListening(isReachable: () => boolean): void;
  /** The listeners serve. */
  onServing(): void;
  /** From now on the instance is not ready, although it still serves. */
  onDrain(): void;
}

export function createReadiness(policy: () => Policy): Readiness {
  let instance: "starting" | "waiting" | "ready" | "draining" = "starting";
  let stores: OpenedStores | undefined;
  let isReachable = () => true;
  const states = (): ComponentStates => ({
    instance: instance === "ready" && !isReachable() ? "not_ready" : instance,
    ...(stores === undefined ? UNKNOWN_FLEET : storeStates(policy(), stores)),
  });
  return {
    states,
    server() {
      const place = stores?.place();
      return place && { topology: place.topology, address: place.primary };
    },
    isReady: () => isReady(states()),
    isDraining: () => instance === "draining",
    onWaiting() {
      if (instance === "starting") instance = "waiting";
    },
    onStores(opened) {
      stores = opened;
    },
    onListening(reachable) {
      isReachable = reachable;
    },
    onServing() {
      if (instance !== "draining") instance = "ready";
    },
    onDrain() {
      instance = "draining";
    },
  };
}

/** An unavailable Redis makes an instance not ready only if the policy denies requests in that case. */
function storeStates(policy: Policy, { fleet, isInPlace }: Pick<Stores, "fleet" | "isInPlace">) {
  return {
    revocations: stateOf(!revocationsAreStale(policy, fleet.stalenessMs())),
    secrets: stateOf(!fleet.differsFromFleet()),
    clock: stateOf(Math.abs(fleet.clockAheadMs()) < CLOCK_NOT_READY_MS),
    ...(isInPlace !== undefined && { store: stateOf(isInPlace()) }),
  };
}

function stateOf(ready: boolean): PartState {
  return ready ? "ready" : "not_ready";
}
