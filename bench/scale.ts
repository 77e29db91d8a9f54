/** The amount of work: a full measurement, or a quick run that only shows that everything works. */
export interface Scale {
  readonly rounds: number;
  /** Checks per round, directly to the listener. */
  readonly requests: number;
  /** Seconds per round through Envoy. */
  readonly seconds: number;
  readonly keys: number;
  readonly registeredKeys: number;
  /** Whether missing programs are built, and slow steps are waited for. */
  readonly isPatient: boolean;
}

export const FULL: Scale = {
  rounds: 5,
  requests: 150_000,
  seconds: 3,
  keys: 100_000,
  registeredKeys: 1_000_000,
  isPatient: true,
};
export const QUICK: Scale = {
  rounds: 1,
  requests: 300,
  seconds: 1,
  keys: 300,
  registeredKeys: 2000,
  isPatient: false,
};
