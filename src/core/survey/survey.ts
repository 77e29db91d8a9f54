import { withTimeout } from "../timeout.ts";

/** A long read of the store, for calls that do not wait for its end. */
export interface Survey<Result> {
  /**
   * The newest result. Starts a run if there is none yet, or if the newest one is too old; waits a short time for its end.
   * Rejects if the run fails in that time.
   */
  read(): Promise<Surveyed<Result>>;
}

export interface Surveyed<Result> {
  readonly result: Result;
  /** Whether the run has ended. Otherwise the result covers what was read so far. */
  readonly isComplete: boolean;
  /** Milliseconds since 1970 at which the run started. */
  readonly startedMs: number;
}

/** One run. */
export interface SurveyRun<Result> {
  soFar(): Result;
  /** Reads everything. Awaits `pace` after each portion. */
  read(pace: Pace): Promise<void>;
}

/** Resolves after a pause that is as long as the portion took. Rejects once the surveys are stopped. */
export type Pace = () => Promise<void>;

export interface SurveyPorts {
  readonly nowMs: () => number;
  readonly monotonicMs: () => number;
  readonly delayMs: (ms: number) => Promise<void>;
}

export interface SurveyTimes {
  /** An older result is replaced. */
  readonly maxAgeMs: number;
  /** How long a call waits for the end of a run. */
  readonly waitMs: number;
}

/** The surveys of an instance. One run at a time reads, so that no number of calls loads the store with more than one. */
export interface Surveys {
  add<Result>(begin: () => SurveyRun<Result>, times: SurveyTimes): Survey<Result>;
  /** Ends the present run. No later one starts. */
  stop(): Promise<void>;
}

const MAX_PAUSE_MS = 1000;

export function createSurveys(ports: SurveyPorts): Surveys {
  let last = Promise.resolve();
  let isStopped = false;
  const createPace = (): Pace => {
    let resumedMs = ports.monotonicMs();
    return async () => {
      if (isStopped) throw new Error("the instance stops");
      await ports.delayMs(Math.min(MAX_PAUSE_MS, ports.monotonicMs() - resumedMs));
      resumedMs = ports.monotonicMs();
    };
  };
  return {
    add: (begin, times) =>
      createSurvey(ports, times, () => {
        const run = begin();
        const ended = last.then(() => {
          if (isStopped) throw new Error("the instance stops");
          return run.read(createPace());
        });
        last = ended.catch(() => undefined);
        return { run, ended };
      }),
    async stop() {
      isStopped = true;
      await last;
    },
  };
}

interface StartedRun<Result> {
  readonly run: SurveyRun<Result>;
  readonly ended: Promise<void>;
}

function createSurvey<Result>(
  { nowMs, monotonicMs }: SurveyPorts,
  { maxAgeMs, waitMs }: SurveyTimes,
  start: () => StartedRun<Result>,
): Survey<Result> {
  let newest: (Surveyed<Result> & { readonly endedMs: number }) | undefined;
  let running: (StartedRun<Result> & { readonly startedMs: number }) | undefined;
  const startRun = () => {
    const startedMs = nowMs();
    const { run, ended } = start();
    const keep = () => {
      newest = { result: run.soFar(), isComplete: true, startedMs, endedMs: monotonicMs() };
      running = undefined;
    };
    const kept = ended.then(keep, (error: unknown) => {
      running = undefined;
      throw error;
    });
    running = { run, ended: kept, startedMs };
    return running;
  };
  return {
    async read() {
      const isFresh = newest !== undefined && monotonicMs() - newest.endedMs < maxAgeMs;
      if (newest !== undefined && isFresh) return newest;
      const { run, ended, startedMs } = running ?? startRun();
      await withTimeout(ended, waitMs, () => undefined);
      return newest ?? { result: run.soFar(), isComplete: false, startedMs };
    },
  };
}
