import type { Log } from "./log.ts";
import type { OutageMessages } from "./outage-messages.ts";

/** Calls `onChange` when the value differs from the previous one. */
export function watchChanges<T>(initial: T, onChange: (value: T) => void): (value: T) => void {
  let last = initial;
  return (value) => {
    if (value === last) return;
    last = value;
    onChange(value);
  };
}

/** Logs an outage once when it starts and once when it ends. */
export interface OutageLog {
  /** @param fields of the log line, such as `{ err }` */
  failed(fields: object): void;
  works(fields?: object): void;
}

export function createOutageLog(
  log: Pick<Log, "info" | "warn">,
  { failed, healed }: OutageMessages,
): OutageLog {
  let isFailing = false;
  return {
    failed(fields) {
      if (!isFailing) log.warn(fields, failed);
      isFailing = true;
    },
    works(fields = {}) {
      if (isFailing && healed !== undefined) log.info(fields, healed);
      isFailing = false;
    },
  };
}

/** Wraps repeated work, and returns its failure handler with it, so that an outage is logged once when it starts and once when it ends. */
export function logTransitions(
  work: () => Promise<void>,
  log: Pick<Log, "info" | "warn">,
  messages: OutageMessages,
): [work: () => Promise<void>, onFailure: (error: unknown) => void] {
  const outage = createOutageLog(log, messages);
  return [
    async () => {
      await work();
      outage.works();
    },
    (error) => outage.failed({ err: error }),
  ];
}
