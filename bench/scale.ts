/** How much is measured: all of it, or just enough to see that it runs. */
export interface Scale {
  readonly rounds: number;
  /** Checks in a round, straight to the door. */
  readonly requests: number;
  /** Seconds of a round through Envoy. */
  readonly seconds: number;
  readonly keys: number;
  readonly registeredKeys: number;
  /** Whether peers are built that are not there yet, and what takes its time is waited for. */
  readonly patient: boolean;
}

export const FULL: Scale = {
  rounds: 5,
  requests: 150_000,
  seconds: 3,
  keys: 100_000,
  registeredKeys: 1_000_000,
  patient: true,
};
export const QUICK: Scale = {
  rounds: 1,
  requests: 300,
  seconds: 1,
  keys: 300,
  registeredKeys: 2000,
  patient: false,
};
